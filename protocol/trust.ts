/**
 * Trust: whom a verifier believes. A JSON file `waybill.trust/1` that lists identities and, for each log, the
 * organisations that stand for its committee (RULES G2).
 */
import { toHex, utf8 } from '../crypto/bytes.ts'
import type { Value } from '../crypto/cbor.ts'
import { type CID, parseCid } from '../crypto/cid.ts'
import { CryptoError } from '../crypto/error.ts'
import { sha256 } from '../crypto/hash.ts'
import { ProtocolError } from './error.ts'
import { CLOCK_SKEW_MS, MAX_NAME_LENGTH, MAX_SUCCESSORS, MAX_WITNESSES } from './limits.ts'
import { type Infer, list, object, optional, text, uint } from './shape.ts'

const MAX_IDENTITIES = 10_000

const shape = object({
  schema: text(32),
  identities: list(object({ id: text(128), name: optional(text(MAX_NAME_LENGTH)) }), MAX_IDENTITIES),
  committees: list(
    object({
      log: text(128),
      witnesses: list(text(128), MAX_WITNESSES),
      /** The first committee of each of its logs that had one: it says who sits in them, and no list of names does. */
      first: optional(list(object({ log: text(128), committee: text(128) }), MAX_SUCCESSORS)),
    }),
    MAX_IDENTITIES,
  ),
  clockSkewMs: optional(uint),
  /** Organisations that count as certified: only they are believed to vote on assets (RULES E1). */
  certified: optional(list(text(128), MAX_IDENTITIES)),
  /** Organisations that one hand controls, each group by itself: such seats do not vote on each other's assets (RULES E4). */
  control: optional(list(list(text(128), MAX_WITNESSES), MAX_IDENTITIES)),
  /** The last event of each identity that ended a key: without it, nobody says whether a key had been revoked. */
  known: optional(list(object({ id: text(128), n: uint, event: text(128) }), MAX_IDENTITIES)),
})
export type TrustFile = Infer<typeof shape>

export interface Trust {
  file: TrustFile
  /** SHA-256 of the file's content with sorted keys, hex: printed with every verdict. */
  digest: string
  clockSkewMs: number
}

export const TRUST_SCHEMA = 'waybill.trust/1'

/** Checks a trust file, already parsed from JSON. Throws TRUST_MALFORMED. */
export function readTrust(json: unknown): Trust {
  const schema = (json as { schema?: unknown } | null)?.schema
  if (schema !== TRUST_SCHEMA)
    throw new ProtocolError('TRUST_MALFORMED', `the trust file is not ${TRUST_SCHEMA}`)
  const reason =
    shape.check(json as Value, 'trust') ?? badId(json as TrustFile) ?? ambiguous(json as TrustFile)
  if (reason) throw new ProtocolError('TRUST_MALFORMED', reason)
  const file = json as TrustFile
  return { file, digest: toHex(sha256(utf8(sorted(file)))), clockSkewMs: file.clockSkewMs ?? CLOCK_SKEW_MS }
}

function badId(file: TrustFile): string | undefined {
  const ids = [
    ...file.identities.map(each => each.id),
    ...file.committees.flatMap(each => [each.log, ...each.witnesses]),
    ...firsts(file.committees).flatMap(each => [each.log, each.committee]),
    ...(file.certified ?? []),
    ...(file.control ?? []).flat(),
    ...(file.known ?? []).flatMap(each => [each.id, each.event]),
  ]
  for (const id of ids) {
    try {
      parseCid(id)
    } catch (error) {
      if (error instanceof CryptoError) return `${id} is not the id of an identity`
      throw error
    }
  }
  return undefined
}

function repeated(texts: string[]): string | undefined {
  const seen = new Set<string>()
  return texts.find(each => seen.size === seen.add(each).size)
}

/** Two committees of one log leave open which of them decides; a text that is no Unicode has no digest. */
function ambiguous(file: TrustFile): string | undefined {
  const logs = file.committees.map(each => each.log)
  const twice = repeated(logs)
  if (twice) return `the log of ${twice} has two committees`
  const isText = [file.schema, ...file.identities.map(each => each.name ?? '')].every(name =>
    name.isWellFormed(),
  )
  return isText ? undefined : 'a name is no Unicode text'
}

/** JSON with the keys of each object in order, so that a digest does not depend on how a file was written. */
function sorted(value: unknown): string {
  return JSON.stringify(value, (_key, each) =>
    each && typeof each === 'object' && !Array.isArray(each)
      ? Object.fromEntries(Object.entries(each).sort(([a], [b]) => (a < b ? -1 : 1)))
      : each,
  )
}

export const isTrusted = (trust: Trust, id: CID): boolean =>
  trust.file.identities.some(each => each.id === id.toString())

/** Organisations that stand for the committee of an organisation's log, each once, never the log's own. */
export function witnessesOf(trust: Trust, org: CID): string[] {
  const own = org.toString()
  const named = trust.file.committees.filter(each => each.log === own).flatMap(each => each.witnesses)
  return [...new Set(named)].filter(each => each !== own)
}

const firsts = (committees: TrustFile['committees']) => committees.flatMap(each => each.first ?? [])

/** The first committees that a trust file pins, of an organisation's logs. */
export const firstsOf = ({ file }: Trust, org: CID): ReturnType<typeof firsts> =>
  firsts(file.committees.filter(each => each.log === org.toString()))

/** Whether a log has members, or had: then nobody's word stands in for what they have not cosigned. */
export const isWitnessed = (trust: Trust, org: CID): boolean =>
  witnessesOf(trust, org).length + firstsOf(trust, org).length > 0

export interface Committee {
  n: number
  f: number
  q: number
}

/** n witnesses: how many may lie, and how many make a head final (RULES D3). */
export function committeeOf(n: number): Committee {
  if (n < 4) return { n, f: 0, q: Math.min(n, 2) }
  const f = Math.floor((n - 1) / 3)
  return { n, f, q: Math.floor((n + f) / 2) + 1 }
}

/** What `k` cosignatures of a committee are worth, in words (RULES D3). `names` are those who cosigned. */
export function positionWords({ n, f, q }: Committee, names: string[]): { final: boolean; words: string } {
  const k = names.length
  if (n === 0) return { final: false, words: 'recorded, unwitnessed' }
  if (k < q) return { final: false, words: `pending: ${k} of ${n}` }
  if (n === 1) return { final: true, words: `final, 1 of 1: dated by ${names[0]}'s word` }
  const bound = f === 0 ? 'safe only if nobody lies' : `safe while at most ${f} of ${n} lie`
  return { final: true, words: `final, ${k} of ${n}: ${bound}` }
}
