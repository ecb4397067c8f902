/**
 * One entry of a log, proven alone, as C2SP tlog-proof: index, path and checkpoint in text that any client of such logs
 * reads. The extra line says whose log it is and carries the entry; and, where the log's owner discloses it, the body with
 * the salt that its commitment was made with. Several under one head show what they disclose and no more.
 *
 *     c2sp.org/tlog-proof@v1
 *     extra base64(dag-cbor)
 *     index 12
 *     base64 hash, a line each
 *     (empty line)
 *     checkpoint, signed
 */
import { equal, fromBase64, text, toBase64, toHex, utf8 } from '../crypto/bytes.ts'
import { encode, type Value } from '../crypto/cbor.ts'
import { CryptoError } from '../crypto/error.ts'
import { leafHash, verifyInclusion } from '../crypto/merkle.ts'
import { decodeSigned, recordId } from '../crypto/statement.ts'
import { committeesShape } from './committee-record.ts'
import { readDocument } from './document.ts'
import { type Chain, shownChain } from './identity-chain.ts'
import {
  MAX_ENTRY_BYTES,
  MAX_EVENT_BYTES,
  MAX_EVIDENCE_BYTES,
  MAX_IDENTITY_EVENTS,
  MAX_PATH,
  MAX_RECORD_BYTES,
  MAX_WITNESSES,
} from './limits.ts'
import { commitment, type Entry, type Head, KIND, readEntry, readHead } from './log.ts'
import type { Unread } from './record.ts'
import { blob, bytes, type Infer, list, object, optional, text as word } from './shape.ts'
import { readState } from './state.ts'
import { isTrusted, positionWords, type Trust } from './trust.ts'
import { committeesOfOne } from './verify-committees.ts'
import { cosignedBy } from './verify-cosignatures.ts'
import { lastUnder } from './verify-rest.ts'
import {
  iso,
  type Question,
  Steps,
  type Verdict,
  type VerifyOptions,
  type VerifyStep,
  worse,
} from './verify-steps.ts'

const FIRST_LINE = 'c2sp.org/tlog-proof@v1'
const TYPE = 'entry-proof/1'

const identified = object({
  identity: blob(MAX_RECORD_BYTES),
  events: list(blob(MAX_EVENT_BYTES), MAX_IDENTITY_EVENTS),
})
const extraShape = object({
  t: word(32),
  /** Whose log it is, and who may have cosigned. */
  owner: identified,
  witnesses: list(identified, MAX_WITNESSES),
  entry: blob(MAX_ENTRY_BYTES),
  /** The last entry under the head, which names the committee in force, and those that there were. */
  state: optional(object({ entry: blob(MAX_ENTRY_BYTES), path: list(bytes(32), MAX_PATH) })),
  committees: committeesShape,
  /** Both or none: the signed record that the entry commits to, and the salt. */
  body: optional(blob(MAX_RECORD_BYTES)),
  salt: optional(bytes(32)),
})
type Extra = Infer<typeof extraShape>

interface EntryProof {
  extra: Extra
  index: number
  path: Uint8Array[]
  note: Uint8Array
}

export interface ProofReport {
  verdict: Verdict
  trust: string
  /** Type and id of the record that was disclosed. */
  record?: { type: string; id: string }
  steps: VerifyStep[]
}

export function formatProof({ extra, index, path, note }: EntryProof): Uint8Array {
  const lines = [FIRST_LINE, `extra ${toBase64(encode(extra as unknown as Value))}`, `index ${index}`]
  return utf8(`${[...lines, ...path.map(toBase64)].join('\n')}\n\n${text(note)}`)
}

export const makeExtra = (about: Omit<Extra, 't'>): Extra => ({ t: TYPE, ...about })

/** Reads a proof of the form above; else why it is none, or that what it adds to the form is of a version not known. */
function readProof(file: Uint8Array): EntryProof | Unread {
  if (file.length > MAX_EVIDENCE_BYTES) return noProof(`more than ${MAX_EVIDENCE_BYTES} bytes`)
  try {
    const whole = text(file)
    const end = whole.indexOf('\n\n')
    const [first, second = '', third = '', ...hashes] = whole.slice(0, Math.max(0, end)).split('\n')
    if (first !== FIRST_LINE) return noProof(`the first line is not ${FIRST_LINE}`)
    const index = /^index (0|[1-9][0-9]{0,15})$/.exec(third)?.[1]
    const encoded = second.startsWith('extra ') ? fromBase64(second.slice('extra '.length)) : undefined
    if (index === undefined || !encoded) return noProof('no lines with extra data and index')
    const path = hashes.map(fromBase64)
    if (path.length > MAX_PATH || !path.every(hash => hash?.length === 32))
      return noProof('a line of the path is not 32 bytes in base64')
    const extra = readDocument<Extra>(encoded, MAX_EVIDENCE_BYTES, TYPE, extraShape)
    if ('reason' in extra) return extra
    const note = utf8(whole.slice(end + 2))
    return { extra, index: Number(index), path: path as Uint8Array[], note }
  } catch (error) {
    if (error instanceof CryptoError) return noProof(error.message)
    throw error
  }
}

const noProof = (reason: string): Unread => ({ ok: false, reason })

