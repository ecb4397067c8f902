/** What the steps of a participant are made of: its state, its inputs, and how one step follows another as one. */
import { equal } from '../crypto/bytes.ts'
import * as beat from './beat.ts'
import type { Reading } from './catalog.ts'
import type { Answer, Command } from './command.ts'
import { type KnownPartners, over } from './context.ts'
import type { DeliveryInput } from './delivery.ts'
import type { Gossip } from './gossip.ts'
import { KEY } from './layout.ts'
import { type Ledger, record } from './ledger.ts'
import { type Context, decodeState, encodeState, type Step } from './machine.ts'
import type { HelloMessage, Message } from './message.ts'
import { join, nothing, type Output } from './output.ts'
import type { Posted } from './stock.ts'

export interface PeerState {
  ledger: Ledger
  catalogs: Map<string, Reading>
  gossip: Gossip
  partners: KnownPartners
  /** The highest wall time seen, and when it was last put into the store (RULES A5). */
  clock: { highMs: number; storedMs: number }
  /** By how much each witness's clock was ahead of ours when it cosigned, ms, and when that was (monotonic ms). */
  offsets: Map<string, { aheadMs: number; atMs: number }>
}

/** Everything that can happen to a participant. `seed` is 32 fresh bytes from the driver (RULES A3). */
export type Input = { seed: Uint8Array } & (
  | { type: 'message'; from: string; message: Message }
  | { type: 'hello'; node: Uint8Array; hello: HelloMessage }
  | { type: 'connected'; org: string }
  | { type: 'tick'; machine: string }
  | { type: 'start'; machine: string }
  | { type: 'leaves'; log: number; from: number; entries: Uint8Array[] }
  /** Somebody at this node waits for a head over what the log holds. */
  | { type: 'head' }
  | { type: 'page'; machine: string; after?: string; rows: [string, Uint8Array][]; more: boolean }
  | ({ type: 'posted'; machine: string } & Posted)
  | ({ machine: string } & Extract<DeliveryInput, { type: 'fetched' | 'opened' | 'judged' }>)
  | Command
)

export interface PeerStep {
  state: PeerState
  output: Output
  /** For the caller of a command; leaves with the output. */
  answer?: Answer
  /** The store contradicts itself: nothing may be signed any more, the driver stops. */
  damaged?: string
}

/** One step after another, as one: the second sees the store as the first will leave it. */
export function then(
  first: PeerStep,
  context: Context,
  run: (state: PeerState, context: Context) => PeerStep,
): PeerStep {
  const second = run(first.state, over(context, first.output))
  return { ...first, ...second, output: join(first.output, second.output) }
}

/** A step with its state as a write, and the marker by which a restart finds what is not over. */
export function saved<S extends object>(
  key: string,
  before: Uint8Array | undefined,
  step: Step<S>,
  isOver: (state: S) => boolean,
): Step<S> {
  if (!step.state) return step
  const value = encodeState(step.state)
  if (before && equal(value, before)) return step
  step.output.writes.push({ key, value })
  const wasOpen = before !== undefined && !isOver(decodeState<S>(before))
  if (isOver(step.state)) {
    if (wasOpen) step.output.writes.push({ key: KEY.open(key) })
  } else if (!wasOpen) step.output.writes.push({ key: KEY.open(key), value: new Uint8Array() })
  return step
}

/** Puts the records of a step into the log, and asks for a head when none is due. */
export function logged<S>(
  state: PeerState,
  step: Step<S>,
  context: Context,
  entry?: { kind: number; control: Uint8Array[] },
): PeerStep {
  if (step.records.length === 0) return { state, output: step.output }
  const { ledger, writes } = record(state.ledger, step.records, context.now.wallMs, context.slots, entry)
  const next = beat.due(ledger, context)
  return {
    state: { ...state, ledger: next.ledger },
    output: join(step.output, { ...nothing(), writes }, next.output),
  }
}
