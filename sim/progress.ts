/** Liveness: what must be so once all faults are over and time has passed. Each line says what is not. */
import { equal, readU64, text, toHex } from '../crypto/bytes.ts'
import { cidFromDigest } from '../crypto/cid.ts'
import { rootOf } from '../crypto/merkle.ts'
import { parseNote } from '../crypto/note.ts'
import { isBehind } from '../protocol/behind.ts'
import { cosigners, isReached, quorums, readSeating } from '../protocol/committee.ts'
import { committee } from '../protocol/committee-record.ts'
import type { Delivery } from '../protocol/delivery.ts'
import { forksKnown, readFork } from '../protocol/fork.ts'
import { newestHead, readWatch, type Watch } from '../protocol/heads.ts'
import { cosignerName } from '../protocol/identity.ts'
import { isOfRecord, type KeptEntry, keptRecord, readEntries, redactedOf } from '../protocol/kept.ts'
import { KEY } from '../protocol/layout.ts'
import { rootAt } from '../protocol/ledger.ts'
import {
  commitment,
  type Entry,
  emptyTail,
  KIND,
  type LogTail,
  logDigest,
  readBack,
  readEntry,
  readHead,
} from '../protocol/log.ts'
import { closedLog } from '../protocol/log-number.ts'
import { decodeState } from '../protocol/machine.ts'
import type { Negotiation } from '../protocol/negotiation-state.ts'
import { decodePartner } from '../protocol/pairing.ts'
import { isStored, readRecord } from '../protocol/record.ts'
import { isRetired } from '../protocol/restored.ts'
import { readState } from '../protocol/state.ts'
import type { Transfer } from '../protocol/transfer.ts'
import type { Cluster } from './cluster.ts'
import type { SimNode } from './node.ts'
import type { Suspects } from './suspects.ts'

/** Of organisations that are not sound only the log is looked at, once it goes on as another; what else they began may never end. */
export function unfinished(cluster: Cluster, suspects: Suspects): string[] {
  const stopped = cluster.nodes.filter(({ onDisk }) => isBehind(onDisk)).map(({ org }) => org)
  const excused = new Set([...suspects.putBack, ...suspects.robbed, ...suspects.hostile, ...stopped])
  return cluster.nodes.flatMap(node => {
    const away = new Set([...excused, ...(suspects.liars.get(node.org) ?? [])])
    const all = () => [
      ...openMachines(node, away),
      ...logFaults(node, away),
      ...oneSided(cluster, node, away),
    ]
    const isNext = node.chain.logs.length > 1
    const next = () => [...unfollowed(cluster, node, excused), ...unguarded(cluster, node, away)]
    const faults = isNext ? [...logFaults(node, away), ...next()] : all()
    return excused.has(node.org) && !isNext ? [] : faults.map(what => `${node.name}: ${what}`)
  })
}

/**
 * Logs with two histories of which a sound node saw one that the log's owner has left, or knows them both: all sound
 * partners hold them as closed, with a proof that convicts. Only who is still the owner's partner can ask it: a backup may
 * know nobody.
 */
export function leftOpen(cluster: Cluster, suspects: Suspects): string[] {
  return [...suspects.putBack, ...suspects.robbed].flatMap(org => {
    const owner = cluster.node(org)!
    const sound = cluster.nodes.filter(node => !suspects.putBack.has(node.org) && node.admitted.has(org))
    const saw = sound.filter(
      node => owner.admitted.has(node.org) && !isOnLog(owner, readWatch(node.onDisk(KEY.watch(org)))),
    )
    // Its members saw to it that there is no second history, or it knew by itself.
    const isStopped = isBehind(owner.onDisk) || isRetired(owner.onDisk)
    const isKnown = (saw.length > 0 && !isStopped) || sound.some(node => isClosed(node, org))
    const open = isKnown ? sound.filter(node => !isClosed(node, org)) : []
    return open.map(node => `${node.name} holds the log of ${owner.name} as open`)
  })
}

/** Whether the operator closes the log: it is proven to be forked, or the store must not go on with it. */
export const mustSucceed = ({ org, onDisk }: SimNode): boolean =>
  isBehind(onDisk) || isRetired(onDisk) || onDisk(KEY.fork(org)) !== undefined

