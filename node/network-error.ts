/** The one error class of the network: a closed union of codes, and messages an operator can act on. */

export type NetworkErrorCode =
  | 'ADDRESS_IN_USE'
  | 'ADDRESS_UNUSABLE'
  | 'FRAME_INVALID'
  | 'FRAME_TOO_LARGE'
  | 'NETWORK_STOPPED'
  | 'PEER_NOT_ADMITTED'
  | 'PEER_UNREACHABLE'
  | 'REMOTE_ERROR'
  | 'STREAM_CLOSED'
  | 'TIMEOUT'

export class NetworkError extends Error {
  override name = 'NetworkError'
  readonly code: NetworkErrorCode
  /** With `REMOTE_ERROR`: the code that the other side sent. */
  readonly remoteCode: string | undefined

  constructor(
    code: NetworkErrorCode,
    message: string,
    options: { cause?: unknown; remoteCode?: string } = {},
  ) {
    super(message, { cause: options.cause })
    this.code = code
    this.remoteCode = options.remoteCode
  }
}

/** An error of libp2p, which may also be an Event, as a NetworkError; `fallback` is the code when nothing else fits. */
export function networkError(reason: unknown, fallback: NetworkErrorCode, what: string): NetworkError {
  if (reason instanceof NetworkError) return reason
  const cause = reason instanceof Event ? (reason as Event & { error?: unknown }).error : reason
  if (cause instanceof NetworkError) return cause
  const { name, message } = (cause ?? {}) as { name?: string; message?: string }
  if (name === 'TimeoutError' || name === 'AbortError')
    return new NetworkError('TIMEOUT', `${what}: no answer in time`, { cause })
  if (name === 'UnsupportedProtocolError')
    return new NetworkError(fallback, `${what}: it does not speak this protocol`, { cause })
  return new NetworkError(fallback, message ? `${what}: ${message}` : what, { cause })
}

/** Why no address of a peer could be dialled. */
export function dialError(reason: unknown, peerId: string, addresses: readonly string[]): NetworkError {
  if (reason instanceof NetworkError) return reason
  const at = addresses.join(', ')
  const causes = (reason instanceof AggregateError ? reason.errors : [reason]) as {
    code?: string
    name?: string
    message?: string
  }[]
  const all = (test: (cause: (typeof causes)[number]) => boolean) => causes.every(test)
  const words = all(({ code }) => code === 'ECONNREFUSED')
    ? `nobody listens at ${at}`
    : all(({ code }) => code === 'ENOTFOUND' || code === 'EAI_AGAIN')
      ? `the name in ${at} is not known`
      : all(({ message }) => /unexpected|does not match/i.test(message ?? ''))
        ? `another node answers at ${at}`
        : all(({ name }) => name === 'TimeoutError' || name === 'AbortError')
          ? `no answer from ${at} in time`
          : `${at}: ${causes.map(({ message }) => message).join('; ')}`
  return new NetworkError('PEER_UNREACHABLE', `peer ${peerId} cannot be reached: ${words}`, { cause: reason })
}
