/** What the parties signed: each record of its type, linked as the claim needs it, signed by whom it must be. */
import { equal } from '../crypto/bytes.ts'
import type { Value } from '../crypto/cbor.ts'
import { type CID, cidOf, digestOf } from '../crypto/cid.ts'
import { type Agreement, agreement, draft, type Offer, offer, samePayload } from './agreement.ts'
import { type Asset, asset, type Packet, packet } from './asset.ts'
import { decodeRoot } from './content.ts'
import type { Found, PartName } from './evidence.ts'
import { chainAt } from './identity-chain.ts'
import { evaluate } from './policy.ts'
import { type Opened, opened, type Received, type Release, received, release } from './receipt.ts'
import { type RecordType, type Stored, verifySignatures } from './record.ts'
import type { Parties } from './verify-parties.ts'
import type { Redactions } from './verify-redactions.ts'
import {
  iso,
  MISSING,
  type Outcome,
  openPart,
  type Question,
  type Side,
  type Steps,
  type Title,
  unestablished,
  worse,
} from './verify-steps.ts'

/** The records of one claim. Each step sees what the steps before it established. */
export class Records {
  readonly #question: Question
  readonly #steps: Steps
  readonly #parties: Parties
  readonly #redactions: Redactions
  /** Parts that are missing because they were redacted. */
  readonly #gone = new Set<PartName>()
  #title: Title | undefined

  constructor(question: Question, steps: Steps, parties: Parties, redactions: Redactions) {
    this.#question = question
    this.#steps = steps
    this.#parties = parties
    this.#redactions = redactions
  }

  /** All records of the claim; the packet, if one is claimed and holds. */
  walk(): Stored<Packet> | undefined {
    const { evidence, options } = this.#question
    if (evidence.named.includes('title'))
      this.#title = this.#steps.judge('title', () => options.title?.(this.#question) ?? MISSING)
    const described = this.#record('asset', asset, stored => this.#asset(stored))
    const offered = this.#record('offer', offer, stored => this.#offer(stored, described))
    const agreed = this.#record('agreement', agreement, stored => this.#agreement(stored, offered, described))
    const isDelivery = this.#question.evidence.claim.type === 'delivery'
    return isDelivery ? this.#delivery(described, agreed) : undefined
  }

