/**
 * Evidence under the hands of others, case by case: every bit, every field of every part, every part of another run or
 * in another place (RULES G2). Each case says which verdicts may come of it, and which step must tell.
 */
import { fromHex, toHex, utf8 } from '../../crypto/bytes.ts'
import { decode, encode, type Value } from '../../crypto/cbor.ts'
import { type CID, cidFromDigest } from '../../crypto/cid.ts'
import { formatNote, type NoteLine, parseNote } from '../../crypto/note.ts'
import {
  type CommitteePart,
  type EntryPart,
  type Evidence,
  PARTS,
  type PartName,
  type StaplePart,
} from '../../protocol/evidence.ts'
import { formatEvidence } from '../../protocol/evidence-file.ts'
import type { Verdict } from '../../protocol/judge.ts'
import { blocksOf, car, map, replaceRecord, withRoot } from './bundle.ts'
import { collect, deliver, type Story, story } from './evidence-story.ts'
import { DEFINITIONS, mutations, placeOf, RECORDS } from './mutations.ts'

export interface Case {
  /** What was tampered with: a part, or what stands in its place. */
  what: string
  path: string
  bytes(): Uint8Array
  /** Verdicts that may come of it; `failed` alone unless something becomes unknown, or is nobody's word. */
  may: Verdict[]
  /** The step that must not be ok. */
  step?: string
  /** The step that must be inconclusive, whatever else fails: what it is about became unknown. */
  unknown?: string
}

const STEP: Record<string, string> = {
  header: 'bundle',
  claim: 'bundle',
  provider: 'provider identity',
  consumer: 'consumer identity',
  providerHead: 'provider head',
  consumerHead: 'consumer head',
  witness: 'identities',
  entry: 'entries',
  event: 'identities',
  staple: 'staples',
}
export const stepOf = (what: string): string => STEP[what] ?? what

/** Changes that make a type, a version, an algorithm, a profile or a key state one that this version does not know. */
const UNKNOWN = [
  /\.p\.t next version$/,
  /\.a \+ 1$/,
  /\.profile\.n (\+ 1|= 0|= -1)$/,
  /^\.v (\+ 1|= 0|= -1)$/,
  /\.p\.\S+\.a (= 0|= -1)$/,
]

/** Bits of the file: every one of the lengths, and a sample of the rest that reaches each stretch of 29 bytes. */
export function* flips({ bytes }: Story): Generator<Case & { at: number; isLength: boolean }> {
  for (const { what, start, label, body, end } of map(bytes))
    for (let at = start; at < end; at++) {
      const isLength = at < label
      if (!isLength && at % (at < body ? 7 : 29) > 0) continue
      const flipped = () => bytes.map((byte, i) => (i === at ? byte ^ (1 << (at % 8)) : byte))
      yield { what, path: `bit at ${at}`, at, isLength, bytes: flipped, may: ['failed'], step: stepOf(what) }
    }
}

/** Every field of every part, of a delivery and of a consent. */
export function* fields(told: Story): Generator<Case> {
  yield* recordFields(told.evidence, linksOf(told))
  yield* recordFields(told.consent, linksOf(told), 'consent ')
  yield* bareFields(told)
  yield* entryFields(told)
  yield* stateFields(told)
  yield* committeeFields(told)
  yield* headFields(told.evidence)
  yield* headFields(told.consent, 'consent ')
  yield* rootFields(told.bytes, told)
  yield* rootFields(formatEvidence(told.consent), told, 'consent ')
  yield* otherClaims(told)
}

const linksOf = ({ agreement, packet, acme }: Story): CID[] => [agreement, packet, acme.env.self.id]

/** Fields of records, with all ids fixed up to the claim: only signatures and the hashes of the logs can tell. */
function* recordFields(evidence: Evidence, links: CID[], of = ''): Generator<Case> {
  for (const name of RECORDS) {
    const bytes = evidence.parts[name]
    if (!bytes) continue
    for (const { path, value } of mutations(decode(bytes), links, DEFINITIONS[name]))
      yield {
        ...changedField(of + name, path, stepOf(name)),
        bytes: () => formatEvidence(replaceRecord(evidence, name, value)),
      }
  }
}

