/** What is wrong with a message about ownership, and the code that it gets: rows of protocol/README.md, section 14. */
import { u64 } from '../../crypto/bytes.ts'
import { decode, encode } from '../../crypto/cbor.ts'
import type { CID } from '../../crypto/cid.ts'
import type { PrivateKey } from '../../crypto/key.ts'
import { decodeSigned, encodeSigned, type Payload, signRecord } from '../../crypto/statement.ts'
import type { Answer } from '../../protocol/command.ts'
import type { Handover } from '../../protocol/handover.ts'
import { KEY } from '../../protocol/layout.ts'
import { MAX_SITTINGS, MAX_TITLES, OTHERS_ASKED_MS } from '../../protocol/limits.ts'
import { decodeState } from '../../protocol/machine.ts'
import type { Message, MessageOf, MessageType } from '../../protocol/message.ts'
import type { Sitting } from '../../protocol/seats.ts'
import { shownLinks } from '../../protocol/title.ts'
import { Joint } from './joint-story.ts'
import { Ownership, ordered } from './ownership-story.ts'
import { POLICY, resign } from './story.ts'
import type { Member } from './world.ts'

const ID = new Uint8Array(16).fill(9)

/** The first code that this member answers with. */
function answered(story: Ownership, by: Member, from: number): string | undefined {
  for (const { message, from: sender } of story.world.wire.slice(from)) {
    if (sender !== by) continue
    if (message.t === 'error') return message.code
    if ('refusal' in message && message.refusal) return message.refusal.code
  }
  return undefined
}

function send(story: Ownership, from: Member, to: Member, message: Message): string | undefined {
  const before = story.world.wire.length
  story.world.send(from, to.org, message)
  story.world.run(10)
  return answered(story, to, before)
}

const first = <T extends MessageType>(story: Ownership, type: T): MessageOf<T> => story.sent(type)[0]!
const last = <T extends MessageType>(story: Ownership, type: T): MessageOf<T> => story.sent(type).at(-1)!
const operation = (member: Member) => member.env.keys.operation
const cole = ({ seats }: Ownership) => seats[0]!
const begun = () => new Ownership().begin()
const registered = () => new Ownership().register()
const offered = () => registered().offer()
const played = () => offered().accept()

/** A message of the play again, changed, from who sent it to who got it. */
function again<T extends MessageType>(
  story: Ownership,
  type: T,
  change: (message: MessageOf<T>) => object,
): string | undefined {
  const { from, to, message } = story.world.wire.findLast(each => each.message.t === type)!
  return send(story, from, to, { ...message, ...change(message as MessageOf<T>) } as Message)
}

/** A committee with one payload field or signature changed. */
const forged = (record: Uint8Array, s: (s: unknown[]) => unknown[]): Uint8Array => {
  const { p, s: signatures } = decodeSigned(record)
  return encodeSigned({ p, s: s(signatures) as typeof signatures })
}

/** The registration of the play, changed and signed by its owner again, as it is asked of Cole. */
function register(
  story: Ownership,
  change: object,
  by: Member = story.acme,
  from: Member = by,
): string | undefined {
  const { message } = story.world.wire.find(each => each.message.t === 'vote/ask')!
  const asked = message as MessageOf<'vote/ask'>
  const order = resign(asked.order, change, ['owner', operation(by)])
  return send(story, from, cole(story), { ...asked, order })
}

