/** What a simulation cannot be run on; told before it starts. */

export type SimErrorCode = 'LATENCY_INVALID' | 'PROFILE_INVALID' | 'TOPOLOGY_INVALID'

export class SimError extends Error {
  override readonly name = 'SimError'
  readonly code: SimErrorCode

  constructor(code: SimErrorCode, message: string) {
    super(message)
    this.code = code
  }
}
