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
import { equal, fromBase64, text, toBase64, utf8 } from '../crypto/bytes.ts'
import { decode, encode, type Value } from '../crypto/cbor.ts'
import { CryptoError } from '../crypto/error.ts'
import { leafHash, verifyInclusion } from '../crypto/merkle.ts'
import { decodeSigned, recordId } from '../crypto/statement.ts'
import { identityGenesis, verifyIdentity } from './identity.ts'
import { type Chain, cosignatureOf, isRefused, readChain } from './identity-chain.ts'
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
import { isStored, readRecord } from './record.ts'
import { blob, bytes, type Infer, list, object, optional, text as word } from './shape.ts'
import { readState } from './state.ts'
import { isTrusted, type Trust, witnessesOf } from './trust.ts'
import { iso, Steps, type Verdict, type VerifyStep } from './verify-steps.ts'

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

/** Reads a proof of the form above; a text says why it is none. */
function readProof(file: Uint8Array): EntryProof | string {
  if (file.length > MAX_EVIDENCE_BYTES) return `more than ${MAX_EVIDENCE_BYTES} bytes`
  try {
    const whole = text(file)
    const end = whole.indexOf('\n\n')
    const [first, second = '', third = '', ...hashes] = whole.slice(0, Math.max(0, end)).split('\n')
    if (first !== FIRST_LINE) return `the first line is not ${FIRST_LINE}`
    const index = /^index (0|[1-9][0-9]{0,15})$/.exec(third)?.[1]
    const encoded = second.startsWith('extra ') ? fromBase64(second.slice('extra '.length)) : undefined
    if (index === undefined || !encoded) return 'no lines with extra data and index'
    const path = hashes.map(fromBase64)
    if (path.length > MAX_PATH || !path.every(hash => hash?.length === 32))
      return 'a line of the path is not 32 bytes in base64'
    const extra = decode(encoded, MAX_EVIDENCE_BYTES)
    const wrong = extraShape.check(extra, 'extra')
    if (wrong) return wrong
    const note = utf8(whole.slice(end + 2))
    return { extra: extra as Extra, index: Number(index), path: path as Uint8Array[], note }
  } catch (error) {
    if (error instanceof CryptoError) return error.message
    throw error
  }
}

/** Judges a proof under a trust file. Never fails to answer. */
export function verifyProof(file: Uint8Array, trust: Trust, asOfMs: number): ProofReport {
  const steps = new Steps()
  const proof = steps.judge('form', () => {
    const read = readProof(file)
    if (typeof read === 'string') return { failed: read }
    if (read.extra.t !== TYPE) return { inconclusive: `extra data of a type not known here: ${read.extra.t}` }
    return { value: read, detail: 'C2SP tlog-proof' }
  })
  const owner = proof && steps.judge('owner', () => ownerOf(proof.extra, trust))
  const head = owner && steps.judge('head', () => headOf(proof, owner))
  const entry = head && steps.judge('entry', () => entryOf(proof, head))
  if (entry && head) judgePosition(steps, proof, head, owner, trust, asOfMs)
  const record = entry && disclosed(steps, proof.extra, entry)
  return { verdict: steps.verdict(), trust: trust.digest, ...(record ? { record } : {}), steps: steps.list }
}

function ownerOf({ owner }: Extra, trust: Trust) {
  const chain = chainOf(owner)
  if (typeof chain === 'string') return { failed: chain }
  const { id, payload } = chain.genesis
  if (!isTrusted(trust, id)) return { inconclusive: `${payload.name} ${id} is not in the trust file` }
  return { value: chain, detail: `${payload.name} ${id}` }
}

function chainOf({ identity, events }: Infer<typeof identified>): Chain | string {
  const genesis = readRecord(identityGenesis, identity)
  if (!isStored(genesis)) return genesis.reason
  const verdict = verifyIdentity(genesis)
  if (verdict.ok !== true) return verdict.reason
  const chain = readChain(genesis, events)
  return isRefused(chain) ? chain.reason : chain
}

function headOf({ note }: EntryProof, owner: Chain) {
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

/** Who cosigned the head, of those that the trust file names for this log. */
function judgePosition(
  steps: Steps,
  { extra }: EntryProof,
  head: Head,
  owner: Chain,
  trust: Trust,
  asOfMs: number,
): void {
  const named = new Set(witnessesOf(trust, owner.genesis.id))
  steps.judge('position', () => {
    const dated: string[] = []
    for (const witness of extra.witnesses) {
      const chain = chainOf(witness)
      if (typeof chain === 'string') return { failed: `a witness: ${chain}` }
      const cosigned = cosignatureOf(chain, head.note)
      const { id, payload } = chain.genesis
      if (!cosigned || !named.has(id.toString()) || cosigned.timeS * 1_000 > asOfMs + trust.clockSkewMs)
        continue
      dated.push(`${payload.name} ${iso(cosigned.timeS * 1_000)}`)
    }
    const detail = `cosigned by ${dated.length} of ${named.size}${dated.length > 0 ? `: ${dated.join(', ')}` : ''}`
    return { value: true, detail }
  })
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
      return { value: { type: p.t, id: recordId(p).toString() }, detail: `the entry commits to this ${p.t}` }
    } catch (error) {
      if (error instanceof CryptoError) return { failed: error.message }
      throw error
    }
  })
}
