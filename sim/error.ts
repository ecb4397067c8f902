/** What a simulation cannot be run on; told before it starts. */

export type SimErrorCode =
  | 'LATENCY_INVALID'
  | 'MEMORY_SHORT'
  | 'PROFILE_INVALID'
  | 'REQUEST_INVALID'
  | 'TOPOLOGY_INVALID'
  | 'WORKLOAD_INVALID'

export class SimError extends Error {
  override readonly name = 'SimError'
  readonly code: SimErrorCode

  constructor(code: SimErrorCode, message: string) {
    super(message)
    this.code = code
  }
}