/** Fields of parts with nothing but the root of the file fixed. */
function* bareFields({ evidence, ...told }: Story): Generator<Case> {
  const links = linksOf({ evidence, ...told })
  for (const name of ['asset', 'offer', 'received', 'opened', 'root', 'salt'] as const) {
    const [bytes, isRaw] = [evidence.parts[name]!, name === 'salt']
    for (const { path, value } of mutations(isRaw ? bytes : decode(bytes), links, DEFINITIONS[name])) {
      const part = isRaw ? (value as Uint8Array) : encode(value)
      const put = () => formatEvidence({ ...evidence, parts: { ...evidence.parts, [name]: part } })
      const step = isRaw && part.length === 32 ? 'content' : stepOf(name)
      yield { ...changedField(`bare ${name}`, path, step), bytes: put }
    }
  }
  for (const { path, value } of mutations(decode(evidence.witnesses[0]!), links, DEFINITIONS.witness))
    yield {
      ...changedField('witness', path),
      bytes: () => formatEvidence({ ...evidence, witnesses: [encode(value)] }),
    }
}

/** What the file says of each entry, and what the entry says. */
function* entryFields({ evidence, ...told }: Story): Generator<Case> {
  for (const [i, entry] of evidence.entries.entries()) {
    const put = (value: Value) => () =>
      formatEvidence({ ...evidence, entries: evidence.entries.with(i, value as unknown as EntryPart) })
    const outer = entry as unknown as { [key: string]: Value }
    const links = linksOf({ evidence, ...told })
    for (const { path, value } of mutations(outer, links, DEFINITIONS.entryPart)) {
      // The last byte of an entry is its version.
      const isMissing = path === '.entry last byte' || path === '.salt left out'
      const may: Verdict[] = isMissing ? ['failed', 'inconclusive'] : ['failed']
      yield { what: 'entryPart', path, bytes: put(value), may }
    }
    for (const { path, value } of mutations(decode(entry.entry), links, DEFINITIONS.entry))
      yield { ...changedField('entry', path), bytes: put({ ...outer, entry: encode(value) }) }
  }
}

/** Fields of what was handed over at signing, and of the events of the identities. */
function* stateFields({ evidence, ...told }: Story): Generator<Case> {
  const links = linksOf({ evidence, ...told })
  for (const [i, staple] of evidence.staples.entries()) {
    const put = (value: Value) => () =>
      formatEvidence({ ...evidence, staples: evidence.staples.with(i, value as unknown as StaplePart) })
    const outer = staple as unknown as { [key: string]: Value }
    for (const { path, value } of mutations(outer, links, DEFINITIONS.staple)) {
      // The last byte of an entry is its version; a staple said to be of the other side is that one's second.
      const may: Verdict[] = path === '.entry last byte' ? ['failed', 'inconclusive'] : ['failed']
      yield { what: 'staple', path, bytes: put(value), may }
    }
  }
  for (const [i, event] of evidence.events.entries())
    for (const { path, value } of mutations(decode(event), links, DEFINITIONS.event))
      yield {
        ...changedField('event', path),
        may: ['failed', 'inconclusive'],
        bytes: () => formatEvidence({ ...evidence, events: evidence.events.with(i, encode(value)) }),
        step: 'identities',
      }
}

/** Fields of the committees, of what is said of each, and the lines by which it came into force. */
function* committeeFields({ evidence, ...told }: Story): Generator<Case> {
  const links = linksOf({ evidence, ...told })
  const { committees = [] } = evidence
  for (const [i, part] of committees.entries()) {
    const side = part.org.equals(evidence.claim.provider) ? 'provider' : 'consumer'
    const put = (value: Value) => () =>
      formatEvidence({ ...evidence, committees: committees.with(i, value as unknown as CommitteePart) })
    const outer = part as unknown as { [key: string]: Value }
    for (const { path, value } of mutations(outer, links, DEFINITIONS.committeePart)) {
      // The last byte of an entry is its version; the other party's is not known to be of this log.
      const may: Verdict[] = path === '.entry last byte' ? ['failed', 'inconclusive'] : ['failed']
      yield { what: 'committeePart', path, bytes: put(value), may }
    }
    for (const { path, value } of mutations(decode(part.record), links, DEFINITIONS.committee)) {
      // Who it says to have signed it, and with which key, may be unknown; of the first nobody says what came before.
      const may: Verdict[] = ['failed', 'inconclusive']
      yield { what: 'committee', path, bytes: put({ ...outer, record: encode(value) }), may }
    }
    const note = parseNote(new TextDecoder().decode(part.note))
    for (const [j, line] of note.lines.entries())
      for (let at = 0; at < line.signature.length; at += 5) {
        const signature = line.signature.map((byte, k) => (k === at ? byte ^ 1 : byte))
        const lines = note.lines.with(j, { ...line, signature })
        const bytes = put({ ...outer, note: utf8(formatNote({ ...note, lines })) })
        const step = `${side} committee`
        yield { what: 'committee line', path: `byte ${at} of line ${j}`, bytes, may: ['failed'], step }
      }
    for (const j of note.lines.keys()) {
      const lines = note.lines.toSpliced(j, 1)
      const bytes = put({ ...outer, note: utf8(formatNote({ ...note, lines })) })
      const may: Verdict[] = [j === 0 ? 'failed' : 'inconclusive']
      yield { what: 'committee line', path: `${j} left out`, bytes, may, step: `${side} committee` }
    }
  }
}

