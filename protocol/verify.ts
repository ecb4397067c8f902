/**
 * Verification of evidence against a trust file: walks from the claim, requires every link, and says of each step what was
 * checked (RULES G). Pure: same evidence, same trust, same as-of, same verdict.
 */
import { equal, toHex } from '../crypto/bytes.ts'
import type { Value } from '../crypto/cbor.ts'
import { verifyCosignature } from '../crypto/checkpoint.ts'
import { type CID, cidOf } from '../crypto/cid.ts'
import { leafHash, verifyInclusion } from '../crypto/merkle.ts'
import { type Agreement, agreement, draft, type Offer, offer, samePayload } from './agreement.ts'
import { type Asset, asset, type Packet, packet } from './asset.ts'
import { decodeRoot } from './content.ts'
import {
  type Claim,
  DELIVERY_PARTS,
  type EntryPart,
  type Found,
  type PartName,
  type ReadEvidence,
  readEvidence,
} from './evidence.ts'
import { cosignerName, type Identity, identityGenesis, keyOf, resolver, verifyIdentity } from './identity.ts'
import { commitment, type Head, KIND, readEntry, readHead } from './log.ts'
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
import { type Committee, committeeOf, isTrusted, positionWords, type Trust, witnessesOf } from './trust.ts'

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

/** Records that each side signs, by claim: its own log must show them. Of a consent, if it shows anything. */
const SIGNS: Record<Claim['type'], Record<'provider' | 'consumer', EntryPart['of'][]>> = {
  delivery: { provider: ['packet', 'agreement', 'release'], consumer: ['agreement', 'received', 'opened'] },
  consent: { provider: ['agreement'], consumer: ['agreement'] },
}

/** One verification. Each step sees what the steps before it established; what rests on a missing part is not judged. */
class Walk {
  readonly #evidence: ReadEvidence
  readonly #trust: Trust
  readonly #options: VerifyOptions
  readonly #steps: VerifyStep[] = []
  readonly #identities = new Map<string, { id: CID; payload: Identity }>()
  /** Every identity in the evidence that holds, trusted or not. */
  readonly #all = new Map<string, Stored<Identity>>()
  #keys: KeyResolver = () => undefined
  #packet: Stored<Packet> | undefined

  constructor(evidence: ReadEvidence, trust: Trust, options: VerifyOptions) {
    this.#evidence = evidence
    this.#trust = trust
    this.#options = options
  }

  run(): VerifyStep[] {
    const { claim, history } = this.#evidence
    this.#step('bundle', () => this.#bundle())
    const provider = this.#identity('provider', claim.provider)
    const consumer = this.#identity('consumer', claim.consumer)
    this.#step('identities', () => this.#witnesses())
    this.#keys = resolver([...this.#identities.values()])
    const described = this.#record('asset', asset, stored => this.#asset(stored))
    const offered = this.#record('offer', offer, stored => this.#offer(stored, described))
    const agreed = this.#record('agreement', agreement, stored => this.#agreement(stored, offered, described))
    if (claim.type === 'delivery') this.#delivery(described, agreed)
    this.#step('entries', () => this.#listed())
    this.#log('provider', claim.provider, provider)
    this.#log('consumer', claim.consumer, consumer)
    if (history.length > 0)
      this.#skip('history', `${history.length} states as the presenter tells them: no signature covers them`)
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

  #skip(id: string, detail: string): void {
    this.#steps.push({ id, status: 'skipped', detail })
  }

