/** The one error of crypto/: bytes do not prove, or do not say, what is claimed. */

/** Every reason for which crypto/ refuses. */
export type CryptoCode =
  | 'TEXT_INVALID'
  | 'CBOR_INVALID'
  | 'CBOR_TOO_LARGE'
  | 'CBOR_TOO_DEEP'
  | 'CBOR_NOT_CANONICAL'
  | 'CBOR_FLOAT'
  | 'CBOR_INTEGER_RANGE'
  | 'CID_UNSUPPORTED'
  | 'KEY_INVALID'
  | 'STATEMENT_MALFORMED'
  | 'NOTE_MALFORMED'
  | 'CHECKPOINT_MALFORMED'
  | 'PROOF_INVALID'
  | 'BLOCK_NOT_AUTHENTIC'
  | 'SEAL_NOT_AUTHENTIC'
  | 'RUNTIME_DISAGREES'

/** Callers switch on `code`; the message is for people. */
export class CryptoError extends Error {
  override readonly name = 'CryptoError'
  readonly code: CryptoCode

  constructor(code: CryptoCode, message: string) {
    super(message)
    this.code = code
  }
}
