/** An order as a party of it keeps it (ordering.ts, offering.ts), and which one of a version it deals with. */
import type { CID } from '../crypto/cid.ts'
import type { Signature } from '../crypto/statement.ts'
import { saved } from './fold.ts'
import { isOrder, type Order, readOrder } from './handover.ts'
import { KEY } from './layout.ts'
import { MAX_TOLD } from './limits.ts'
import { type Context, decodeState, type Step } from './machine.ts'
import type { Refusal } from './message.ts'
import type { Purchase } from './ownership.ts'
import type { Shown } from './parties.ts'

export interface Ordering {
  /** `joint`: an owner, before or after, that another one asks to sign. */
  role: 'owner' | 'seller' | 'buyer' | 'joint'
  state: 'OFFERED' | 'ACCEPTED' | 'VOTING' | 'CERTIFIED' | 'FROZEN' | 'DECLINED' | 'WITHDRAWN'
  /** The other side of a hand-over: to whom it goes, or who wrote it. */
  org?: string
  /**
   * The own signature of one who gives it and did not write it: made with its yes, and sent when the writer has signed. Its keys
   * may be others by then, and the writer is bound.
   */
  ready?: Signature
  /** Whose signatures `order` has, in their order. */
  signers: { role: string; org: string }[]
  /** Who has said yes: those who take it have signed, those who give it do so when its writer has. */
  agreed: string[]
  /** Of a registration that another one writes: the asset. */
  described?: Uint8Array
  /** Of a registration: the purchase that it names. */
  bought?: Purchase
  asset: CID
  version: number
  /** With the signatures that it has by now. */
  order: Uint8Array
  /** Who decides it. */
  committee: CID
  /** The committee that follows, where it names one, and identities that this node does not know by itself. */
  next?: Uint8Array
  identities: Shown[]
  /** Once it is certified the certificate has them. */
  votes: { org: string; vote?: Uint8Array }[]
  /** `otherwise`: it has shown another order that it voted for. */
  refused: { org: string; code: string; text: string; otherwise?: true }[]
  /** Who has said that it holds the certificate, or was told of it and is not to answer. */
  told: string[]
  sent: number
  madeMs: number
  refusal?: Refusal
}

export const isOver = ({ state, role, sent, ready }: Ordering): boolean => {
  if (state === 'CERTIFIED') return sent >= MAX_TOLD || !isWriter({ role })
  // Its writer counts on the yes of before.
  if (state === 'DECLINED') return !ready || sent >= MAX_TOLD
  return state === 'FROZEN' || state === 'WITHDRAWN'
}

/** Whether this node wrote the order; others only sign it. */
export const isWriter = ({ role }: Pick<Ordering, 'role'>): boolean => role === 'owner' || role === 'seller'

export const readOrdering = (get: Context['get'], order: CID): Ordering | undefined => {
  const stored = get(KEY.order(order))
  return stored && decodeState(stored)
}

export const orderIn = ({ order }: Pick<Ordering, 'order'>): Order => {
  const read = readOrder(order)
  if (!isOrder(read)) throw new Error(read.reason) // it was read when it was stored
  return read
}

/** The order of a version that this node deals with as a party; once it is signed no other takes its place. */
export interface Dealt {
  order: CID
  signed: boolean
}
export const dealt = (get: Context['get'], asset: CID, version: number): Dealt | undefined => {
  const stored = get(KEY.signedOrder(asset, version))
  return stored && decodeState(stored)
}

/** A changed order as a step, with its marker for a restart. */
export function save(o: Ordering, step: Step<unknown>, context: Context): Step<Ordering> {
  const id = orderIn(o).id
  const key = KEY.order(id)
  if (isOver(o) || (o.state === 'OFFERED' && !isWriter(o)))
    step.output.deadlines.push({ machine: key, atMs: Number.POSITIVE_INFINITY })
  step.output.events.push({ type: 'order', machine: key, state: o.state })
  return saved(key, context.get(key), { ...step, state: o } as Step<Ordering>, isOver)
}
