/**
 * Whether an owner is still the last one (RULES E6): a chain that verifies may be an old one. A seat that has not voted for the
 * next version says so, dated and signed with its vote key; q such words mean that no later version was certified when the
 * first of them was said.
 */
import type { CID } from '../crypto/cid.ts'
import type { PrivateKey } from '../crypto/key.ts'
import { encodeSigned, type Payload, payloadPart, signRecord, verifySignature } from '../crypto/statement.ts'
import { type AssetCommittee, type Seat, seatOf } from './asset-committee.ts'
import { MAX_RECORD_BYTES, MAX_SEATS } from './limits.ts'
import type { Owned } from './ownership.ts'
import { isStored, type RecordType, readRecord, recordType, type Stored } from './record.ts'
import { blob, type Infer, link, list, object, text, uint } from './shape.ts'

const shape = object({
  t: text(32),
  committee: link,
  org: link,
  epoch: uint,
  asset: link,
  /** This seat has voted for no later one. */
  version: uint,
  at: uint,
})
export type Fresh = Infer<typeof shape>
/** Its signature is by the vote key of the seat. */
export const fresh: RecordType<Fresh> = recordType({ t: 'fresh/1', shape, signers: {} })

/** Words of seats that this version was the last, as they go with an agreement. */
export const wordsShape = object({ version: uint, words: list(blob(MAX_RECORD_BYTES), MAX_SEATS) })
export type Words = Infer<typeof wordsShape>

export function makeFresh(
  { org, epoch }: Seat,
  key: PrivateKey,
  about: { committee: CID; asset: CID; version: number },
  at: number,
): Uint8Array {
  const word = { t: fresh.t, org, epoch, ...about, at } as unknown as Payload
  return encodeSigned({ p: word, s: [signRecord(word, 'seat', key)] })
}

/** The word of a seat of this committee; otherwise why it is none. */
export function readFresh(stored: Uint8Array, committee: Stored<AssetCommittee>): Fresh | { reason: string } {
  const read = readRecord(fresh, stored)
  if (!isStored(read)) return { reason: read.reason }
  const { payload, signatures } = read
  const seat = seatOf(committee.payload, payload.org)
  if (!payload.committee.equals(committee.id) || seat?.epoch !== payload.epoch)
    return { reason: `${payload.org} has no such seat in the committee` }
  const [signature] = signatures
  const held =
    signatures.length === 1 &&
    signature!.r === 'seat' &&
    verifySignature(fresh.t, payloadPart(stored), signature!, seat.key.k)
  return held ? payload : { reason: `the word of ${payload.org} is not signed by its seat` }
}

/**
 * Which seats say that this version is the last, and since when: by the earliest of the q newest words. Seats of owners
 * do not count, as they do not for certificates.
 */
export function freshBy(
  words: Uint8Array[],
  { asset, version, joint, committee }: Owned,
): { orgs: CID[]; atMs: number } | undefined {
  const newest = new Map<string, Fresh>()
  for (const each of words) {
    const word = readFresh(each, committee)
    if ('reason' in word || !word.asset.equals(asset) || word.version !== version) continue
    if (joint.owners.some(({ org }) => org.equals(word.org))) continue
    const name = word.org.toString()
    if ((newest.get(name)?.at ?? -1) < word.at) newest.set(name, word)
  }
  const { q } = committee.payload
  if (q === 0 || newest.size < q) return undefined
  const inOrder = [...newest.values()].sort((a, b) => b.at - a.at)
  return { orgs: inOrder.map(({ org }) => org), atMs: inOrder[q - 1]!.at }
}
