/** What can be wrong with content, by code. */
export type ContentErrorCode =
  | 'NOT_A_FILE'
  | 'SOURCE_UNREADABLE'
  | 'SOURCE_CHANGED'
  | 'CONTENT_MISSING'
  | 'CONTENT_DAMAGED'
  | 'CONTENT_INCOMPLETE'
  | 'CONTENT_BUSY'
  | 'DIGESTS_MISSING'
  | 'DIGESTS_MISMATCH'
  | 'BLOCK_MISMATCH'
  | 'BLOCK_NOT_AUTHENTIC'
  | 'KEY_MISMATCH'

/** `block` is the index of the block that is wrong, where it is one block. */
export class ContentError extends Error {
  override readonly name = 'ContentError'
  readonly code: ContentErrorCode
  readonly block: number | undefined
  constructor(code: ContentErrorCode, message: string, block?: number, cause?: unknown) {
    super(message, { cause })
    this.code = code
    this.block = block
  }
}
