/** Evidence and proofs under keys that end: newer heads are asked for, and put beside what they renew (RULES D6). */
import { utf8 } from '../crypto/bytes.ts'
import { decode, encode, type Value } from '../crypto/cbor.ts'
import { type CID, parseCid } from '../crypto/cid.ts'
import { ownChain } from '../protocol/context.ts'
import { ProtocolError } from '../protocol/error.ts'
import type { Event, ProofReply } from '../protocol/event.ts'
import { readEvidence } from '../protocol/evidence.ts'
import { formatEvidence } from '../protocol/evidence-file.ts'
import { type Chain, eventsOf } from '../protocol/identity-chain.ts'
import { KEY } from '../protocol/layout.ts'
import { logAt } from '../protocol/ledger.ts'
import { originOf } from '../protocol/log.ts'
import {
  chainsIn,
  endsSoon,
  type Given,
  type HeadAt,
  headAt,
  headIn,
  renewal,
  renews,
} from '../protocol/renewal.ts'
import { renewedBy } from '../protocol/renewing.ts'
import { everSeated, shownCommittees } from '../protocol/shown-committees.ts'
import { readTrust } from '../protocol/trust.ts'
import type { Node } from './daemon.ts'
import { proofsOf } from './gather.ts'

/** Keys last for years and are renewed a month before they end: every few hours is often. */
const EVERY_MS = 6 * 3_600_000
/** After a partner changed its keys: by then logs have heads under the new ones. */
const SOON_MS = 15_000

/** What renewing a file came to: for each side whether a newer head is in it now. */
export interface Renewed {
  file: Uint8Array
  sides: { org: string; renewed: boolean }[]
}

/** Evidence with newer heads of both logs, of whichever side is at hand (RULES D6). Throws EVIDENCE_MALFORMED. */
export async function renewEvidence(node: Node, file: Uint8Array): Promise<Renewed> {
  const read = readEvidence(file)
  if (!('claim' in read)) throw new ProtocolError('EVIDENCE_MALFORMED', 'this is no evidence')
  const given: Given[] = []
  for (const side of ['provider', 'consumer'] as const) {
    const head = headIn(read, side)
    const found = head && (await renewalOf(node, read.claim[side], head))
    if (found) given.push(found)
  }
  const trust = await trustOf(node)
  const { evidence, taken } = renewedBy(read, given, trust, Date.now())
  for (const { org } of given)
    if (!taken.some(each => each.org.equals(org)))
      node.log.warn({ log: org.toString() }, 'what was given to renew evidence does not renew it')
  const sides = [read.claim.provider, read.claim.consumer].map(org => ({
    org: org.toString(),
    renewed: taken.some(each => each.org.equals(org)),
  }))
  return { file: formatEvidence(evidence), sides }
}

const trustOf = async (node: Node) => readTrust(await node.views.trust({}))

/** A newer head of a log: of the own one at once, of a partner's while it is here. */
async function renewalOf(node: Node, org: CID, { origin, size }: HeadAt): Promise<Given | undefined> {
  const home = node.reading()
  if (org.equals(home.self.id)) {
    const number = numberOf(origin, home.self.chain)
    if (number < 0) return undefined
    const { ledger, context } = logAt(number, node.driver.state.ledger, home)
    const own = renewal(size, ledger, context, Date.now())
    const partners = everSeated(home).flatMap(org => home.partner(org) ?? [])
    return (
      own && {
        org,
        renewal: own,
        committees: shownCommittees(node.driver.state.ledger, home),
        witnesses: partners.map(each => each.identityBytes),
        events: [ownChain(node.env), ...partners.map(each => each.chain)].flatMap(eventsOf),
      }
    )
  }
  const partner = home.partner(org.toString())
  const log = partner?.chain.logs[numberOf(origin, partner.chain)]
  const reply = log && (await proofsOf(node, org.toString(), [], { size, log }))
  if (!reply?.renewal) return undefined
  const { renewal: newer, witnesses, events, committees } = reply
  return { org, renewal: newer, witnesses, events, ...(committees ? { committees } : {}) }
}

const numberOf = (origin: string, chain: Chain): number =>
  chain.logs.findIndex((_, number) => originOf(chain, number) === origin)

/** What partners have proven, renewed before the keys under it end: the partners may be gone by then. */
export class Renewer {
  readonly #node: Node
  #timer: NodeJS.Timeout | undefined
  #stopped = false

  constructor(node: Node) {
    this.#node = node
  }

  start(): void {
    this.#node.driver.on('event', (event: Event) => {
      if (event.type === 'partner') this.#later(SOON_MS)
    })
    this.#later(SOON_MS)
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
  }

  #later(ms: number): void {
    clearTimeout(this.#timer)
    if (this.#stopped) return
    this.#timer = setTimeout(async () => {
      const open = await this.#round().catch(error => {
        this.#node.log.warn({ error: String(error) }, 'proofs are not renewed')
        return 0
      })
      // Whose log has no newer head yet is asked again soon, as long as it is here.
      this.#later(open > 0 ? SOON_MS : EVERY_MS)
    }, ms)
  }

  /** How many of those who are here could not renew theirs yet. */
  async #round(): Promise<number> {
    const { store } = this.#node
    const trust = await trustOf(this.#node)
    let open = 0
    for (const [key, value] of await store.list(KEY.allProofs)) {
      if (this.#stopped) return 0
      const kept = decode(value, value.length) as unknown as ProofReply
      const org = key.slice(KEY.allProofs.length).split('/')[0]!
      if (!kept.note || !this.#isEnding(kept) || !this.#node.partners.isConnected(org)) continue
      const newer = await renewalOf(this.#node, parseCid(org), headAt(utf8(kept.note))!)
      const partner = this.#node.views.partner(org)!
      // Nobody's cosignatures count in a log without a committee.
      if (partner.firsts.length === 0) continue
      if (!newer || !renews(kept.note, newer, partner.chain, trust, Date.now())) open++
      else {
        const { org: _, ...given } = newer
        const value: ProofReply = { ...kept, ...given }
        store.commit([{ key, value: encode(value as unknown as Value) }], () => {})
      }
    }
    return open
  }

  /** By what is known of the cosigners now, or was told with the proofs. */
  #isEnding({ note, renewal, witnesses, events }: ProofReply): boolean {
    const chains = chainsIn(witnesses, events).map(
      chain => this.#node.views.partner(chain.genesis.id.toString())?.chain ?? chain,
    )
    return endsSoon(renewal ? renewal.note : utf8(note!), chains, Date.now())
  }
}
