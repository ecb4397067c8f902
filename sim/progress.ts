/** Liveness: what must be so once all faults are over and time has passed. Each line says what is not. */
import { equal, text, toHex } from '../crypto/bytes.ts'
import { cidFromDigest } from '../crypto/cid.ts'
import { rootOf } from '../crypto/merkle.ts'
import { parseNote } from '../crypto/note.ts'
import { isBehind } from '../protocol/behind.ts'
import { committee, cosigners, isReached, quorums, readSeating } from '../protocol/committee.ts'
import type { Delivery } from '../protocol/delivery.ts'
import { forksKnown, readFork } from '../protocol/fork.ts'
import { newestHead, readWatch, type Watch } from '../protocol/heads.ts'
import { cosignerName } from '../protocol/identity.ts'
import { isOfRecord, type KeptEntry, keptRecord, readEntries } from '../protocol/kept.ts'
import { KEY } from '../protocol/layout.ts'
import { rootAt } from '../protocol/ledger.ts'
import { commitment, type Entry, emptyTail, KIND, readBack, readEntry, readHead } from '../protocol/log.ts'
import { decodeState } from '../protocol/machine.ts'
import type { Negotiation } from '../protocol/negotiation.ts'
import { isStored, readRecord } from '../protocol/record.ts'
import { readState } from '../protocol/state.ts'
import type { Transfer } from '../protocol/transfer.ts'
import type { Cluster } from './cluster.ts'
import type { SimNode } from './node.ts'

/**
 * `putBack` are organisations whose store was put back to an earlier state, and that may have stopped for it: what they began
 * with others may never end, and heads that need their promise are not signed.
 */
export function unfinished(cluster: Cluster, putBack: ReadonlySet<string>): string[] {
  const stopped = cluster.nodes.filter(({ disk }) => isBehind(key => disk.get(key))).map(({ org }) => org)
  const excused = new Set([...putBack, ...stopped])
  return cluster.nodes
    .filter(({ org }) => !excused.has(org))
    .flatMap(node =>
      [...openMachines(node, excused), ...logFaults(node, excused), ...oneSided(cluster, node, excused)].map(
        what => `${node.name}: ${what}`,
      ),
    )
}

/**
 * Logs with two histories of which a sound node saw one that the log's owner has left: all sound partners hold them as
 * closed, with a proof that convicts. Only who is still the owner's partner can ask it: a backup may know nobody.
 */
export function leftOpen(cluster: Cluster, putBack: ReadonlySet<string>): string[] {
  return [...putBack].flatMap(org => {
    const owner = cluster.node(org)!
    const sound = cluster.nodes.filter(node => !putBack.has(node.org) && node.admitted.has(org))
    const saw = sound.filter(
      node => owner.admitted.has(node.org) && !isOnLog(owner, readWatch(node.disk.get(KEY.watch(org)))),
    )
    // Its members saw to it that there is no second history.
    const isStopped = isBehind(key => owner.disk.get(key))
    const open = saw.length > 0 && !isStopped ? sound.filter(node => !isClosed(node, org)) : []
    return open.map(node => `${node.name} holds the log of ${owner.name} as open`)
  })
}

function isOnLog(owner: SimNode, seen: Watch | undefined): boolean {
  if (!seen) return true
  const get = (key: string) => owner.disk.get(key)
  const { size } = owner.state.ledger.tail.range
  return seen.size <= size && equal(rootAt(owner.state.ledger, get, seen.size), seen.root)
}

function isClosed(node: SimNode, org: string): boolean {
  const known = forksKnown({ get: key => node.disk.get(key) }).map(proof => readFork(proof))
  return known.some(fork => typeof fork !== 'string' && fork.org.toString() === org)
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
  const { asked } = readSeating(key => node.disk.get(key))
  const read = asked && readRecord(committee, asked.record)
  return (
    node.sits && !!read && isStored(read) && !read.payload.seats.some(seat => excused.has(seat.toString()))
  )
}

function partnerOf(node: SimNode, machine: string): string {
  const [kind, org] = machine.split('/') as [string, string]
  return kind === 'delivery' ? decodeState<Delivery>(node.disk.get(machine)!).org : org
}

/** The log reads back, stands under a head, and each witness that is a partner has cosigned that head. */
function logFaults(node: SimNode, excused: ReadonlySet<string>): string[] {
  const { ledger } = node.state
  const { size } = ledger.tail.range
  const kept = [...readEntries(key => node.disk.get(key), 0, size)]
  const tail = readBack(
    emptyTail(),
    kept.map(({ entry }) => entry),
  )
  if ('reason' in tail) return [`the log does not read back: ${tail.reason}`]
  const newest = newestHead(key => node.disk.get(key))
  if (newest?.size !== size && lacksMembers(node, size, excused)) return []
  if (newest?.size !== size) return [`the newest head covers ${newest?.size ?? 0} of ${size} entries`]
  const head = readHead(newest.note, node.env.self.chain)
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
  const due = quorums(key => node.disk.get(key), size)
  const here = due.flatMap(({ seats }) => seats).filter(org => !stopped.has(org))
  return !isReached(due, here)
}

/** Records that no entry commits to as they are stored. */
function uncommitted(node: SimNode, kept: KeptEntry[]): string[] {
  const faults: string[] = []
  const disk = { get: (key: string) => node.disk.get(key), slots: node.env.slots }
  for (const [i, each] of kept.entries()) {
    const { slot, of, entry } = each
    if (!isOfRecord(each)) continue
    const record = keptRecord(disk, cidFromDigest(of, 'dag-cbor'))
    const salt = disk.slots.salt(slot)
    const read = readEntry(entry)
    const committed = record && 'c' in read && salt && equal(read.c, commitment(salt, record))
    if (!committed) faults.push(`entry ${i} does not commit to the record that is stored`)
  }
  return faults
}

function uncosigned(node: SimNode, note: Uint8Array, excused: ReadonlySet<string>): string[] {
  const names = new Set(parseNote(text(note)).lines.map(({ name }) => name))
  return cosigners({ get: key => node.disk.get(key), witnesses: node.witnesses })
    .filter(org => node.admitted.has(org) && !excused.has(org) && !names.has(cosignerName(org)))
    .map(org => `the newest head is not cosigned by ${org}`)
}

/** Dialogues in which this node, the consumer, holds what the provider does not. */
function oneSided(cluster: Cluster, node: SimNode, excused: ReadonlySet<string>): string[] {
  const faults: string[] = []
  const theirs = (org: string, key: string) => cluster.node(org)!.disk.get(key)
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