  /** The claim says what the evidence is of, and every block in the file is a part that such a claim has. */
  #bundle(): Outcome<true> {
    const { claim, stray, part } = this.#evidence
    if (stray.length > 0)
      return { failed: `${stray.length} blocks that the claim does not reach, or that stand there twice` }
    if (claim.provider.equals(claim.consumer)) return { failed: 'provider and consumer are one organisation' }
    if (claim.type === 'delivery' && !claim.packet)
      return { failed: 'it claims a delivery and names no packet' }
    const beside = DELIVERY_PARTS.filter(name => part(name).is !== 'missing')
    if (claim.type === 'consent' && (claim.packet || beside.length > 0))
      return { failed: `it claims a consent, which has no ${claim.packet ? 'packet' : beside.join(', ')}` }
    return { value: true, detail: `${claim.type} under ${short(claim.agreement)}, as of ${iso(claim.asOf)}` }
  }

  #identity(side: 'provider' | 'consumer', id: CID): Stored<Identity> | undefined {
    const stored = this.#step(`${side} identity`, () => {
      const found = this.#readIdentity(this.#evidence.part(side))
      if (!('value' in found)) return found
      if (!found.value.id.equals(id)) return { failed: 'it is not the identity that the claim names' }
      this.#all.set(id.toString(), found.value)
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

  /** The witnesses' identities; and over all identities each key stands once (RULES B3): a key cannot count for two. */
  #witnesses(): Outcome<true> {
    const missing: string[] = []
    for (const [i, found] of this.#evidence.witnesses.entries()) {
      const read = this.#readIdentity(found)
      if ('failed' in read) return { failed: `the identity of witness ${i}: ${read.failed}` }
      if (found.is === 'missing') missing.push(`the identity of witness ${i} is not in the evidence`)
      if (!('value' in read)) continue
      const org = read.value.id.toString()
      if (this.#all.has(org)) return { failed: `the identity of ${read.value.payload.name} is there twice` }
      this.#all.set(org, read.value)
    }
    const owners = new Map<string, string>()
    for (const [org, { payload }] of this.#all)
      for (const key of keysOf(payload)) {
        const owner = owners.get(key)
        if (owner)
          return { failed: `${this.#all.get(owner)!.payload.name} and ${payload.name} have a key in common` }
        owners.set(key, org)
      }
    if (missing[0]) return { inconclusive: missing[0] }
    return { value: true, detail: `${this.#all.size} organisations, no key stands in two` }
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
      // Links first: a record of somebody else is false here, whether or not their key is known.
      const linked = rest(stored.value)
      if ('failed' in linked) return linked
      const verdict = verifySignatures(type, stored.value, this.#keys)
      if (verdict.ok !== true) return worse(verdict)
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
    if (payload.ownerVersion !== described.payload.ownerVersion)
      return { failed: 'the offer is of another owner version than the asset' }
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
    if (payload.from < offered.payload.from) return { failed: 'it begins before the offer' }
    const request = {
      action: payload.action,
      purpose: payload.purpose,
      recipient: claim.consumer.toString(),
      dateTimeMs: payload.from,
    }
    const { decision, denied } = evaluate(payload.policy, request)
    if (decision === 'deny') return { failed: `its own policy denies it: ${denied!.clause}` }
    const { asOfMs } = this.#options
    if (asOfMs + this.#trust.clockSkewMs < payload.from)
      return { inconclusive: `it begins ${iso(payload.from)}, after the time that is asked about` }
    const term = asOfMs >= payload.until ? 'ended' : 'in force'
    return {
      value: true,
      detail: `signed by both, ${payload.action} for ${payload.purpose}, ${term}: ${iso(payload.from)} to ${iso(payload.until)}`,
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
      if (salt.is === 'broken') return { failed: salt.reason }
      if (salt.bytes.length !== 32) return { failed: 'it is not a salt' }
      return {
        value: true,
        detail: 'only the content can show that it is right; with it, guesses of the content can be tested',
      }
    })
    if (!content) {
      this.#skip('content', 'content not checked')
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

  /** Every entry of the list is there, of one of the two logs, and the only one of its part in its log. */
  #listed(): Outcome<true> {
    const { claim, entries } = this.#evidence
    const seen = new Set<string>()
    let missing: string | undefined
    for (const [i, each] of entries.entries()) {
      if ('broken' in each) return { failed: `entry ${i} of the list: ${each.broken}` }
      if ('missing' in each) {
        missing ??= `entry ${i} of the list is not in the evidence`
        continue
      }
      const { org, of } = each
      if (!org.equals(claim.provider) && !org.equals(claim.consumer))
        return { failed: `entry ${i} of the list is of neither party's log` }
      const name = `${org}/${of}`
      if (seen.has(name)) return { failed: `entry ${i} of the list is the second for ${of} in one log` }
      seen.add(name)
    }
    return missing
      ? { inconclusive: missing }
      : { value: true, detail: `${entries.length}, each of one party's log` }
  }

  #log(side: 'provider' | 'consumer', org: CID, owner: Stored<Identity> | undefined): void {
    const head = this.#head(side, org, owner)
    const own = this.#evidence.entries.filter(each => 'org' in each && each.org.equals(org)) as EntryPart[]
    const signs = SIGNS[this.#evidence.claim.type][side]
    // A consent stands on its two signatures; its entries are shown or not, but a head without one says nothing of it.
    const required = this.#evidence.claim.type === 'delivery' || head ? signs : []
    for (const of of required)
      if (!own.some(each => each.of === of))
        this.#step(`${side} entry: ${of}`, () => ({ inconclusive: 'it is not in the evidence' }))
    const held = own.filter(each => this.#step(`${side} entry: ${each.of}`, () => this.#entry(each, head)))
    const times = head && this.#position(side, org, head)
    // The head dates what is under it, and nothing else.
    const dates = signs.every(of => held.some(each => each.of === of)) ? times : undefined
    if (owner) this.#keyState(side, owner, dates)
  }

  #head(side: 'provider' | 'consumer', org: CID, owner: Stored<Identity> | undefined): Head | undefined {
    const found = this.#evidence.part(`${side}Head`)
    const isOptional = this.#evidence.claim.type === 'consent' && !this.#options.requireFinal
    if (isOptional && found.is === 'missing') {
      this.#skip(`${side} head`, 'not in the evidence: the agreement rests on its signatures')
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
    if (!verifyInclusion(proof)) return { failed: `entry ${entry.n} is not under the head` }
    if (entry.k !== KIND.record)
      return { inconclusive: `entry ${entry.n} is of kind ${entry.k}, which this version does not know here` }
    return {
      value: true,
      detail: `entry ${entry.n} commits to these signed bytes, ${part.path.length} hashes to the head`,
    }
  }

  /** What the position in the log is worth: cosignatures of the organisations that the trust file names (RULES D3). */
  #position(side: 'provider' | 'consumer', org: CID, head: Head): Dated[] | undefined {
    const members = witnessesOf(this.#trust, org)
    const committee = committeeOf(members.length)
    return this.#step(`${side} position`, () => {
      const dated: Dated[] = []
      const leftOut: string[] = []
      for (const witness of members) {
        const cosigned = this.#cosigned(witness, head)
        if (!cosigned) continue
        if (!('value' in cosigned)) return cosigned
        if ('ms' in cosigned.value) dated.push(cosigned.value)
        else leftOut.push(cosigned.value.not)
      }
      dated.sort((a, b) => a.ms - b.ms)
      const { final, words } = positionWords(
        committee,
        dated.map(each => each.name),
      )
      const detail = [words, ...existedBy(committee, dated), ...leftOut].join('; ')
      if (this.#options.requireFinal && !final) return { inconclusive: `not final: ${detail}` }
      return { value: dated, detail }
    })
  }

  /** The cosignature of a witness, or why it does not count (RULES D6); `undefined` when the head has none of it. */
  #cosigned(witness: string, head: Head): Outcome<Dated | { not: string }> | undefined {
    const name = cosignerName(witness)
    const lines = head.note.lines.filter(each => each.name === name)
    if (lines.length === 0) return undefined
    const identity = this.#all.get(witness)
    if (!identity) return { inconclusive: `the identity of the witness ${witness} is not established` }
    const { payload } = identity
    const cosigned =
      lines.length === 1 && verifyCosignature(head.note.body, lines[0]!, name, keyOf(payload, 'witness'))
    if (!cosigned) return { failed: `the cosignature of ${payload.name} does not verify` }
    const { asOfMs } = this.#options
    const ms = cosigned.timeS * 1000
    if (ms > asOfMs + this.#trust.clockSkewMs)
      return { value: { not: `${payload.name} cosigned later, ${iso(ms)}` }, detail: '' }
    const { until } = payload.keys.witness
    if (asOfMs > until)
      return { value: { not: `the witness key of ${payload.name} ended ${iso(until)}` }, detail: '' }
    return { value: { name: payload.name, ms }, detail: '' }
  }

  /**
   * The keys that signed must not have ended: by as-of, or by the time at which the entries provably existed, the
   * (f + 1)-th smallest cosignature time. In this version a key state is the identity genesis.
   */
  #keyState(side: 'provider' | 'consumer', { payload }: Stored<Identity>, dated: Dated[] = []): void {
    const until = Math.min(payload.keys.operation.until, payload.keys.log.until)
    const { f } = committeeOf(witnessesOf(this.#trust, this.#evidence.claim[side]).length)
    const existed = dated[f]?.ms
    this.#step(`${side} keys`, () => {
      if (this.#options.asOfMs <= until)
        return { value: true, detail: `those of the identity genesis, until ${iso(until)}` }
      if (existed !== undefined && existed <= until)
        return { value: true, detail: `ended ${iso(until)}; the entries existed by ${iso(existed)}` }
      return { inconclusive: `they ended ${iso(until)}: valid when made cannot be shown` }
    })
  }
}

/** A cosignature that counts: whose it is, and when by the witness's clock. */
interface Dated {
  name: string
  ms: number
}

/** The bound in words (RULES D5): f + 1 clocks, of which one is right. `dated` goes by time. */
function existedBy({ n, f }: Committee, dated: Dated[]): string[] {
  const bound = dated[f]
  if (!bound) return []
  const by = iso(bound.ms)
  if (f === 0) return [`existed by ${by} by ${bound.name}'s clock`]
  const names = dated.slice(0, f + 1).map(each => each.name)
  return [`existed by ${by} (${f + 1} of ${n} clocks: ${names.join(', ')})`]
}

/** Public keys that an identity has shown to hold, in hex. */
const keysOf = ({ root, admin, keys }: Identity): string[] =>
  [root, admin, ...Object.values(keys)].map(key => toHex(key.k))

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
