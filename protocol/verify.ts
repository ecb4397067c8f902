/**
 * Verification of evidence against a trust file: walks from the claim, requires every link, and says of each step what was
 * checked (RULES G). Pure: same evidence, same trust, same as-of, same verdict.
 */
import { equal } from '../crypto/bytes.ts'
import type { Value } from '../crypto/cbor.ts'
import { verifyCosignature } from '../crypto/checkpoint.ts'
import { type CID, cidOf } from '../crypto/cid.ts'
import { leafHash, verifyInclusion } from '../crypto/merkle.ts'
import { type Agreement, agreement, draft, type Offer, offer, samePayload } from './agreement.ts'
import { type Asset, asset, type Packet, packet } from './asset.ts'
import { decodeRoot } from './content.ts'
import {
  type Claim,
  type EntryPart,
  type Found,
  type PartName,
  type ReadEvidence,
  readEvidence,
} from './evidence.ts'
import { cosignerName, type Identity, identityGenesis, keyOf, resolver, verifyIdentity } from './identity.ts'
import { commitment, type Head, readEntry, readHead } from './log.ts'
import { evaluate } from './policy.ts'
import { type Opened, opened, type Received, type Release, received, release } from './receipt.ts'
import {
  isStored,
  type KeyResolver,
  type RecordType,
  readRecord,
  type Stored,
  verifySignatures,
} from './record.ts'
import { committeeOf, isTrusted, positionWords, type Trust, witnessesOf } from './trust.ts'

export type Verdict = 'verified' | 'failed' | 'inconclusive'

export interface VerifyStep {
  id: string
  /** ok: holds. failed: evidence says false. inconclusive: a part, a key or a version is missing. skipped: not asked. */
  status: 'ok' | 'failed' | 'inconclusive' | 'skipped'
  detail: string
}

export interface Report {
  verdict: Verdict
  steps: VerifyStep[]
  claim?: {
    type: string
    agreement: string
    packet?: string
    provider: string
    consumer: string
    asOfMs: number
  }
  trustDigest: string
  asOfMs: number
  /** What the evidence says about the content, for whoever holds it. */
  content?: { name: string; size: number; mediaType: string }
}

export interface VerifyOptions {
  /** The time at which the question is asked, ms since 1970. */
  asOfMs: number
  /** An entry that is not final yet makes the verdict inconclusive (RULES D3). */
  requireFinal?: boolean
  /** Size and salted digest of the content at hand; without it the content is not checked. */
  content?: { size: number; digest: Uint8Array }
}

/** A step's outcome before it is worded. */
type Outcome<T> = { value: T; detail: string } | { failed: string } | { inconclusive: string }

/** Reads evidence and verifies it. Never throws for what stands in the evidence. */
export function verify(fileBytes: Uint8Array, trust: Trust, options: VerifyOptions): Report {
  const read = readEvidence(fileBytes)
  const base = { trustDigest: trust.digest, asOfMs: options.asOfMs }
  const single = (status: 'failed' | 'inconclusive', detail: string): Report => ({
    verdict: status,
    steps: [{ id: 'bundle', status, detail }],
    ...base,
  })
  if ('broken' in read) return single('failed', read.broken)
  if ('missing' in read) return single('inconclusive', read.missing)
  if ('unknown' in read) return single('inconclusive', read.unknown)
  const walk = new Walk(read, trust, options)
  const steps = walk.run()
  return { verdict: verdictOf(steps), steps, claim: show(read.claim), ...base, ...walk.described() }
}

/** The salt of the content's digest, so that a caller can hash the content before it verifies. */
export function saltOf(fileBytes: Uint8Array): Uint8Array | undefined {
  const read = readEvidence(fileBytes)
  if (!('claim' in read)) return undefined
  const salt = read.part('salt')
  return salt.is === 'here' && salt.bytes.length === 32 ? salt.bytes : undefined
}

function verdictOf(steps: VerifyStep[]): Verdict {
  if (steps.some(step => step.status === 'failed')) return 'failed'
  return steps.some(step => step.status === 'inconclusive') ? 'inconclusive' : 'verified'
}

const show = (claim: Claim) => ({
  type: claim.type,
  agreement: claim.agreement.toString(),
  ...(claim.packet ? { packet: claim.packet.toString() } : {}),
  provider: claim.provider.toString(),
  consumer: claim.consumer.toString(),
  asOfMs: claim.asOf,
})

