/** Redaction at a node: what only a search of its store finds, the command, and the end of the keys. */
import { type CID, cidFromDigest, parseCid } from '../crypto/cid.ts'
import { decodeSigned } from '../crypto/statement.ts'
import { type Asking, type Found, find, redactionOf } from '../protocol/erasure.ts'
import { isOfRecord, keptRecord, readEntries, redactedOf } from '../protocol/kept.ts'
import { KEY } from '../protocol/layout.ts'
import { decodeState } from '../protocol/machine.ts'
import { isStored, readRecord } from '../protocol/record.ts'
import { redaction } from '../protocol/redaction.ts'
import type { Node } from './daemon.ts'
import type { RecordView } from './schema.ts'

/** Destroys what a record says; the keys are gone when it settles. */
export async function redact(node: Node, wanted: string, reason: string): Promise<RecordView> {
  const record = await recordId(node, wanted)
  await node.driver.submit({ type: 'redact', record, reason, ...(await search(node, record)) })
  await node.store.destroyNow()
  return recordView(node, record.toString())
}

/** A partner asks: the core decides, and answers it. */
export async function redactFor(node: Node, org: string, record: CID, reason: string): Promise<void> {
  const { holders: _, ...found } = await search(node, record)
  await node.driver.submit({ type: 'redact', record, reason, ...found, holders: [], asker: org })
  await node.store.destroyNow()
}

/** What is found here of records that were redacted by these words. */
export async function foundBy(node: Node, words: Uint8Array[]): Promise<(Found & { word: Uint8Array })[]> {
  const read = words.map(word => ({ word, read: readRecord(redaction, word) }))
  return Promise.all(
    read.flatMap(({ word, read }) =>
      isStored(read) ? [search(node, read.payload.record).then(found => ({ word, ...found }))] : [],
    ),
  )
}

/** Partners knew of redactions that this store did not. */
export async function eraseAgain(node: Node, words: Uint8Array[]): Promise<void> {
  await node.driver.submit({ type: 'erase', redactions: await foundBy(node, words) })
  await node.store.destroyNow()
}

/** A record here in one of three words, with those who were asked to erase it too. */
export async function recordView(node: Node, wanted: string): Promise<RecordView> {
  const id = await recordId(node, wanted)
  const stored = keptRecord(node.env, id)
  if (stored) return { id: id.toString(), state: 'present', type: decodeSigned(stored).p.t, holders: [] }
  const word = redactionOf(node.env, id)
  if (!redactedOf(node.env.get, id)) return { id: id.toString(), state: 'missing', holders: [] }
  const rows = await node.store.list(KEY.redactions)
  const askings = rows.map(([, state]) => decodeState<Asking>(state)).filter(each => each.record.equals(id))
  return {
    id: id.toString(),
    state: 'redacted',
    ...(word ? { type: word.payload.type, atMs: word.payload.made, reason: word.payload.reason } : {}),
    holders: askings.map(({ org, outcome, text }) => ({
      ...node.views.nameOf(parseCid(org)),
      outcome: outcome ?? 'asked',
      ...(text ? { text } : {}),
    })),
  }
}

/** By its whole id, or by a short one of those that are listed, `waybill log` included. */
export async function recordId(node: Node, wanted: string): Promise<CID> {
  const { views } = node
  if (/^b[a-z2-7]{58}$/.test(wanted)) return parseCid(wanted)
  const found = await views.offerId(wanted).catch(() => views.assetId(wanted).catch(() => undefined))
  return found ?? loggedId(node, wanted) ?? (await views.grant(wanted)).stored.id
}

/** As far back as a short id is looked for in the log: further back it takes longer than a caller waits. */
const LOGGED = 65_536

/** The one record that the newest entries commit to and whose id ends so. */
function loggedId({ env, driver }: Node, wanted: string): CID | undefined {
  const [, suffix] = /^(?:[a-z]-|…)?([a-z2-7]{8})$/.exec(wanted) ?? []
  if (!suffix) return undefined
  const { size } = driver.state.ledger.tail.range
  const ids = new Map<string, CID>()
  for (const entry of readEntries(env.get, Math.max(0, size - LOGGED), size)) {
    const id = isOfRecord(entry) ? cidFromDigest(entry.of, 'dag-cbor') : undefined
    if (id?.toString().endsWith(suffix)) ids.set(id.toString(), id)
  }
  return ids.size === 1 ? [...ids.values()][0] : undefined
}

export async function search(node: Node, record: CID): Promise<Found> {
  const list = (prefix: string) => node.store.list(prefix)
  const [grants, proofs, negotiations] = await Promise.all(
    [KEY.grants, KEY.allProofs, KEY.negotiations].map(list),
  )
  const partners = (await node.views.partners()).map(each => each.org)
  return find(record, { grants: grants!, proofs: proofs!, negotiations: negotiations!, partners }, node.env)
}
