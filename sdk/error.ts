/** The one error of the SDK. Tell it by its code with `isWaybillError`, not by `instanceof`: two copies may be loaded. */

export interface WaybillErrorDetails {
  /** The command, or the act, that mends it. */
  hint?: string | undefined
  /** Whether the same call may succeed later. */
  retryable?: boolean | undefined
  /** The clause that denied, the value asked and the value allowed. */
  clause?: string | undefined
  asked?: string | undefined
  allowed?: string | undefined
  /** HTTP status of the daemon's answer. */
  status?: number | undefined
  cause?: unknown
}

export class WaybillError extends Error {
  override readonly name = 'WaybillError'
  readonly code: string
  readonly hint: string | undefined
  readonly retryable: boolean
  readonly clause: string | undefined
  readonly asked: string | undefined
  readonly allowed: string | undefined
  readonly status: number | undefined

  constructor(code: string, message: string, details: WaybillErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.code = code
    this.hint = details.hint
    this.retryable = details.retryable ?? false
    this.clause = details.clause
    this.asked = details.asked
    this.allowed = details.allowed
    this.status = details.status
  }
}

/** Whether this is a WaybillError, with this code if one is given. */
export function isWaybillError(error: unknown, code?: string): error is WaybillError {
  if (!(error instanceof Error) || error.name !== 'WaybillError') return false
  return code === undefined || (error as WaybillError).code === code
}