function isOnLog(owner: SimNode, seen: Watch | undefined): boolean {
  if (!seen) return true
  const { tail, signed } = owner.state.ledger
  // Nothing is signed beside what was seen: without its members the owner cannot be asked about it.
  if (signed.range.size < seen.size) return true
  const { size } = tail.range
  return seen.size <= size && equal(rootAt(owner.state.ledger, owner.onDisk, seen.size), seen.root)
}

/** By the proof alone, as somebody reads it who knows nothing else. */
function isClosed(node: SimNode, org: string): boolean {
  const known = forksKnown({ get: node.onDisk }).map(proof => readFork(proof))
  return known.some(fork => !('reason' in fork) && fork.org.toString() === org)
}

/** A successor begins where the closed log ended, and every sound partner follows it. */
function unfollowed(cluster: Cluster, node: SimNode, excused: ReadonlySet<string>): string[] {
  const { org, chain } = node
  const partners = cluster.nodes.filter(each => each.admitted.has(org) && !excused.has(each.org))
  const behind = partners.filter(each => {
    const stored = each.onDisk(KEY.partner(org))
    return stored && decodePartner(stored).chain.logs.length < chain.logs.length
  })
  return [...misbegun(node), ...behind.map(({ name }) => `${name} does not know its successor`)]
}

/** Who named witnesses for its log, all of them sound, has them as the committee of the next one too. */
function unguarded(cluster: Cluster, node: SimNode, excused: ReadonlySet<string>): string[] {
  const named = node.witnesses.map(id => cluster.node(id.toString())!)
  const sit = named.filter(each => each.sits && node.admitted.has(each.org) && !excused.has(each.org))
  const isGuarded = readSeating(node.onDisk).now !== undefined
  return named.length === 0 || sit.length < named.length || isGuarded
    ? []
    : ['its successor has no committee']
}

/** The first entry has the root and the size at which the log before it ended, all that was final included. */
function misbegun({ onDisk, chain, witnesses }: SimNode): string[] {
  const [first] = readEntries(onDisk, 0, 1)
  const entry = first && (readEntry(first.entry) as Entry)
  const [log, root, size] = entry?.x ?? []
  if (entry?.k !== KIND.genesis || !size || !equal(log!, logDigest(chain)))
    return ['the successor does not begin with what it is']
  const before = closedLog(onDisk, chain.logs.length - 2)
  const end = readU64(size, 24)!
  const { range } = readBack(
    emptyTail(),
    [...readEntries(before, 0, end)].map(each => each.entry),
  ) as LogTail
  if (range.size !== end || (end > 0 && !equal(rootOf(range), root!)))
    return [`the closed log did not end at ${end}`]
  const newest = newestHead(before)
  const names = newest ? parseNote(text(newest.note)).lines.map(({ name }) => name) : []
  const isBest = witnesses.every(id => names.includes(cosignerName(id.toString())))
  return isBest && newest && newest.size > end
    ? [`the closed log ended at ${newest.size}, not at ${end}`]
    : []
}

/** Dialogues that have not ended; a machine's key names its partner. */
function openMachines(node: SimNode, excused: ReadonlySet<string>): string[] {
  return node.disk
    .list(KEY.opens)
    .map(([key]) => key.slice(KEY.opens.length))
    .filter(machine =>
      machine === KEY.seating ? isAskedFor(node, excused) : !excused.has(partnerOf(node, machine)),
    )
    .map(machine => `${machine} has not ended`)
}

/** Whether a committee is asked for that all who are asked would sit in. */
function isAskedFor(node: SimNode, excused: ReadonlySet<string>): boolean {
  const { asked } = readSeating(node.onDisk)
  const read = asked && readRecord(committee, asked.record)
  return (
    node.sits && !!read && isStored(read) && !read.payload.seats.some(seat => excused.has(seat.toString()))
  )
}

function partnerOf(node: SimNode, machine: string): string {
  const [kind, org] = machine.split('/') as [string, string]
  return kind === 'delivery' ? decodeState<Delivery>(node.onDisk(machine)!).org : org
}

