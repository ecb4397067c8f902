/** What can be wrong with what a peer, an operator or a file hands us. Codes are stable; messages are for people. */
export type ProtocolCode = 'CONTENT_TOO_LARGE' | 'UNKNOWN_VERSION' | 'MALFORMED'

/** Callers switch on `code`. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError'
  readonly code: ProtocolCode

  constructor(code: ProtocolCode, message: string) {
    super(message)
    this.code = code
  }
}