function changedField(what: string, path: string, step?: string): Omit<Case, 'bytes'> {
  // The packet names its root by its hash, so that another version of it is not its root.
  const isUnknown = what !== 'bare root' && UNKNOWN.some(each => each.test(path))
  const may: Verdict[] = isUnknown ? ['failed', 'inconclusive'] : ['failed']
  return { what, path, may, ...(step ? { step } : {}), ...(isUnknown && step ? { unknown: step } : {}) }
}

/** Every line of the heads, and every fifth byte of the signatures on them. */
function* headFields(evidence: Evidence, of = ''): Generator<Case> {
  for (const side of ['provider', 'consumer'] as const) {
    const { body, lines } = headOf(evidence, side)
    const put = (path: string, to: { body: string; lines: NoteLine[] }, step = `${side} head`): Case => ({
      what: `${of}${side}Head`,
      path,
      bytes: () => withHead(evidence, side, to),
      may: ['failed'],
      step,
    })
    for (const changed of bodiesLike(body)) yield put(`body ${changed}`, { body: changed, lines })
    for (const [i, line] of lines.entries()) {
      const step = `${side} ${i === 0 ? 'head' : 'position'}`
      const changed = (to: Partial<NoteLine>) => ({ body, lines: lines.with(i, { ...line, ...to }) })
      for (let at = 0; at < line.signature.length; at += 5) {
        const signature = line.signature.map((byte, j) => (j === at ? byte ^ 1 : byte))
        yield put(`line ${i} signature ${at}`, changed({ signature }), step)
      }
      const other = lines[1 - i]!
      for (const keyId of [line.keyId.map(byte => byte ^ 1), other.keyId])
        yield put(`line ${i} key id`, changed({ keyId }), step)
      yield put(`line ${i} signature of the other`, changed({ signature: other.signature }), step)
      yield put(`line ${i} twice`, { body, lines: [...lines, line] }, step)
    }
    yield put('no line of the log', { body, lines: lines.slice(1) })
  }
}

function bodiesLike(body: string): string[] {
  const [origin, size, root] = body.split('\n') as [string, string, string]
  return [
    `${origin}x\n${size}\n${root}\n`,
    `${origin}\n${Number(size) + 1}\n${root}\n`,
    `${origin}\n${Number(size) - 1}\n${root}\n`,
    `${origin}\n${size}\n${root.slice(0, 9)}${root[9] === 'A' ? 'B' : 'A'}${root.slice(10)}\n`,
    `${origin}\n${size}\n${root}\nextension\n`,
  ]
}

const headOf = (evidence: Evidence, side: 'provider' | 'consumer') =>
  parseNote(new TextDecoder().decode(evidence.parts[`${side}Head`]!))

function withHead(
  evidence: Evidence,
  side: 'provider' | 'consumer',
  note: { body: string; lines: NoteLine[] },
): Uint8Array {
  return formatEvidence({
    ...evidence,
    parts: { ...evidence.parts, [`${side}Head`]: utf8(formatNote(note)) },
  })
}

/** Every field of the root block and the claim in it, with the parts as they are. */
function* rootFields(bytes: Uint8Array, told: Story, of = ''): Generator<Case> {
  const root = decode(blocksOf(bytes)[0]!.bytes)
  for (const { path, value } of mutations(root, linksOf(told), DEFINITIONS.claim)) {
    const file = () => withRoot(bytes, () => value)
    yield { what: `${of}claim`, path, bytes: file, may: [verdictOfRoot(path)] }
  }
}