/** Judges a proof under a trust file. Never fails to answer. */
export function verifyProof(
  file: Uint8Array,
  trust: Trust,
  options: Pick<VerifyOptions, 'asOfMs' | 'requireFinal'>,
): ProofReport {
  const steps = new Steps()
  const proof = steps.judge('form', () => {
    const read = readProof(file)
    return 'reason' in read ? worse(read) : { value: read, detail: 'C2SP tlog-proof' }
  })
  const owner = proof && steps.judge('owner', () => ownerOf(proof.extra, trust))
  const head = owner && steps.judge('head', () => headOf(proof, owner))
  const entry = head && steps.judge('entry', () => entryOf(proof, head))
  if (entry && head) judgePosition(steps, proof, head, owner, { trust, options })
  const record = entry && disclosed(steps, proof.extra, entry)
  return { verdict: steps.verdict(), trust: trust.digest, ...(record ? { record } : {}), steps: steps.list }
}

function ownerOf({ owner }: Extra, trust: Trust) {
  const chain = shownChain(owner.identity, owner.events)
  if ('reason' in chain) return worse(chain)
  const { id, payload } = chain.genesis
  if (!isTrusted(trust, id)) return { inconclusive: `${payload.name} ${id} is not in the trust file` }
  return { value: chain, detail: `${payload.name} ${id}` }
}

function headOf({ note }: EntryProof, owner: Chain) {
  // What a head is worth whose key has ended, or whose log is closed, is said of its position.
  const head = readHead(note, owner, undefined, { revoked: true, closed: true })
  return 'reason' in head
    ? { failed: head.reason }
    : { value: head, detail: `size ${head.size}, signed by the log of ${owner.genesis.payload.name}` }
}

function entryOf({ extra, index, path }: EntryProof, { size, root }: Head) {
  const entry = readEntry(extra.entry)
  if ('reason' in entry) return entry.unknown ? { inconclusive: entry.reason } : { failed: entry.reason }
  if (entry.n !== index) return { failed: `the entry is ${entry.n}, not ${index}` }
  if (!verifyInclusion({ leaf: leafHash(extra.entry), index, size, path, root }))
    return { failed: `entry ${index} is not under the head` }
  return { value: entry, detail: `entry ${index} of ${size}, ${path.length} hashes to the head` }
}

/** Who cosigned the head, of those that the trust file names for this log, and what that is worth (RULES D3, D6). */
function judgePosition(
  steps: Steps,
  { extra }: EntryProof,
  head: Head,
  owner: Chain,
  question: Pick<Question, 'trust' | 'options'>,
): void {
  steps.judge('position', () => {
    const chains = witnessesIn(extra, owner)
    if ('reason' in chains) return worse(chains)
    const org = owner.genesis.id
    const parties = { get: (each: string) => chains.get(each), isWhole: () => true }
    const later = committeesOfOne(question, parties, org, extra.committees ?? [])
    if (!('value' in later)) return later
    const named = lastUnder(head, extra)
    if (named && 'failed' in named) return named
    const cosigned = cosignedBy({ ...question, later: later.value }, chains, org, head, named)
    if (!('value' in cosigned)) return cosigned
    const { committee, dated, leftOut, hasEnded } = cosigned.value
    const names = dated.map(({ name }) => name)
    const { final, words } = positionWords(committee, names)
    const by = dated.map(({ name, ms }) => `${name} ${iso(ms)}`)
    const ended = final ? [] : endOfLogKey(head, question.options.asOfMs)
    const detail = [words, ...by, ...leftOut, ...ended].join('; ')
    if (!final && (hasEnded || ended.length > 0)) return { inconclusive: detail }
    if (!final && question.options.requireFinal) return { inconclusive: `not final: ${detail}` }
    return { value: true, detail }
  })
}

/** What only cosignatures could make up for: a key that has ended may have signed the head since. */
function endOfLogKey({ signer }: Head, asOfMs: number): string[] {
  const { revoked, ended, until } = signer
  const hasEnded = revoked !== undefined || ended !== undefined || (until !== undefined && asOfMs > until)
  return hasEnded ? ['the log key that signed the head has ended: valid when made cannot be shown'] : []
}

/** The identities in a proof, each once, and no key in two of them (RULES B3). */
function witnessesIn({ witnesses }: Extra, owner: Chain): Map<string, Chain> | Unread {
  const chains = new Map([[owner.genesis.id.toString(), owner]])
  for (const { identity, events } of witnesses) {
    const chain = shownChain(identity, events)
    if ('reason' in chain) return { ...chain, reason: `a witness: ${chain.reason}` }
    const { id, payload } = chain.genesis
    if (chains.has(id.toString())) return noProof(`the identity of ${payload.name} is there twice`)
    chains.set(id.toString(), chain)
  }
  const keys = [...chains.values()].flatMap(chain => [...new Set(chain.keys.map(({ key }) => toHex(key)))])
  return new Set(keys).size === keys.length ? chains : noProof('two organisations have a key in common')
}

/** The body, where it is shown: it is what the entry commits to, or the proof fails. */
function disclosed(steps: Steps, { body, salt }: Extra, entry: Entry): ProofReport['record'] {
  if (entry.k === KIND.state) {
    const state = readState(entry)
    steps.judge('body', () =>
      'reason' in state ? { failed: state.reason } : { value: true, detail: 'a state entry has none' },
    )
    return undefined
  }
  if (!body && !salt) {
    steps.skip('body', 'not disclosed: the entry is a commitment')
    return undefined
  }
  return steps.judge('body', () => {
    if (!body || !salt || !equal(entry.c, commitment(salt, body)))
      return { failed: 'the entry commits to other bytes' }
    try {
      const { p } = decodeSigned(body)
      return {
        value: { type: p.t, id: recordId(p).toString() },
        detail: `the entry commits to this ${p.t}; who signed it was not verified`,
      }
    } catch (error) {
      if (error instanceof CryptoError) return { failed: error.message }
      throw error
    }
  })
}