/** The steps of the play with another certificate of the last one, as they are told to a seat that knows none of them. */
function certified(change: (certificate: { t: string; votes: Uint8Array[] }) => object): string | undefined {
  const story = played()
  const [link] = last(story, 'owner/told').links
  const certificate = encode(change(decode(link!.certificate, 65_536) as never) as never)
  const seat = cole(story)
  const stored = seat.store.get(KEY.step(story.asset, 0))
  for (const key of [...seat.store.keys()]) if (/^(title|step)\//.test(key)) seat.store.delete(key)
  if (!stored) return undefined
  const { links, identities } = first(story, 'owner/told')
  return send(story, story.acme, seat, {
    t: 'owner/told',
    links: [links[0]!, { ...link!, certificate }],
    identities,
  })
}

/** The hand-over of the play, changed and signed by both again, as it is asked of a seat. */
function handOver(
  story: Ownership,
  change: object,
  [from, to]: [Member, Member] = [story.acme, story.bolt],
  of: Member = cole(story),
): string | undefined {
  const asked = last(story, 'vote/ask')
  const order = resign(asked.order, change, ['from', operation(from)], ['to', operation(to)])
  return send(story, story.acme, of, { ...asked, order })
}

/** Accepted by Bolt, and nobody asked for a vote yet. */
function signed(story: Ownership = offered()): Ownership {
  story.world.bend = ({ t }) => (t === 'vote/ask' ? 0 : 1)
  story.accept(story.bolt, undefined, OTHERS_ASKED_MS + 1_000)
  story.world.bend = () => 1
  return story
}

/** What Cole, who knows none of the other seats, answers when Acme signs an agreement with it. */
function agreed(story: Ownership, late?: () => () => string | undefined): string | undefined {
  const { acme, world } = story
  const policy = { ...POLICY, permissions: [{ action: 'use', constraints: [] }] }
  const untilMs = world.wallMs + 86_400_000
  const terms = { audience: [] as CID[], policy, approval: 'policy' as const, untilMs }
  const { offer } = acme.input({ type: 'offer', asset: story.asset, ...terms }) as { offer: CID }
  const seat = cole(story)
  seat.input({ type: 'catalog', org: acme.org })
  world.run(1_000)
  const then = late?.()
  const before = world.wire.length
  seat.input({ type: 'request', org: acme.org, offer, action: 'use', purpose: 'x' })
  world.run(1_000)
  return then ? then() : answered(story, seat, before)
}

/** A hand-over by three owners, two of whom must sign, as it is asked of Cole: changed, and signed by these and by Bolt. */
function jointly() {
  const story = new Joint().joint()
  story.world.bend = ({ t }) => (t === 'vote/ask' ? 0 : 1)
  story.sell(story.jost).yes(story.jost, story.bolt).yes(story.jost, story.acme, 1_000)
  story.world.bend = () => 1
  const asked = last(story, 'vote/ask')
  const { fromJoint: joint } = decodeSigned(asked.order).p as unknown as Required<Handover>
  const inOrder = joint.owners.map(({ org }) => story.all.find(({ env }) => env.self.id.equals(org))!)
  const ask = (change: object, by: Member[]) => {
    const from = by.map(each => ['from', operation(each)] as [string, PrivateKey])
    const { p } = decodeSigned(asked.order)
    const payload = Object.fromEntries(
      Object.entries({ ...p, made: 7, ...change }).filter(([, value]) => value !== undefined),
    ) as Payload
    const s = [...from, ['to', operation(story.bolt)] as const].map(([role, key]) =>
      signRecord(payload, role, key),
    )
    return send(story, story.jost, cole(story), { ...asked, order: encodeSigned({ p: payload, s }) })
  }
  return { story, ask, joint, inOrder }
}

export const OWNERSHIP_CASES: Record<string, () => string | undefined> = {
  'negotiation/request · an offer of an owner of before': () => {
    const story = registered()
    const { acme, bolt, world } = story
    const policy = { ...POLICY, permissions: [{ action: 'use', constraints: [] }] }
    const offered = acme.input({
      type: 'offer',
      asset: story.asset,
      audience: [],
      policy,
      approval: 'policy',
      untilMs: world.wallMs + 86_400_000,
    })
    const { offer } = offered as Extract<Answer, { type: 'offered' }>
    story.offer().accept()
    const about = { offer, action: 'use', purpose: 'x', state: bolt.chain.last }
    return send(story, bolt, acme, { t: 'negotiation/request', id: ID, ...about })
  },
  'negotiation/agree · of an asset whose seats are not asked': () => agreed(registered()),
  'negotiation/agree · by an owner of before': () => {
    const story = registered()
    return agreed(story, () => {
      // The agreement is late, and the asset is handed over meanwhile.
      story.world.intercept = ({ message }) => (message.t === 'negotiation/agree' ? () => {} : undefined)
      return () => {
        story.offer().accept()
        story.world.intercept = () => undefined
        const { message } = story.world.wire.find(each => each.message.t === 'negotiation/agree')!
        return send(story, story.acme, cole(story), message)
      }
    })
  },
  'seat/ask · one more than a partner gets': () => {
    const story = begun()
    const seat = cole(story)
    seat.store.set(KEY.seatsGiven(story.acme.org), u64(MAX_SITTINGS))
    return send(story, story.acme, seat, { t: 'seat/ask', id: ID, n: 1, f: 0, q: 1 })
  },
  'seat/given · the seat of another': () => {
    const story = new Ownership()
    story.world.bend = ({ t }, from) => (t === 'seat/given' && from === cole(story) ? 0 : 1)
    story.assemble()
    story.world.bend = () => 1
    const from = cole(story)
    const { message } = story.world.wire.find(each => each.from === from && each.message.t === 'seat/given')!
    const given = message as MessageOf<'seat/given'>
    const seat = { ...given.seat, org: story.bolt.env.self.id }
    return send(story, from, story.acme, { ...given, seat })
  },
  'seat/sign · another key than was given': () =>
    again(begun(), 'seat/sign', ({ committee }) => {
      const { p } = decodeSigned(committee)
      const seats = (p as unknown as { seats: { key: object }[] }).seats
      const key = { a: 1, k: new Uint8Array(32).fill(3) }
      const changed = {
        ...p,
        seats: seats.map(seat => ({
          ...seat,
          key: {
            ...key,
            k: seat.key === seats[3]!.key ? key.k : new Uint8Array(32).fill(seats.indexOf(seat) + 9),
          },
        })),
      }
      return { committee: encodeSigned({ p: changed as unknown as Payload, s: [] }) }
    }),
  'seat/sign · another committee than it was given to': () =>
    again(begun(), 'seat/sign', ({ committee }) => ({ committee: resign(committee, { made: 7 }) })),
  'seat/signed · signed by another key': () => {
    const story = new Ownership()
    story.world.bend = ({ t }, from) => (t === 'seat/signed' && from === cole(story) ? 0 : 1)
    story.assemble()
    story.world.bend = () => 1
    const from = cole(story)
    const { message } = story.world.wire.find(each => each.from === from && each.message.t === 'seat/signed')!
    const { committee, id } = message as MessageOf<'seat/signed'>
    const { p, s } = decodeSigned(committee)
    const wrong = encodeSigned({ p, s: [s[0]!, signRecord(p, 'member', operation(story.bolt))] })
    return send(story, from, story.acme, { t: 'seat/signed', id, committee: wrong })
  },
  'seat/done · without the signatures of one seat': () =>
    again(begun(), 'seat/done', ({ committee }) => ({
      committee: forged(committee, s => [...s.slice(0, 7), s[6]!]),
    })),
  'seat/done · of a committee that it has not signed': () => {
    const story = begun()
    const { message } = story.world.wire.find(each => each.message.t === 'seat/done')!
    return send(story, story.acme, story.bolt, message)
  },
  'seat/lost · the seat of another': () => {
    const story = begun()
    const payload = {
      t: 'seat-lost/1',
      org: cole(story).env.self.id,
      committee: story.jury,
      epoch: 0,
      made: 1,
    }
    const lost = encodeSigned({ p: payload, s: [signRecord(payload, 'member', operation(story.bolt))] })
    return send(story, story.bolt, story.acme, { t: 'seat/lost', lost })
  },

  'handover/offer · to another': () => {
    const story = offered()
    return send(story, story.acme, cole(story), first(story, 'handover/offer'))
  },
  'handover/offer · by an owner of before': () => {
    const story = played()
    const { order, ...rest } = first(story, 'handover/offer')
    return send(story, story.acme, story.bolt, { ...rest, order: resign(order, { made: 7 }) })
  },
  'handover/offer · that leaves the buyer a seat': () => {
    const story = offered()
    const { order, ...rest } = first(story, 'handover/offer')
    const seat = cole(story)
    const { id, chain } = { id: seat.env.self.id, chain: seat.chain }
    return send(story, story.acme, seat, { ...rest, order: resign(order, { to: id, toState: chain.last }) })
  },
  'handover/offer · of one registration more than a partner may bring up': () => {
    const story = new Joint().begin()
    story.jost.store.set(KEY.titlesOf(story.acme.org), u64(MAX_TITLES))
    const before = story.world.wire.length
    story.ask(2)
    return answered(story, story.jost, before)
  },
  'handover/accept · of what was not offered': () => {
    const story = offered().accept()
    return again(story, 'handover/accept', ({ order }) => ({
      order: resign(order, { version: 2 }, ['to', operation(story.bolt)]),
    }))
  },
  'handover/accept · signed by another': () => {
    const story = offered()
    const { order } = first(story, 'handover/offer')
    const wrong = resign(order, {}, ['to', operation(cole(story))])
    return send(story, story.bolt, story.acme, { t: 'handover/accept', order: wrong })
  },
  'handover/signed · of what was not offered': () => {
    const story = played()
    const { order } = story.at(story.acme)!
    const other = resign(order, { made: 7 }, ['from', operation(story.acme)], ['to', operation(story.bolt)])
    return send(story, story.acme, story.bolt, { t: 'handover/signed', order: other })
  },
  'handover/signed · signed by another': () => {
    const story = offered()
    const { order } = first(story, 'handover/offer')
    const wrong = resign(order, {}, ['from', operation(cole(story))], ['to', operation(story.bolt)])
    return send(story, story.acme, story.bolt, { t: 'handover/signed', order: wrong })
  },

  'vote/ask · no record': () => again(registered(), 'vote/ask', () => ({ order: new Uint8Array(9) })),
  'vote/ask · signed by another': () => {
    const story = registered()
    return register(story, { nonce: ID }, story.bolt, story.acme)
  },
  'vote/ask · signed by too few owners': () => {
    const { story, ask } = jointly()
    return ask({}, [story.jost])
  },
  'vote/ask · signed by one owner twice': () => {
    const { story, ask } = jointly()
    return ask({}, [story.jost, story.jost])
  },
  'vote/ask · signed by who is no owner': () => {
    const { story, ask } = jointly()
    return ask({}, [story.jost, cole(story)])
  },
  'vote/ask · signed by its owners out of order': () => {
    const { ask, inOrder } = jointly()
    return ask({}, inOrder.slice(0, 2).reverse())
  },
  'vote/ask · owners out of order': () => {
    const { ask, inOrder, joint } = jointly()
    return ask({ fromJoint: { ...joint, owners: [...joint.owners].reverse() } }, inOrder)
  },
  'vote/ask · one owner twice among them': () => {
    const { ask, inOrder, joint } = jointly()
    return ask({ fromJoint: { k: 3, owners: [joint.owners[0]!, ...joint.owners] } }, inOrder)
  },
  'vote/ask · a threshold of no owner': () => {
    const { ask, inOrder, joint } = jointly()
    return ask({ fromJoint: { ...joint, k: 0 } }, inOrder)
  },
  'vote/ask · a threshold that two orders could meet': () => {
    const { ask, inOrder, joint } = jointly()
    return ask({ fromJoint: { ...joint, k: 1 } }, inOrder)
  },
  'vote/ask · a threshold of more owners than there are': () => {
    const { ask, inOrder, joint } = jointly()
    return ask({ fromJoint: { ...joint, k: 4 } }, inOrder)
  },
  'vote/ask · by some of its owners as if they were all': () => {
    const { story, ask, joint, inOrder } = jointly()
    const owners = joint.owners.filter(({ org }) => !org.equals(story.kern.env.self.id))
    return ask(
      { fromJoint: { k: 2, owners } },
      inOrder.filter(each => each !== story.kern),
    )
  },
  'vote/ask · by one owner of several': () => {
    const { story, ask } = jointly()
    return ask({ fromJoint: undefined }, [story.jost])
  },
  'vote/ask · with another threshold than they have': () => {
    const { ask, inOrder, joint } = jointly()
    return ask({ fromJoint: { ...joint, k: 3 } }, inOrder)
  },
  'vote/ask · by a state from before the last step': () => {
    const story = registered()
    const { acme } = story
    const old = { state: acme.chain.last, key: operation(acme) }
    acme.delegate(['operation'])
    story.world.run()
    story.order = ordered(acme.input({ type: 'reseat', asset: story.asset }))
    story.world.run()
    signed(story.offer())
    const change = { fromState: old.state, made: 7 }
    const { order, ...rest } = last(story, 'vote/ask')
    const sold = resign(order, change, ['from', old.key], ['to', operation(story.bolt)])
    return send(story, acme, cole(story), { ...rest, order: sold })
  },
  'vote/ask · a registration by another than its owner': () => {
    const story = registered()
    return register(story, { nonce: ID }, story.acme, story.bolt)
  },
  'vote/ask · an asset of another': () => {
    const story = registered()
    const { id } = story.bolt.env.self
    return register(story, { owner: id, ownerState: id }, story.bolt)
  },
  'vote/ask · of an asset that names another committee': () => {
    const story = registered()
    return register(story, { committee: story.assemble() })
  },
  'vote/ask · of an asset of another version': () => {
    const story = registered()
    const { message } = story.world.wire.find(each => each.message.t === 'vote/ask')!
    const asked = message as MessageOf<'vote/ask'>
    const { p, s } = decodeSigned(asked.asset!)
    return send(story, story.acme, cole(story), {
      ...asked,
      asset: encodeSigned({ p: { ...p, t: 'asset/2' }, s }),
    })
  },
  'vote/ask · of licensed data': () => register(registered(), { title: 'licensed' }),
  'vote/ask · of what is bought by nothing that is shown': () => {
    const story = begun()
    story.world.bend = ({ t }) => (t === 'vote/ask' ? 0 : 1)
    story.register()
    story.world.bend = () => 1
    return register(story, { title: 'bought', bought: story.order })
  },
  'vote/ask · another order of the same version': () => register(registered(), { nonce: ID }),
  'vote/ask · by who owns it no more': () => {
    const story = played()
    // A seat that was not asked, and has the certificate.
    const seat = story.seats.find(each => ![...each.store.keys()].some(key => /^vote\/.*1$/.test(key)))
    const of = seat ?? cole(story)
    for (const key of [...of.store.keys()]) if (/^vote\/.*1$/.test(key)) of.store.delete(key)
    return handOver(story, { made: 7 }, undefined, of)
  },
  'vote/ask · a registration under a name that is taken': () => {
    const story = registered()
    story.asset = story.publish('press 5')
    story.world.bend = ({ t }) => (t === 'vote/ask' ? 0 : 1)
    story.register('press 5')
    story.world.bend = () => 1
    return again(story, 'vote/ask', ({ order }) => ({
      order: resign(order, { ref: 'press 4' }, ['owner', operation(story.acme)]),
    }))
  },
  'vote/ask · of who has no seat': () => {
    const story = played()
    const iris = story.world.add('Iris SA')
    story.world.pair(story.acme, iris)
    return send(story, story.acme, iris, last(story, 'vote/ask'))
  },
  'vote/ask · of a party': () => {
    const story = registered()
    const seat = cole(story)
    const next = story.assemble(story.seats.slice(1))
    story.offer()
    signed(story)
    const asked = story.sent('handover/signed')[0]!
    const { id } = seat.env.self
    const change = { to: id, toState: id, next }
    const order = resign(asked.order, change, ['from', operation(story.acme)], ['to', operation(seat)])
    const committee = story.acme.store.get(KEY.jury(next))!
    const identities = story.sent('seat/done').flatMap(done => done.identities)
    return send(story, story.acme, seat, { t: 'vote/ask', order, committee, identities })
  },
  'vote/ask · of a seat that lost its votes': () => {
    const story = signed()
    const seat = cole(story)
    const key = KEY.sitting(story.jury)
    const sitting = decodeState<Sitting>(seat.store.get(key)!)
    seat.secrets.delete(sitting.handle)
    const { message } = story.world.wire.findLast(each => each.message.t === 'vote/ask' && each.to === seat)!
    return send(story, story.acme, seat, message)
  },
  'vote/cast · signed by another seat': () => {
    const story = signed()
    story.world.bend = ({ t }) => (t === 'vote/cast' ? 0 : 1)
    story.world.run(60_000)
    story.world.bend = () => 1
    const { message } = story.world.wire.find(
      each => each.message.t === 'vote/cast' && each.from === cole(story) && each.to === story.acme,
    )!
    const { vote } = last(story, 'vote/cast')
    const { p } = decodeSigned((message as MessageOf<'vote/cast'>).vote)
    const { version } = decodeSigned(vote).p as unknown as { version: number }
    const wrong = encodeSigned({
      p: { ...p, ...{ choice: story.order }, version },
      s: [signRecord(p, 'seat', operation(story.bolt))],
    })
    return send(story, cole(story), story.acme, { t: 'vote/cast', vote: wrong })
  },
  'owner/told · half a certificate': () =>
    certified(({ votes, ...rest }) => ({ ...rest, votes: votes.slice(0, 2) })),
  'owner/told · a certificate of another version': () => certified(rest => ({ ...rest, t: 'certificate/2' })),
  'owner/told · a committee that the owner minted': () => {
    const story = registered()
    const seat = cole(story)
    for (const key of [...seat.store.keys()]) if (/^(title|step)\//.test(key)) seat.store.delete(key)
    const { links, identities } = shownLinks(story.acme.knowing, story.asset, 0, 1)
    // The vote keys are right, but every organisation's signature is Acme's.
    const committee = forged(links[0]!.committee!, s => [...s.slice(0, 4), s[4]!, s[4]!, s[4]!, s[4]!])
    return send(story, story.acme, seat, {
      t: 'owner/told',
      links: [{ ...links[0]!, committee }],
      identities,
    })
  },
  'owner/told · an asset of others': () => {
    const story = registered()
    const { message } = story.world.wire.find(each => each.message.t === 'owner/told')!
    return send(story, cole(story), story.bolt, message)
  },
  'owner/ask · of who has no seat': () => {
    const story = registered()
    const about = { id: ID, committee: story.jury, asset: story.asset, version: 0 }
    return send(story, story.acme, story.bolt, { t: 'owner/ask', ...about })
  },
  'owner/frozen · orders of who never owned it': () => {
    const story = played()
    const { order } = story.at(story.acme)!
    const [cole, dunn] = story.seats as [Member, Member]
    const [one, other] = [7, 8].map(made => {
      const parties = {
        from: cole.env.self.id,
        fromState: cole.chain.last,
        to: dunn.env.self.id,
        toState: dunn.chain.last,
      }
      return resign(order, { ...parties, made }, ['from', operation(cole)], ['to', operation(dunn)])
    }) as [Uint8Array, Uint8Array]
    return send(story, cole, story.bolt, { t: 'owner/frozen', one, other, identities: [] })
  },
  'owner/frozen · orders that convict nobody': () => {
    const story = played()
    const { order } = story.at(story.acme)!
    return send(story, story.acme, story.bolt, {
      t: 'owner/frozen',
      one: order,
      other: order,
      identities: [],
    })
  },
}