function verdictOfRoot(path: string): Verdict {
  // The time that is asked about, and the history, are the presenter's word, and said to be. The order of lists is nobody's.
  if (
    /^\.claim\.asOf (\+ 1|= 0)$/.test(path) ||
    /^\.(entries|witnesses|events|staples|renewals|committees) turned$/.test(path)
  )
    return 'verified'
  // A list of no words says what no list says.
  if (path === '.redactions put in') return 'verified'
  const isHistory = /^\.history/.test(path)
  if (isHistory && !/ (with more|= -1)$|\.(at|state) left out$/.test(path)) return 'verified'
  // A word that is named and not there is missing; what it is of, nobody knows.
  return /^\.t next|^\.(redactions|renewals)\[\] put in/.test(path) ? 'inconclusive' : 'failed'
}

/** Evidence of one type of claim under the name of the other. */
function* otherClaims({ evidence, consent }: Story): Generator<Case> {
  const { packet: _, ...claim } = { ...evidence.claim, type: 'consent' as const }
  const rows: [string, Evidence][] = [
    ['consent', { ...evidence, claim: { ...evidence.claim, type: 'consent' } }],
    ['consent without packet', { ...evidence, claim }],
    ['delivery', { ...consent, claim: { ...consent.claim, type: 'delivery' } }],
  ]
  for (const [path, changed] of rows)
    yield { what: 'claim', path, bytes: () => formatEvidence(changed), may: ['failed'], step: 'bundle' }
}

/** Each part swapped with a genuine one of another run. */
export function* substitutions(told: Story): Generator<Case> {
  for (const [run, other] of otherRuns(told)) {
    yield* substitutedParts(told.evidence, other, run)
    yield* substitutedEntries(told.evidence, other, run)
    yield* substitutedLines(told.evidence, other, run)
    yield* substitutedStates(told.evidence, other, run)
  }
}

/** The same parties under another agreement, another packet of this agreement, other parties, the roles turned. */
function otherRuns(told: Story): [string, Evidence][] {
  const { world, acme, bolt, agreement, asOfMs } = told
  const again = deliver(world, acme, bolt, { text: 'other' })
  const prefix = `delivery/${toHex(agreement.multihash.digest)}/`
  const packets = [...acme.store.keys()].filter(key => key.startsWith(prefix))
  const mine = toHex(told.packet.multihash.digest)
  const other = packets.map(key => key.slice(prefix.length)).find(hex => hex !== mine)!
  const packet = cidFromDigest(fromHex(other)!, 'dag-cbor')
  const third = { provider: 'Dyne AG', consumer: 'Elk Oy', witnesses: ['Fox Ltd'], text: 'third' }
  return [
    ['another agreement', collect(bolt, acme, again, asOfMs)],
    ['another packet', collect(bolt, acme, { agreement, packet }, asOfMs)],
    ['other parties', story(third).evidence],
    ['roles turned', story({ provider: 'Bolt GmbH', consumer: 'Acme Steel' }).evidence],
  ]
}

/** Parts of these stories: their assets are not registered. */
export const PRESENT: PartName[] = PARTS.filter(name => name !== 'title')

function* substitutedParts(evidence: Evidence, other: Evidence, run: string): Generator<Case> {
  const differs = (name: PartName) => toHex(other.parts[name]!) !== toHex(evidence.parts[name]!)
  const put = (what: string, parts: Evidence['parts'], step?: string): Case => ({
    what,
    path: `of ${run}`,
    bytes: () => formatEvidence({ ...evidence, parts: { ...evidence.parts, ...parts } }),
    may: ['failed'],
    ...(step ? { step } : {}),
  })
  for (const name of PRESENT.filter(differs)) {
    // A newer head of the same log and another asset of the same provider hold; what rests on them does not.
    const holds = name === 'asset' || /Head$/.test(name)
    const step = name === 'salt' ? 'content' : stepOf(name)
    yield put(name, { [name]: other.parts[name]! }, holds ? undefined : step)
  }
  for (const side of ['provider', 'consumer'] as const) {
    const head = `${side}Head` as const
    if (differs(head))
      yield put(`${side} and head`, { [side]: other.parts[side]!, [head]: other.parts[head]! })
  }
  const file = (changed: Partial<Evidence>) => () => formatEvidence({ ...evidence, ...changed })
  yield { what: 'claim', path: `of ${run}`, bytes: file({ claim: other.claim }), may: ['failed'] }
  const { witnesses } = other
  // Without the identity of a witness, what it signed can neither be counted nor be called false.
  if (toHex(witnesses[0]!) !== toHex(evidence.witnesses[0]!))
    yield { what: 'witness', path: `of ${run}`, bytes: file({ witnesses }), may: ['inconclusive'] }
}

