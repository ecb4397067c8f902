/**
 * The shipped daemon of an owner that sells twice, as a program of its own: it forgets what it has offered and signed, and
 * asks each half of the seats for their votes on another hand-over. Takes the arguments of `waybill`.
 */
import { Node } from '../../node/daemon.ts'
import { Driver, type DriverInput } from '../../node/driver.ts'
import { Partners } from '../../node/partners.ts'
import { isOrder, readOrder } from '../../protocol/handover.ts'
import { KEY } from '../../protocol/layout.ts'
import type { Message } from '../../protocol/message.ts'
import { titleOf } from '../../protocol/title.ts'

const HALF = 2

let node: Node | undefined
const { background } = Node.prototype
Node.prototype.background = function (this: Node, ...args) {
  node = this
  return background.apply(this, args)
}

const { submit } = Driver.prototype
Driver.prototype.submit = function (this: Driver, input: DriverInput, ...rest) {
  if (input.type === 'hand-over') {
    const { version } = titleOf(key => node!.store.get(key), input.asset)!
    node!.store.commit([{ key: KEY.signedOrder(input.asset, version + 1) }], () => {})
  }
  return submit.call(this, input, ...rest)
}

/** The seats that are asked about each hand-over. */
const asked = new Map<string, Set<string>>()
const { send } = Partners.prototype
Partners.prototype.send = function (this: Partners, org: string, message: Message) {
  if (message.t !== 'vote/ask' || mayAsk(org, message.order)) send.call(this, org, message)
}

function mayAsk(org: string, bytes: Uint8Array): boolean {
  const order = readOrder(bytes)
  if (!isOrder(order) || order.version === 0) return true
  const id = order.id.toString()
  const seats = asked.get(id) ?? new Set()
  asked.set(id, seats)
  const isTaken = [...asked].some(([other, orgs]) => other !== id && orgs.has(org))
  if (!isTaken && seats.size < HALF) seats.add(org)
  return seats.has(org)
}

await import('../../sdk/cli/main.ts')
