/** The committee of the own log, and seats in those of partners, as the local API shows and changes them. */
import { parseCid } from '../crypto/cid.ts'
import { readSeat, readSeating } from '../protocol/committee.ts'
import { committee } from '../protocol/committee-record.ts'
import { isStored, readRecord } from '../protocol/record.ts'
import type { Node } from './daemon.ts'
import type { CommitteeRequest, CommitteeView } from './schema.ts'

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
    seatsOffered: waiting.map(({ org, name }) => ({ id: org, name })),
  }
}

function recordView(node: Node, bytes: Uint8Array): NonNullable<CommitteeView['inForce']> {
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