/** Events and staples of another run: of the same parties they are as genuine there, and say the same or more. */
function* substitutedStates(evidence: Evidence, other: Evidence, run: string): Generator<Case> {
  const same = ['provider', 'consumer'].every(
    side => toHex(other.parts[side as 'provider']!) === toHex(evidence.parts[side as 'provider']!),
  )
  const may: Verdict[] = same ? ['verified'] : ['failed', 'inconclusive']
  const put = (what: string, changed: Partial<Evidence>): Case => ({
    what,
    path: `of ${run}`,
    bytes: () => formatEvidence({ ...evidence, ...changed }),
    may,
  })
  yield put('committees', { committees: other.committees ?? [] })
  for (const [i, part] of (evidence.committees ?? []).entries()) {
    const foreign = other.committees![i]!
    for (const field of ['record', 'entry', 'path', 'note', 'org'] as const) {
      if (same || (field === 'path' && foreign.path.join() === part.path.join())) continue
      const committees = evidence.committees!.with(i, { ...part, [field]: foreign[field] })
      yield put(`committee ${field}`, { committees })
    }
  }
  yield put('event', { events: other.events })
  yield put('staple', { staples: other.staples })
  const [mine, theirs] = [evidence.staples, other.staples]
  for (const [i, staple] of mine.entries()) {
    const foreign = theirs[i]!
    if (same || !foreign) continue
    const { org } = staple
    yield put('staple', { staples: mine.with(i, { ...foreign, org }) })
    for (const field of ['note', 'entry', 'path'] as const)
      yield put(`staple ${field}`, { staples: mine.with(i, { ...staple, [field]: foreign[field] }) })
  }
}

function* substitutedEntries(evidence: Evidence, other: Evidence, run: string): Generator<Case> {
  const put = (what: string, i: number, j: number, part: EntryPart): Case => ({
    what,
    path: `${i} from ${j} of ${run}`,
    bytes: () => formatEvidence({ ...evidence, entries: evidence.entries.with(i, part) }),
    may: ['failed'],
  })
  for (const [i, entry] of evidence.entries.entries())
    for (const [j, foreign] of other.entries.entries()) {
      if (foreign.of !== entry.of) continue
      const { org, salt } = entry
      const [isSame, sameSalt] = [sameBytes(foreign.entry, entry.entry), sameBytes(foreign.salt!, salt!)]
      if (!isSame || !sameSalt) yield put('entry', i, j, foreign)
      if (!isSame || !sameSalt) yield put('entry under its log', i, j, { ...foreign, org })
      if (!isSame) yield put('entry under its log and salt', i, j, { ...foreign, org, salt: salt! })
      if (!sameSalt) yield put('salt of the entry', i, j, { ...entry, salt: foreign.salt! })
      if (encodedPath(foreign) !== encodedPath(entry))
        yield put('path', i, j, { ...entry, path: foreign.path! })
    }
}

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => toHex(a) === toHex(b)
const encodedPath = ({ path }: EntryPart): string => path!.map(toHex).join()

/** Signatures of a log and of its witness that stand on a head of another run. */
function* substitutedLines(evidence: Evidence, other: Evidence, run: string): Generator<Case> {
  for (const side of ['provider', 'consumer'] as const) {
    const [{ body, lines }, foreign] = [headOf(evidence, side), headOf(other, side)]
    if (body === foreign.body) continue
    for (const [i, what] of ['signature of the log', 'cosignature'].entries()) {
      const line = { ...lines[i]!, signature: foreign.lines[i]!.signature }
      yield {
        what,
        path: `at ${side} of ${run}`,
        bytes: () => withHead(evidence, side, { body, lines: lines.with(i, line) }),
        may: ['failed'],
        step: `${side} ${i === 0 ? 'head' : 'position'}`,
      }
    }
  }
}