/** Entries that a delivery must show: which part, in whose log. */
const REQUIRED: { side: 'provider' | 'consumer'; of: EntryPart['of'] }[] = [
  { side: 'provider', of: 'packet' },
  { side: 'provider', of: 'agreement' },
  { side: 'provider', of: 'release' },
  { side: 'consumer', of: 'agreement' },
  { side: 'consumer', of: 'received' },
  { side: 'consumer', of: 'opened' },
]

/** One verification. Each step sees what the steps before it established; what rests on a missing part is not judged. */
class Walk {
  readonly #evidence: ReadEvidence
  readonly #trust: Trust
  readonly #options: VerifyOptions
  readonly #steps: VerifyStep[] = []
  readonly #identities = new Map<string, { id: CID; payload: Identity }>()
  #keys: KeyResolver = () => undefined
  #packet: Stored<Packet> | undefined

  constructor(evidence: ReadEvidence, trust: Trust, options: VerifyOptions) {
    this.#evidence = evidence
    this.#trust = trust
    this.#options = options
  }

  run(): VerifyStep[] {
    const { claim, stray } = this.#evidence
    this.#step('bundle', () =>
      stray.length > 0
        ? { failed: `${stray.length} blocks that the claim does not reach, or that are not what they say` }
        : { value: true, detail: `${claim.type} under ${short(claim.agreement)}, as of ${iso(claim.asOf)}` },
    )
    const provider = this.#identity('provider', claim.provider)
    const consumer = this.#identity('consumer', claim.consumer)
    this.#keys = resolver([...this.#identities.values()])
    const described = this.#record('asset', asset, stored => this.#asset(stored))
    const offered = this.#record('offer', offer, stored => this.#offer(stored, described))
    const agreed = this.#record('agreement', agreement, stored => this.#agreement(stored, offered, described))
    if (claim.type === 'delivery') this.#delivery(described, agreed)
    this.#log('provider', claim.provider, provider)
    this.#log('consumer', claim.consumer, consumer)
    return this.#steps
  }

  described(): Pick<Report, 'content'> {
    if (!this.#packet) return {}
    const { name, size, mediaType } = this.#packet.payload
    return { content: { name, size, mediaType } }
  }

  #step<T>(id: string, judge: () => Outcome<T>): T | undefined {
    const outcome = judge()
    if ('value' in outcome) {
      this.#steps.push({ id, status: 'ok', detail: outcome.detail })
      return outcome.value
    }
    const [status, detail] =
      'failed' in outcome
        ? (['failed', outcome.failed] as const)
        : (['inconclusive', outcome.inconclusive] as const)
    this.#steps.push({ id, status, detail })
    return undefined
  }

  #identity(side: 'provider' | 'consumer', id: CID): Stored<Identity> | undefined {
    const stored = this.#step(`${side} identity`, () => {
      const found = this.#readIdentity(this.#evidence.part(side))
      if (!('value' in found)) return found
      if (!found.value.id.equals(id)) return { failed: `it is not the identity that the claim names` }
      const { name } = found.value.payload
      if (!isTrusted(this.#trust, id))
        return { inconclusive: `${name} ${short(id)} is not in the trust file` }
      return {
        value: found.value,
        detail: `${name} ${short(id)}, every key signed for itself, in the trust file`,
      }
    })
    if (stored) this.#identities.set(id.toString(), stored)
    return stored
  }

  #readIdentity(found: Found): Outcome<Stored<Identity>> {
    const stored = this.#open(found, identityGenesis)
    if (!('value' in stored)) return stored
    const verdict = verifyIdentity(stored.value)
    return verdict.ok === true ? stored : worse(verdict)
  }

  /** A record's part: of its type, signed by whom it must, and linked as `rest` says. */
  #record<P>(
    name: PartName,
    type: RecordType<P>,
    rest: (stored: Stored<P>) => Outcome<unknown>,
  ): Stored<P> | undefined {
    return this.#step(name, () => {
      const stored = this.#open(this.#evidence.part(name), type)
      if (!('value' in stored)) return stored
      const verdict = verifySignatures(type, stored.value, this.#keys)
      if (verdict.ok !== true) return worse(verdict)
      const linked = rest(stored.value)
      return 'value' in linked ? { value: stored.value, detail: linked.detail } : linked
    })
  }

  #open<P>(found: Found, type: RecordType<P>): Outcome<Stored<P>> {
    if (found.is === 'missing') return { inconclusive: 'it is not in the evidence' }
    if (found.is === 'broken') return { failed: found.reason }
    const stored = readRecord(type, found.bytes)
    return isStored(stored) ? { value: stored, detail: '' } : worse(stored)
  }

  #asset({ payload }: Stored<Asset>): Outcome<true> {
    if (!payload.org.equals(this.#evidence.claim.provider))
      return { failed: 'the asset is not the provider’s' }
    const { domain, level } = payload.classification
    return { value: true, detail: `"${payload.title}", ${domain}/${level}, signed by its publisher` }
  }

  #offer({ payload }: Stored<Offer>, described: Stored<Asset> | undefined): Outcome<true> {
    if (!payload.org.equals(this.#evidence.claim.provider))
      return { failed: 'the offer is not the provider’s' }
    if (!described) return { inconclusive: 'the asset that it names is not established' }
    if (!payload.asset.equals(described.id)) return { failed: 'the offer is of another asset' }
    return { value: true, detail: `signed by the provider, of this asset, until ${iso(payload.until)}` }
  }

  #agreement(
    { id, payload }: Stored<Agreement>,
    offered: Stored<Offer> | undefined,
    described: Stored<Asset> | undefined,
  ): Outcome<true> {
    const { claim } = this.#evidence
    if (!id.equals(claim.agreement)) return { failed: 'it is not the agreement that the claim names' }
    if (!payload.assigner.equals(claim.provider) || !payload.assignee.equals(claim.consumer))
      return { failed: 'its parties are not those of the claim' }
    if (!payload.assignerState.equals(claim.provider) || !payload.assigneeState.equals(claim.consumer))
      return { inconclusive: 'it names a key state that this version does not know' }
    if (!offered || !described)
      return { inconclusive: 'the offer or the asset it rests on is not established' }
    if (!payload.offer.equals(offered.id)) return { failed: 'it rests on another offer' }
    if (!copiesOffer(payload, offered.payload)) return { failed: 'its terms are not those of the offer' }
    const request = {
      action: payload.action,
      purpose: payload.purpose,
      recipient: claim.consumer.toString(),
      dateTimeMs: payload.from,
    }
    const { decision, denied } = evaluate(payload.policy, request)
    if (decision === 'deny') return { failed: `its own policy denies it: ${denied!.clause}` }
    const ended = this.#options.asOfMs >= payload.until ? 'ended' : 'in force'
    return {
      value: true,
      detail: `signed by both, ${payload.action} for ${payload.purpose}, ${ended}: until ${iso(payload.until)}`,
    }
  }

  // The delivery of one packet.

  #delivery(described: Stored<Asset> | undefined, agreed: Stored<Agreement> | undefined): void {
    const { claim } = this.#evidence
    const described_ = this.#record('packet', packet, ({ id, payload }) => {
      if (!claim.packet?.equals(id)) return { failed: 'it is not the packet that the claim names' }
      if (!payload.org.equals(claim.provider)) return { failed: 'it is not the provider’s' }
      if (!described) return { inconclusive: 'the asset that it names is not established' }
      if (!payload.asset.equals(described.id)) return { failed: 'it is of another asset than the agreement' }
      return {
        value: true,
        detail: `"${payload.name}", ${payload.size} bytes, signed by its publisher, of this asset`,
      }
    })
    this.#packet = described_
    this.#root(described_)
    const got = this.#receipt('received', received, agreed, described_, () => undefined)
    const sent = this.#receipt('release', release, agreed, described_, ({ payload }) => {
      if (!got) return { inconclusive: 'the receipt that it answers is not established' }
      const fits = payload.receipt.equals(got.id) && equal(payload.oneTime, got.payload.oneTime)
      return fits ? undefined : { failed: 'the key was not released for this receipt' }
    })
    this.#receipt('opened', opened, agreed, described_, ({ payload }) => {
      if (!sent) return { inconclusive: 'the key release that it confirms is not established' }
      return payload.release.equals(sent.id) ? undefined : { failed: 'it confirms another key release' }
    })
    this.#content(described_)
  }

  #root(of: Stored<Packet> | undefined): void {
    this.#step('root', () => {
      const found = this.#evidence.part('root')
      if (found.is === 'missing') return { inconclusive: 'it is not in the evidence' }
      if (found.is === 'broken') return { failed: found.reason }
      if (!of) return { inconclusive: 'the packet that names it is not established' }
      if (!cidOf(found.bytes, 'dag-cbor').equals(of.payload.root))
        return { failed: 'it is not the root of this packet' }
      try {
        const root = decodeRoot(found.bytes)
        if (root.size !== of.payload.size) return { failed: 'its size is not that of the packet' }
        return { value: true, detail: `${root.count} blocks, bound to one key` }
      } catch (error) {
        const { code, message } = error as { code?: string; message: string }
        return code === 'UNKNOWN_VERSION' ? { inconclusive: message } : { failed: message }
      }
    })
  }

  #receipt<P extends Received | Release | Opened>(
    name: 'received' | 'release' | 'opened',
    type: RecordType<P>,
    agreed: Stored<Agreement> | undefined,
    of: Stored<Packet> | undefined,
    rest: (stored: Stored<P>) => { failed: string } | { inconclusive: string } | undefined,
  ): Stored<P> | undefined {
    const { claim } = this.#evidence
    return this.#record(name, type, stored => {
      const { payload } = stored
      if (!payload.provider.equals(claim.provider) || !payload.consumer.equals(claim.consumer))
        return { failed: 'its parties are not those of the claim' }
      if (!payload.agreement.equals(claim.agreement)) return { failed: 'it is under another agreement' }
      if (!claim.packet?.equals(payload.packet)) return { failed: 'it is for another packet' }
      if (!agreed || !of) return { inconclusive: 'the agreement or the packet is not established' }
      const by = name === 'release' ? 'provider' : 'consumer'
      return (
        rest(stored) ?? { value: true, detail: `signed by the ${by} at ${iso(payload.made)} (its own time)` }
      )
    })
  }

  #content(of: Stored<Packet> | undefined): void {
    const { content } = this.#options
    const salt = this.#evidence.part('salt')
    this.#step('salt', () => {
      if (salt.is === 'missing')
        return { inconclusive: 'the salt of the content’s digest is not in the evidence' }
      if (salt.is === 'broken' || salt.bytes.length !== 32) return { failed: 'it is not a salt' }
      return { value: true, detail: 'who holds this file can test guesses of the content' }
    })
    if (!content) {
      this.#steps.push({ id: 'content', status: 'skipped', detail: 'content not checked' })
      return
    }
    this.#step('content', () => {
      if (!of) return { inconclusive: 'the packet is not established' }
      if (content.size !== of.payload.size)
        return { failed: `it has ${content.size} bytes, the packet ${of.payload.size}` }
      return equal(content.digest, of.payload.digest)
        ? { value: true, detail: `its salted digest is the one the publisher signed` }
        : { failed: 'it is not what the publisher signed: its salted digest differs' }
    })
  }

  // Logs.

  #log(side: 'provider' | 'consumer', org: CID, owner: Stored<Identity> | undefined): void {
    const head = this.#head(side, org, owner)
    const own = this.#evidence.entries.filter(each => 'org' in each && each.org.equals(org)) as EntryPart[]
    const required =
      this.#evidence.claim.type === 'delivery' ? REQUIRED.filter(each => each.side === side) : []
    for (const { of } of required)
      if (!own.some(each => each.of === of)) this.#step(`${side} entry: ${of}`, () => this.#lost())
    for (const each of own) this.#step(`${side} entry: ${each.of}`, () => this.#entry(each, head))
    const times = head && this.#position(side, org, head)
    if (owner) this.#keyState(side, owner, times)
  }

  /** An entry that is not there: left out, or there but broken. */
  #lost(): { failed: string } | { inconclusive: string } {
    const broken = this.#evidence.entries.find(each => 'broken' in each)
    return broken
      ? { failed: (broken as { broken: string }).broken }
      : { inconclusive: 'it is not in the evidence' }
  }

  #head(side: 'provider' | 'consumer', org: CID, owner: Stored<Identity> | undefined): Head | undefined {
    const found = this.#evidence.part(`${side}Head`)
    const optional = this.#evidence.claim.type === 'consent' && found.is === 'missing'
    if (optional) {
      this.#steps.push({ id: `${side} head`, status: 'skipped', detail: 'not in the evidence' })
      return undefined
    }
    return this.#step(`${side} head`, () => {
      if (found.is === 'missing') return { inconclusive: 'it is not in the evidence' }
      if (found.is === 'broken') return { failed: found.reason }
      if (!owner) return { inconclusive: 'the identity of its log is not established' }
      const head = readHead(found.bytes, org, owner.payload)
      if ('reason' in head) return { failed: head.reason }
      return { value: head, detail: `size ${head.size}, signed by the log of ${owner.payload.name}` }
    })
  }

  #entry(part: EntryPart, head: Head | undefined): Outcome<true> {
    const committed = this.#evidence.part(part.of)
    if (committed.is !== 'here') return { inconclusive: 'what it commits to is not there' }
    const entry = readEntry(part.entry)
    if ('reason' in entry) return entry.unknown ? { inconclusive: entry.reason } : { failed: entry.reason }
    if (!equal(entry.c, commitment(part.salt, committed.bytes)))
      return { failed: 'it commits to other bytes' }
    if (!head) return { inconclusive: 'the head that covers it is not established' }
    const proof = {
      leaf: leafHash(part.entry),
      index: entry.n,
      size: head.size,
      path: part.path,
      root: head.root,
    }
    return verifyInclusion(proof)
      ? {
          value: true,
          detail: `entry ${entry.n} commits to these signed bytes, ${part.path.length} hashes to the head`,
        }
      : { failed: `entry ${entry.n} is not under the head` }
  }

  /** What the position in the log is worth: cosignatures of the organisations that the trust file names (RULES D3). */
  #position(side: 'provider' | 'consumer', org: CID, head: Head): number[] | undefined {
    const committee = witnessesOf(this.#trust, org)
    const { asOfMs, requireFinal } = this.#options
    return this.#step(`${side} position`, () => {
      const names: string[] = []
      const times: number[] = []
      for (const witness of committee) {
        const name = cosignerName(witness)
        const lines = head.note.lines.filter(each => each.name === name)
        if (lines.length === 0) continue
        const identity = this.#witness(witness)
        if (!identity)
          return { inconclusive: `the identity of the witness ${witness} is not in the evidence` }
        if (!('payload' in identity)) return identity
        const key = keyOf(identity.payload, 'witness')
        const cosigned = lines.length === 1 && verifyCosignature(head.note.body, lines[0]!, name, key)
        if (!cosigned) return { failed: `the cosignature of ${identity.payload.name} does not verify` }
        if (cosigned.timeS * 1000 > asOfMs + this.#trust.clockSkewMs) continue
        names.push(identity.payload.name)
        times.push(cosigned.timeS * 1000)
      }
      const { final, words } = positionWords(committeeOf(committee.length), names)
      return requireFinal && !final
        ? { inconclusive: `not final: ${words}` }
        : { value: times, detail: words }
    })
  }

  /**
   * The keys that signed must not have ended: by as-of, or by the time at which the entries provably existed, the
   * (f + 1)-th smallest cosignature time. In this version a key state is the identity genesis.
   */
  #keyState(side: 'provider' | 'consumer', { payload }: Stored<Identity>, times: number[] = []): void {
    const until = Math.min(payload.keys.operation.until, payload.keys.log.until)
    const { f } = committeeOf(witnessesOf(this.#trust, this.#evidence.claim[side]).length)
    const existedBy = times.sort((a, b) => a - b)[f]
    this.#step(`${side} keys`, () => {
      if (this.#options.asOfMs <= until)
        return { value: true, detail: `those of the identity genesis, until ${iso(until)}` }
      if (existedBy !== undefined && existedBy <= until)
        return { value: true, detail: `ended ${iso(until)}; the entries existed by ${iso(existedBy)}` }
      return { inconclusive: `they ended ${iso(until)}: valid when made cannot be shown` }
    })
  }

  #witness(org: string): Stored<Identity> | { failed: string } | { inconclusive: string } | undefined {
    const known = this.#identities.get(org)
    if (known) return known as Stored<Identity>
    let broken: { failed: string } | undefined
    for (const found of this.#evidence.witnesses) {
      const read = this.#readIdentity(found)
      if ('value' in read && read.value.id.toString() === org) return read.value
      if ('failed' in read) broken = { failed: `the identity of a witness: ${read.failed}` }
    }
    return broken
  }
}

const worse = (verdict: {
  ok: boolean | 'unknown'
  reason: string
}): { failed: string } | { inconclusive: string } =>
  verdict.ok === 'unknown' ? { inconclusive: verdict.reason } : { failed: verdict.reason }

/** Everything in an agreement that is copied from its offer. */
function copiesOffer(agreed: Agreement, offered: Offer): boolean {
  const expected = draft(offered, {
    offerId: agreed.offer,
    assignee: agreed.assignee,
    assignerState: agreed.assignerState,
    assigneeState: agreed.assigneeState,
    action: agreed.action,
    purpose: agreed.purpose,
    assignerNonce: agreed.assignerNonce,
    assigneeNonce: agreed.assigneeNonce,
    signByMs: agreed.signBy,
    fromMs: agreed.from,
  })
  return samePayload(expected as unknown as Value, agreed as unknown as Value)
}

const iso = (ms: number): string => (ms <= 8.64e15 ? new Date(ms).toISOString() : 'never')
const short = (id: CID): string => `${id.toString().slice(0, 16)}…`
