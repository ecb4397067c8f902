/** The committee of the own log, and seats in those of partners, as the local API shows and changes them. */
import { parseCid } from '../crypto/cid.ts'
import { readSeat, readSeating } from '../protocol/committee.ts'
import { committee } from '../protocol/committee-record.ts'
import { KEY } from '../protocol/layout.ts'
import { decodeState } from '../protocol/machine.ts'
import { isStored, readRecord } from '../protocol/record.ts'
import type { Submission } from '../protocol/witness.ts'
import type { Node } from './daemon.ts'
import type { CommitteeRequest, CommitteeView, Status } from './schema.ts'

/** What is in force, named or asked for, and the partners who ask for a seat here. */
export async function committeeView(node: Node): Promise<CommitteeView> {
  const get = (key: string) => node.store.get(key)
  const { now, next, asked } = readSeating(get)
  const partners = await node.views.partners()
  const waiting = partners.filter(({ org }) => readSeat(get, org)?.waiting)
  return {
    ...(now ? { inForce: recordView(node, now) } : {}),
    ...(next ? { named: { ...recordView(node, next.record), entry: next.index } } : {}),
    ...(asked
      ? {
          asked: {
            ...recordView(node, asked.record),
            signed: asked.signed.map(({ org }) => node.views.nameOf(parseCid(org))),
            refused: asked.refused.map(({ org, text }) => ({ ...node.views.nameOf(parseCid(org)), text })),
          },
        }
      : {}),
    waits: silentSeats(node),
    seatsOffered: waiting.map(({ org, name }) => ({ id: org, name })),
  }
}

/** The part of a node that this looks at. */
interface Silent {
  env: Pick<Node['env'], 'get'>
  views: Pick<Node['views'], 'nameOf'>
  partners: Pick<Node['partners'], 'isConnected'>
}

/**
 * Seats of the committee in force that say that they do not sign; of one that is named also those that have not cosigned it
 * yet: it does not count before (RULES D2).
 */
export function silentSeats({ env, views, partners }: Silent): CommitteeView['waits'] {
  const { now, next } = readSeating(env.get)
  const silent = (record: Uint8Array, index: number) => {
    const read = readRecord(committee, record)
    return (isStored(read) ? read.payload.seats : []).flatMap(seat => {
      const stored = env.get(KEY.witness(seat.toString()))
      const { size = 0, stuck, waits } = stored ? decodeState<Submission>(stored) : {}
      const away = partners.isConnected(seat.toString()) ? 'has not cosigned yet' : 'is away'
      const text = stuck ?? waits ?? (size > index ? undefined : away)
      return text ? [{ ...views.nameOf(seat), text }] : []
    })
  }
  const all = [...(now ? silent(now, -1) : []), ...(next ? silent(next.record, next.index) : [])]
  return [...new Map(all.map(each => [each.id, each])).values()]
}

/** Seats that partners offer, where a person decides here, and a committee of the own log that a seat keeps from counting. */
export async function committeeProblems(node: Node): Promise<Status['problems']> {
  const offered = (await node.views.partners()).filter(({ org }) => readSeat(node.env.get, org)?.waiting)
  return [
    ...namedProblems(node),
    ...offered.map(({ name }) => ({
      code: 'SEAT_OFFERED',
      text: `${name} asks for a seat in the committee of its log`,
      hint: `waybill committee sign '${name}'`,
    })),
  ]
}

export function namedProblems(node: Silent): Status['problems'] {
  const { next } = readSeating(node.env.get)
  const silent = silentSeats(node).filter(({ text }) => text !== 'has not cosigned yet')
  if (!next || silent.length === 0) return []
  const { number } = recordView(node, next.record)
  const who = silent.map(({ name }) => name).join(', ')
  const until = number === 0 ? 'all of its seats' : 'enough seats of the old one and of the new one'
  return [
    {
      code: 'COMMITTEE_WAITS',
      text: `committee ${number} of this log counts when ${until} have cosigned it, and no head is signed before; silent: ${who}. Entries and agreements go on`,
      hint: 'waybill committee show; where they never come: waybill log succeed, whose log asks for its committee anew',
    },
  ]
}

function recordView(node: Pick<Silent, 'views'>, bytes: Uint8Array): NonNullable<CommitteeView['inForce']> {
  const read = readRecord(committee, bytes)
  if (!isStored(read)) throw new Error(read.reason)
  const { number, n, f, q, seats } = read.payload
  return { id: read.id.toString(), number, n, f, q, seats: seats.map(seat => node.views.nameOf(seat)) }
}

/** Asks these partners to sit; they are the witnesses of the log from here on. */
export async function createCommittee(
  node: Node,
  { partners, f, q }: CommitteeRequest,
): Promise<CommitteeView> {
  const found = await Promise.all(partners.map(each => node.views.findPartner(each)))
  const rule = f === undefined || q === undefined ? {} : { rule: { f, q } }
  await node.settings.seat(
    found.map(({ org }) => org),
    () => node.driver.submit({ type: 'committee', seats: found.map(({ id }) => id), ...rule }),
  )
  return committeeView(node)
}

/** Takes the seat that a partner asks for. */
export async function takeSeat(node: Node, partner: string): Promise<CommitteeView> {
  const { org } = await node.views.findPartner(partner)
  await node.driver.submit({ type: 'seat', org })
  return committeeView(node)
}
