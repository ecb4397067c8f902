/** When nothing is decided or signed: the clock is off, or the store is behind its own log (RULES A5, D1). */
import { encode } from '../crypto/cbor.ts'
import { isBehind } from './behind.ts'
import { ProtocolError } from './error.ts'
import type { Input, PeerState, PeerStep } from './fold.ts'
import { isExpired } from './identity-chain.ts'
import { KEY } from './layout.ts'
import { CLOCK_SKEW_MS, CLOCK_STORE_MS, FRESH_MS } from './limits.ts'
import { type Context, violation } from './machine.ts'
import type { MessageType } from './message.ts'
import { type Now, nothing, type Output } from './output.ts'
import { isRetired } from './restored.ts'

interface Standstill {
  code: 'CLOCK_BEHIND' | 'RESTORED_BEHIND' | 'RESTORED_UNWITNESSED' | 'KEY_EXPIRED'
  text: string
}

/** Why an input is refused before anything looks at it. */
export function standstill(
  state: PeerState,
  input: Input,
  now: Now,
  { get, self }: Pick<Context, 'get' | 'self'>,
): Standstill | undefined {
  if (isDecision(input) && isClockOff(state, now)) return { code: 'CLOCK_BEHIND', text: CLOCK_TEXT }
  if (SIGNS.has(input.type) && isExpired(self.chain, 'operation', now.wallMs))
    return { code: 'KEY_EXPIRED', text: KEY_TEXT }
  if (input.type === 'identity' || isRead(input)) return undefined
  if (isBehind(get)) return { code: 'RESTORED_BEHIND', text: BEHIND_TEXT }
  return isRetired(get) ? { code: 'RESTORED_UNWITNESSED', text: RETIRED_TEXT } : undefined
}

/** Inputs whose outcome depends on dates that expire. */
function isDecision(input: Input): boolean {
  return input.type === 'message' ? DATED.has(input.message.t) : COMMANDS.has(input.type)
}

/** A witness dates what it cosigns, so it does not by a time that it knows to be wrong. */
const DATED = new Set<MessageType>([
  'negotiation/request',
  'negotiation/agree',
  'negotiation/verify',
  'transfer/request',
  'delivery/received',
  'witness/add',
])
const COMMANDS = new Set<Input['type']>([
  'request',
  'decide',
  'offer',
  'hello',
  'join',
  'checkpoint',
  'redact',
])

/** What begins or makes an agreement. */
const SIGNS = new Set<Input['type']>(['offer', 'request', 'decide'])
const KEY_TEXT =
  'the operation key is past its date, and nothing is agreed on with it: waybill keys rotate operation puts a new one in its place'

export const CLOCK_TEXT =
  'the clock is more than five minutes off the time that was seen before or that witnesses see; set it right'

/** What a node whose store is behind still does: it shows what it has. */
function isRead(input: Input): boolean {
  if (input.type !== 'message') return READS.has(input.type)
  const { t } = input.message
  return t === 'redaction/known' || SHOWN.has(t.split('/')[0]!)
}
const SHOWN = new Set(['hello', 'identity', 'error', 'catalog', 'head', 'gossip', 'proof', 'mirror'])
const READS = new Set<Input['type']>([
  'catalog',
  'gossip',
  'proofs',
  'latest',
  'page',
  'restored',
  'erase',
  'recover',
  'identity',
])

const BEHIND_TEXT =
  'the members of the committee hold a newer log than this store: it was put back or copied, and nothing is signed with it'

const RETIRED_TEXT =
  'this store was put back or copied, and no member of a committee holds its log: nobody could tell two histories apart, so nothing is signed with it'

export function refuse(state: PeerState, input: Input, { code, text }: Standstill): PeerStep {
  const done: PeerStep = { state, output: nothing() }
  if (input.type === 'message')
    return { state, output: violation(input.from, input.message.t, code, text).output }
  if (input.type === 'hello')
    return { ...done, answer: { type: 'hello', hello: { t: 'hello/refused', code, text } } }
  if (SILENT.has(input.type)) return done
  throw new ProtocolError(code, text)
}
/** Nobody waits for these to be refused. */
const SILENT = new Set<Input['type']>([
  'connected',
  'head',
  'posted',
  'tick',
  'start',
  'leaves',
  'fetched',
  'opened',
  'judged',
])

/**
 * Whether the clock is behind the highest time seen, or off the median of the witnesses' fresh cosignatures, by more than
 * five minutes: nothing that expires is decided then (RULES A5).
 */
export function isClockOff({ clock, offsets }: PeerState, now: Now): boolean {
  if (now.wallMs < clock.highMs - CLOCK_SKEW_MS) return true
  const fresh = [...offsets.values()].filter(({ atMs }) => now.monoMs - atMs < FRESH_MS)
  const ahead = fresh.map(({ aheadMs }) => aheadMs).sort((a, b) => a - b)
  return ahead.length > 0 && Math.abs(ahead[ahead.length >> 1]!) > CLOCK_SKEW_MS
}

/** The highest wall time seen goes into the store with the next commit, at most once a second. */
export function keepClock(state: PeerState, output: Output, now: Now): { state: PeerState; output: Output } {
  const highMs = Math.max(state.clock.highMs, now.wallMs)
  if (output.writes.length === 0 || highMs < state.clock.storedMs + CLOCK_STORE_MS)
    return { state: { ...state, clock: { ...state.clock, highMs } }, output }
  const writes = [...output.writes, { key: KEY.clock, value: encode(highMs) }]
  return { state: { ...state, clock: { highMs, storedMs: highMs } }, output: { ...output, writes } }
}