  /** A record's part: of its type, signed by whom it must, and linked as `rest` says. */
  #record<P>(
    name: PartName,
    type: RecordType<P>,
    rest: (stored: Stored<P>) => Outcome<unknown>,
  ): Stored<P> | undefined {
    const found = this.#question.evidence.part(name)
    const gone = found.is === 'missing' ? this.#redactions.of(name) : undefined
    if (gone) {
      this.#gone.add(name)
      this.#steps.skip(name, gone)
      return undefined
    }
    return this.#steps.judge(name, () => {
      const stored = openPart(found, type)
      if (!('value' in stored)) return stored
      // Links first: a record of somebody else is false here, whether or not their key is known.
      const linked = rest(stored.value)
      if ('failed' in linked) return linked
      const keys = name === 'asset' ? this.#title?.keys : undefined
      const verdict = verifySignatures(type, stored.value, keys ?? this.#parties.keys)
      if (verdict.ok !== true) return worse(verdict)
      return 'value' in linked ? { value: stored.value, detail: linked.detail } : linked
    })
  }

  #asset({ payload }: Stored<Asset>): Outcome<true> {
    const { claim, named } = this.#question.evidence
    if (!this.#title && !payload.org.equals(claim.provider))
      return named.includes('title')
        ? unestablished('its owner')
        : { failed: 'the asset is not the provider’s' }
    const { domain, level } = payload.classification
    return { value: true, detail: `"${payload.title}", ${domain}/${level}, signed by its publisher` }
  }

  #offer({ payload }: Stored<Offer>, described: Stored<Asset> | undefined): Outcome<true> {
    if (!payload.org.equals(this.#question.evidence.claim.provider))
      return { failed: 'the offer is not the provider’s' }
    const wrong = this.#ofAsset(payload.asset, described, 'the offer is of another asset')
    if (wrong) return wrong
    if (!payload.order && described && payload.ownerVersion !== described.payload.ownerVersion)
      return { failed: 'the offer is of another owner version than the asset' }
    return { value: true, detail: `signed by the provider, of this asset, until ${iso(payload.until)}` }
  }

  #agreement(
    { id, payload }: Stored<Agreement>,
    offered: Stored<Offer> | undefined,
    described: Stored<Asset> | undefined,
  ): Outcome<true> {
    const { claim } = this.#question.evidence
    if (!id.equals(claim.agreement)) return { failed: 'it is not the agreement that the claim names' }
    if (!payload.assigner.equals(claim.provider) || !payload.assignee.equals(claim.consumer))
      return { failed: 'its parties are not those of the claim' }
    const unknown = (['provider', 'consumer'] as const).find(side => !this.#knowsState(side, payload))
    if (unknown) return { inconclusive: `it names a key state of the ${unknown} that is not in the evidence` }
    if ((!offered && !this.#gone.has('offer')) || (!described && !this.#gone.has('asset')))
      return unestablished('the offer or the asset it rests on')
    if (offered && !payload.offer.equals(offered.id)) return { failed: 'it rests on another offer' }
    if (offered && !copiesOffer(payload, offered.payload))
      return { failed: 'its terms are not those of the offer' }
    if (!payload.order && this.#question.evidence.named.includes('title'))
      return { failed: 'it names no order, and an owner is shown' }
    const isOwned = payload.order ?? described?.payload.committee
    const unowned = this.#title ? this.#title.unlike(payload) : isOwned && unestablished('its owner')
    if (unowned) return unowned
    if (offered && payload.from < offered.payload.from) return { failed: 'it begins before the offer' }
    const request = {
      action: payload.action,
      purpose: payload.purpose,
      recipient: claim.consumer.toString(),
      dateTimeMs: payload.from,
    }
    const { decision, denied } = evaluate(payload.policy, request)
    if (decision === 'deny') return { failed: `its own policy denies it: ${denied!.clause}` }
    const { asOfMs } = this.#question.options
    if (asOfMs + this.#question.trust.clockSkewMs < payload.from)
      return { inconclusive: `it begins ${iso(payload.from)}, after the time that is asked about` }
    const term = asOfMs >= payload.until ? 'ended' : 'in force'
    return {
      value: true,
      detail: `signed by both, ${payload.action} for ${payload.purpose}, ${term}: ${iso(payload.from)} to ${iso(payload.until)}`,
    }
  }

  /** Whether the event that a side signed under is there; where its identity is not believed, that is another matter. */
  #knowsState(side: Side, { assignerState, assigneeState }: Agreement): boolean {
    const chain = this.#parties.get(this.#question.evidence.claim[side].toString())
    return !chain || !!chainAt(chain, digestOf(side === 'provider' ? assignerState : assigneeState))
  }

  // The delivery of one packet.

  #delivery(
    described: Stored<Asset> | undefined,
    agreed: Stored<Agreement> | undefined,
  ): Stored<Packet> | undefined {
    const { claim } = this.#question.evidence
    const delivered = this.#record('packet', packet, ({ id, payload }) => {
      if (!claim.packet?.equals(id)) return { failed: 'it is not the packet that the claim names' }
      if (!payload.org.equals(claim.provider)) return { failed: 'it is not the provider’s' }
      const wrong = this.#ofAsset(payload.asset, described, 'it is of another asset than the agreement')
      if (wrong) return wrong
      return {
        value: true,
        detail: `"${payload.name}", ${payload.size} bytes, signed by its publisher, of this asset`,
      }
    })
    this.#root(delivered)
    const got = this.#receipt('received', received, agreed, delivered, () => undefined)
    const sent = this.#receipt('release', release, agreed, delivered, ({ payload }) => {
      if (!got) return unestablished('the receipt that it answers')
      const fits = payload.receipt.equals(got.id) && equal(payload.oneTime, got.payload.oneTime)
      return fits ? undefined : { failed: 'the key was not released for this receipt' }
    })
    this.#receipt('opened', opened, agreed, delivered, ({ payload }) => {
      if (!sent) return unestablished('the key release that it confirms')
      return payload.release.equals(sent.id) ? undefined : { failed: 'it confirms another key release' }
    })
    this.#content(delivered)
    return delivered
  }

  /** Why what names an asset does not name the one of the claim. */
  #ofAsset(
    named: CID,
    described: Stored<Asset> | undefined,
    other: string,
  ): { failed: string } | { inconclusive: string } | undefined {
    const id = described?.id ?? (this.#gone.has('asset') ? this.#redactions.id('asset') : undefined)
    if (!id) return unestablished('the asset that it names')
    return named.equals(id) ? undefined : { failed: other }
  }

  #root(of: Stored<Packet> | undefined): void {
    if (this.#gone.has('packet')) {
      this.#steps.skip('root', 'the packet that names it was redacted')
      return
    }
    this.#steps.judge('root', () => {
      const found = this.#question.evidence.part('root')
      if (found.is === 'missing') return MISSING
      if (found.is === 'broken') return { failed: found.reason }
      if (!of) return unestablished('the packet that names it')
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
    const { claim } = this.#question.evidence
    return this.#record(name, type, stored => {
      const { payload } = stored
      if (!payload.provider.equals(claim.provider) || !payload.consumer.equals(claim.consumer))
        return { failed: 'its parties are not those of the claim' }
      if (!payload.agreement.equals(claim.agreement)) return { failed: 'it is under another agreement' }
      if (!claim.packet?.equals(payload.packet)) return { failed: 'it is for another packet' }
      if (!agreed || (!of && !this.#gone.has('packet'))) return unestablished('the agreement or the packet')
      const by = name === 'release' ? 'provider' : 'consumer'
      return (
        rest(stored) ?? { value: true, detail: `signed by the ${by} at ${iso(payload.made)} (its own time)` }
      )
    })
  }

  #content(of: Stored<Packet> | undefined): void {
    const { content } = this.#question.options
    const salt = this.#question.evidence.part('salt')
    if (salt.is === 'missing' && this.#gone.has('packet')) this.#steps.skip('salt', 'it went with the packet')
    else this.#judgeSalt(salt)
    if (!content) {
      this.#steps.skip('content', 'content not checked')
      return
    }
    this.#steps.judge('content', () => {
      if (!of) return unestablished('the packet')
      if (content.size !== of.payload.size)
        return { failed: `it has ${content.size} bytes, the packet ${of.payload.size}` }
      return equal(content.digest, of.payload.digest)
        ? { value: true, detail: `its salted digest is the one the publisher signed` }
        : { failed: 'it is not what the publisher signed: its salted digest differs' }
    })
  }

  #judgeSalt(salt: Found): void {
    this.#steps.judge('salt', () => {
      if (salt.is === 'missing')
        return { inconclusive: 'the salt of the content’s digest is not in the evidence' }
      if (salt.is === 'broken') return { failed: salt.reason }
      if (salt.bytes.length !== 32) return { failed: 'it is not a salt' }
      return {
        value: true,
        detail: 'only the content can show that it is right; with it, guesses of the content can be tested',
      }
    })
  }
}

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