/** The log reads back, stands under a head, and each witness that is a partner has cosigned that head. */
function logFaults(node: SimNode, excused: ReadonlySet<string>): string[] {
  const { ledger } = node.state
  const { size } = ledger.tail.range
  const kept = [...readEntries(node.onDisk, 0, size)]
  const tail = readBack(
    emptyTail(),
    kept.map(({ entry }) => entry),
  )
  if ('reason' in tail) return [`the log does not read back: ${tail.reason}`]
  const newest = newestHead(node.onDisk)
  if (newest?.size !== size && lacksMembers(node, size, excused)) return []
  if (newest?.size !== size) return [`the newest head covers ${newest?.size ?? 0} of ${size} entries`]
  const head = readHead(newest.note, node.chain)
  if ('reason' in head) return [head.reason]
  if (!equal(head.root, rootOf(tail.range))) return ['the newest head is not of these entries']
  const committing = kept.filter(isOfRecord)
  const records = new Set(committing.map(({ of }) => toHex(of)))
  if (records.size < committing.length) return [`${committing.length} entries for ${records.size} records`]
  return [...unstated(node, kept), ...uncommitted(node, kept), ...uncosigned(node, newest.note, excused)]
}

/** State entries each name the one before, and the newest is the last entry, at a padded size. */
function unstated(node: SimNode, kept: KeptEntry[]): string[] {
  let next = 0
  for (const [i, { entry }] of kept.entries()) {
    const read = readEntry(entry) as Entry
    if (read.k !== KIND.state) continue
    const state = readState(read)
    if ('reason' in state || state.next !== next) return [`state entry ${i} does not name the one before`]
    next = i + 1
  }
  if (next === kept.length && next % node.env.pad === 0) return []
  return [`the last state entry is at ${next} of ${kept.length} entries`]
}

/** Whether so many members have stopped that the head of `size` cannot be signed (RULES D1). */
function lacksMembers(node: SimNode, size: number, stopped: ReadonlySet<string>): boolean {
  const due = quorums(node.onDisk, size)
  const here = due.flatMap(({ seats }) => seats).filter(org => !stopped.has(org))
  return !isReached(due, here)
}

/** Records that no entry commits to as they are stored. */
function uncommitted(node: SimNode, kept: KeptEntry[]): string[] {
  const faults: string[] = []
  const disk = { get: node.onDisk, slots: node.env.slots }
  for (const [i, each] of kept.entries()) {
    const { slot, of, entry } = each
    if (!isOfRecord(each)) continue
    const id = cidFromDigest(of, 'dag-cbor')
    if (redactedOf(disk.get, id)) continue
    const record = keptRecord(disk, id)
    const salt = disk.slots.salt(slot)
    const read = readEntry(entry)
    const committed = record && 'c' in read && salt && equal(read.c, commitment(salt, record))
    if (!committed) faults.push(`entry ${i} does not commit to the record that is stored`)
  }
  return faults
}

function uncosigned(node: SimNode, note: Uint8Array, excused: ReadonlySet<string>): string[] {
  const names = new Set(parseNote(text(note)).lines.map(({ name }) => name))
  return cosigners({ get: node.onDisk, witnesses: node.witnesses })
    .filter(org => node.admitted.has(org) && !excused.has(org) && !names.has(cosignerName(org)))
    .map(org => `the newest head is not cosigned by ${org}`)
}

/** Dialogues in which this node, the consumer, holds what the provider does not. */
function oneSided(cluster: Cluster, node: SimNode, excused: ReadonlySet<string>): string[] {
  const faults: string[] = []
  const theirs = (org: string, key: string) => cluster.node(org)!.onDisk(key)
  for (const [key, stored] of node.disk.list(KEY.negotiations)) {
    const n = decodeState<Negotiation>(stored)
    if (n.role !== 'consumer' || excused.has(n.org) || n.state !== 'FINALIZED') continue
    const grant = theirs(n.org, KEY.grant(node.org, n.agreementId!))
    if (!grant || !equal(grant, n.agreement!)) faults.push(`${key}: the provider does not hold the agreement`)
  }
  for (const [key, stored] of node.disk.list(KEY.transfers)) {
    const t = decodeState<Transfer>(stored)
    if (t.role !== 'consumer' || excused.has(t.org)) continue
    if (t.open !== 0) faults.push(`${key}: ${t.open} packets are open`)
  }
  for (const [key, stored] of node.disk.list(KEY.deliveries)) {
    const d = decodeState<Delivery>(stored)
    if (d.role !== 'consumer' || excused.has(d.org) || d.state !== 'DONE') continue
    const other = theirs(d.org, key)
    const second = other && decodeState<Delivery>(other).second
    if (!second || !equal(second, d.second!))
      faults.push(`${key}: the provider does not hold the last receipt`)
  }
  return faults
}