/** Parts of one run in each other's place. */
export function* places({ evidence }: Story): Generator<Case> {
  for (const name of PARTS)
    for (const other of PRESENT) {
      if (name === other) continue
      const parts = { ...evidence.parts, [name]: evidence.parts[other]! }
      yield {
        what: name,
        path: `is ${other}`,
        bytes: () => formatEvidence({ ...evidence, parts }),
        may: ['failed'],
        step: stepOf(name),
      }
    }
  for (const [i, entry] of evidence.entries.entries())
    for (const part of ['packet', 'offer', 'agreement', 'received', 'release', 'opened'] as const)
      for (const org of [evidence.claim.provider, evidence.claim.consumer]) {
        if (entry.of === part && entry.org.equals(org)) continue
        const entries = evidence.entries.with(i, { ...entry, of: part, org })
        const bytes = () => formatEvidence({ ...evidence, entries })
        yield { what: 'entry', path: `${i} as ${part} of ${org}`, bytes, may: ['failed'] }
      }
}

/** Parts, blocks, entries and cosignatures left out: nothing false is said, and less can be told. */
export function* omissions({ evidence, bytes }: Story): Generator<Case> {
  const without = (
    what: string,
    path: string,
    file: () => Uint8Array,
    may: Verdict[],
    step?: string,
  ): Case => ({
    what,
    path,
    bytes: file,
    may,
    ...(step ? { step } : {}),
  })
  for (const name of PRESENT) {
    const { [name]: _, ...parts } = evidence.parts
    yield without(
      name,
      'left out',
      () => formatEvidence({ ...evidence, parts }),
      ['inconclusive'],
      stepOf(name),
    )
  }
  const nobody = () => formatEvidence({ ...evidence, witnesses: [] })
  yield without('witness', 'left out', nobody, ['inconclusive'], 'provider position')
  // Each side must show what it signed; what else its log has of the other side is more than is asked for.
  for (const [i, { of }] of evidence.entries.entries()) {
    const entries = evidence.entries.toSpliced(i, 1)
    yield without('entry', `${i} of ${of} left out`, () => formatEvidence({ ...evidence, entries }), [
      'inconclusive',
      'verified',
    ])
  }
  for (const i of evidence.events.keys()) {
    const events = evidence.events.toSpliced(i, 1)
    yield without('event', `${i} left out`, () => formatEvidence({ ...evidence, events }), ['inconclusive'])
  }
  const { committees = [] } = evidence
  for (const [i, { org }] of committees.entries()) {
    const file = () => formatEvidence({ ...evidence, committees: committees.toSpliced(i, 1) })
    const side = org.equals(evidence.claim.provider) ? 'provider' : 'consumer'
    yield without('committee', `${i} left out`, file, ['inconclusive'], `${side} position`)
    const turned = committees.map(each => ({ ...each, org: committees[(i + 1) % committees.length]!.org }))
    const others = () => formatEvidence({ ...evidence, committees: turned })
    yield without('committee', `${i} under the other party`, others, ['failed'], 'committees')
  }
  for (const i of evidence.staples.keys()) {
    const staples = evidence.staples.toSpliced(i, 1)
    yield without('staple', `${i} left out`, () => formatEvidence({ ...evidence, staples }), ['verified'])
  }
  const unstated = { ...evidence, entries: evidence.entries.filter(({ of }) => of !== 'state'), staples: [] }
  yield without(
    'state',
    'all left out',
    () => formatEvidence(unstated),
    ['inconclusive'],
    'provider key state',
  )
  for (const side of ['provider', 'consumer'] as const) {
    const { body, lines } = headOf(evidence, side)
    const bare = () => withHead(evidence, side, { body, lines: lines.slice(0, 1) })
    yield without('cosignature', `of the ${side} left out`, bare, ['verified'])
  }
  const blocks = blocksOf(bytes)
  for (const i of blocks.keys())
    yield without('block', `${i} left out`, () => car(blocks.toSpliced(i, 1)), [
      i === 0 ? 'failed' : 'inconclusive',
    ])
}

/** All of them, and the evidence as it is. */
export function* allCases(told: Story): Generator<Case> {
  yield { what: 'nothing', path: 'delivery', bytes: () => told.bytes, may: ['verified'] }
  yield { what: 'nothing', path: 'consent', bytes: () => formatEvidence(told.consent), may: ['verified'] }
  yield* flips(told)
  yield* fields(told)
  yield* substitutions(told)
  yield* places(told)
  yield* omissions(told)
}

/** Places that a definition has and no case is about. */
export function untouched(cases: Iterable<Case>, what: string, places: Iterable<string>): string[] {
  const touched = new Set<string>()
  for (const each of cases) if (each.what === what) touched.add(placeOf(each.path))
  return [...new Set(places)].filter(place => !touched.has(place))
}
