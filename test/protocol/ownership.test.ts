import * as assert from 'uvu/assert'
import type { CID } from '../../crypto/cid.ts'
import { cidOf } from '../../crypto/cid.ts'
import { expand, sha256 } from '../../crypto/hash.ts'
import { keyFromSeed, type PrivateKey } from '../../crypto/key.ts'
import { encodeSigned, type Payload, recordId, signRecord } from '../../crypto/statement.ts'
import {
  type AssetCommittee,
  committeeOfSeats,
  modeOf,
  readAssetCommittee,
  sealCommittee,
  signSeat,
  usualRule,
} from '../../protocol/asset-committee.ts'
import { makeVote, type Order } from '../../protocol/handover.ts'
import { MAX_REGISTRATIONS } from '../../protocol/limits.ts'
import {
  advance,
  type ChainKeys,
  checkOrder,
  isEquivocation,
  isRefused,
  type Link,
  makeCertificate,
  type Owned,
  readOwnership,
} from '../../protocol/ownership.ts'
import { isStored, type KeyRole, type Stored } from '../../protocol/record.ts'
import { type Ask, ask, type Ballot } from '../../protocol/voter.ts'
import { suite } from '../harness.ts'

const test = suite('protocol/ownership')

// Organisations and their keys, by name.
const utf8 = (text: string) => new TextEncoder().encode(text)
const org = (name: string): CID => cidOf(sha256(utf8(name)), 'raw')
const keyOf = (name: string): PrivateKey => keyFromSeed(expand(sha256(utf8(name)), 'key'))
const NAMES = ['Acme', 'Bolt', 'Cole', 'Dorn', 'Esse', 'Falk', 'Gard', 'Holt', 'Ines']
/** Acme's identity has had two more events; of nobody else's anything but the first is known. */
const LATER = ['Acme later', 'Acme much later']
const keys: ChainKeys = Object.assign(
  (id: CID, _role: KeyRole, _named: Uint8Array) =>
    NAMES.filter(name => org(name).equals(id)).map(keyOf)[0]?.public,
  {
    isBefore(id: CID, one: CID, other: CID) {
      const states = id.equals(org('Acme')) ? [org('Acme'), ...LATER.map(org)] : [id]
      const [a, b] = [one, other].map(state => states.findIndex(each => each.equals(state))) as [
        number,
        number,
      ]
      return a < 0 || b < 0 ? undefined : a < b
    },
  },
)
const sealed = (payload: Payload, roles: [role: string, name: string][]): Uint8Array =>
  encodeSigned({ p: payload, s: roles.map(([role, name]) => signRecord(payload, role, keyOf(name))) })

const assetOf = (name: string, title = 'press 4', of: { id: CID } = FOUR) => {
  const payload = {
    t: 'asset/1',
    org: org(name),
    title,
    kind: 'set',
    classification: { domain: 'production', level: 'general' },
    ownerVersion: 0,
    committee: of.id,
    made: 1,
    nonce: new Uint8Array(16),
  }
  return { id: recordId(payload), bytes: sealed(payload, [['publisher', name]]) }
}

interface Jury extends Stored<AssetCommittee> {
  names: string[]
}
const seatKey = (name: string, epoch = 0) => keyOf(`seat of ${name} ${epoch}`)

function seal(names: string[], rule: { f: number; q: number }, epoch = 0, by = keyOf): Uint8Array {
  const seats = names.map(name => ({
    org: org(name),
    state: org(name),
    key: { a: 1, k: seatKey(name, epoch).public },
    epoch,
  }))
  const payload = committeeOfSeats(seats, rule, { madeMs: 1, nonce: new Uint8Array(16) })
  return sealCommittee(payload, id => {
    const name = names.find(each => org(each).toString() === id)!
    return signSeat(payload, seatKey(name, epoch), role =>
      signRecord(payload as unknown as Payload, role, by(name)),
    )
  })
}

function jury(names: string[], rule = { f: 1, q: 3 }, epoch = 0): Jury {
  const read = readAssetCommittee(seal(names, rule, epoch), keys)
  assert.ok(isStored(read), JSON.stringify(read))
  return { ...(read as Stored<AssetCommittee>), names }
}
const FOUR = jury(['Cole', 'Dorn', 'Esse', 'Falk'])

type Fields = Partial<Payload>
const register = (of: Jury, fields: Fields = {}, by = 'Acme') =>
  sealed(
    {
      t: 'registration/1',
      asset: assetOf('Acme', 'press 4', of).id,
      owner: org(by),
      ownerState: org(by),
      committee: of.id,
      ref: 'press 4',
      content: new Uint8Array(32),
      title: 'made',
      warranty: true,
      made: 1,
      nonce: new Uint8Array(16),
      ...fields,
    },
    [['owner', by]],
  )

const handover = (prev: CID, from: string, to: string, of: Jury, fields: Fields = {}) =>
  sealed(
    {
      t: 'handover/1',
      asset: assetOf('Acme').id,
      version: 1,
      prev,
      from: org(from),
      fromState: org(from),
      to: org(to),
      toState: org(to),
      committee: of.id,
      passes: { agreements: true, duties: true, keys: true, blocks: true },
      made: 1,
      ...fields,
    },
    [
      ['from', from],
      ['to', to],
    ],
  )

function orderIn(bytes: Uint8Array, of: { id: CID } = FOUR): Order {
  const order = checkOrder({ order: bytes, asset: assetOf('Acme', 'press 4', of).bytes }, keys)
  if (isRefused(order)) throw new Error(order.text)
  return order
}
const votes = (of: Jury, names: string[], order: Order): Uint8Array[] =>
  names.map(name => {
    const seat = of.payload.seats.find(each => each.org.equals(org(name)))!
    return makeVote(seat, seatKey(name, seat.epoch), order)
  })
const certify = (of: Jury, names: string[], bytes: Uint8Array) =>
  makeCertificate(votes(of, names, orderIn(bytes, of)))

const registered = (of = FOUR): Link => {
  const order = register(of)
  return {
    order,
    asset: assetOf('Acme', 'press 4', of).bytes,
    certificate: certify(of, of.names.slice(0, 3), order),
    committee: of.bytes,
  }
}
const sold = (
  before: Owned,
  from: string,
  to: string,
  of: Jury,
  voters: string[],
  fields: Fields = {},
): Link => {
  const { asset } = before
  const order = handover(before.order, from, to, of, { asset, version: before.version + 1, ...fields })
  return { order, certificate: certify(of, voters, order) }
}
const stands = (...links: Link[]): Owned => {
  const owned = readOwnership(links, keys)
  if (isRefused(owned)) throw new Error(owned.text)
  return owned
}
const codeOf = (step: object): string => (isRefused(step) ? step.code : 'none')

/** A seat with a store of its own. */
function seat(name: string, { lost = false } = {}) {
  const store = new Map<string, Uint8Array>()
  const cast = (asked: Ask): Ballot['reply'] => {
    const { writes, reply } = ask(asked, {
      self: org(name),
      get: key => store.get(key),
      committee: () => undefined,
      voteKey: () => (lost ? undefined : seatKey(name)),
      keys,
    })
    for (const { key, value } of writes) store.set(key, value!)
    return reply
  }
  return { store, cast }
}
const asked = (order: Uint8Array, links: Link[] = [], of = FOUR): Ask => ({
  order,
  asset: assetOf('Acme', 'press 4', of).bytes,
  committee: of.bytes,
  before: links.length > 0 ? stands(...links) : undefined,
})
const said = (reply: Ballot['reply']): string => (reply.t === 'vote' ? 'vote' : reply.code)

test('an asset is registered, handed over twice and its committee changed, and anybody can follow it', () => {
  const first = stands(registered())
  assert.is(first.version, 0)
  assert.ok(first.owner.equals(org('Acme')))
  const other = jury(['Dorn', 'Esse', 'Falk', 'Gard'])
  const change = sold(first, 'Acme', 'Bolt', FOUR, ['Cole', 'Dorn', 'Falk'], { next: other.id })
  const second = stands(registered(), { ...change, committee: other.bytes })
  assert.ok(second.owner.equals(org('Bolt')))
  const third = stands(
    registered(),
    { ...change, committee: other.bytes },
    sold(second, 'Bolt', 'Holt', other, ['Dorn', 'Esse', 'Gard']),
  )
  assert.is(third.version, 2)
  assert.ok(third.owner.equals(org('Holt')))
})

test('half a certificate, one vote twice, and votes for another order are none', () => {
  const [reg] = [registered()]
  const before = stands(reg)
  const order = handover(before.order, 'Acme', 'Bolt', FOUR)
  const two = votes(FOUR, ['Cole', 'Dorn'], orderIn(order))
  const other = votes(FOUR, ['Esse'], orderIn(handover(before.order, 'Acme', 'Holt', FOUR)))
  for (const cast of [two, [...two, two[0]!], [...two, other[0]!], []])
    assert.is(
      codeOf(advance(before, { order, certificate: makeCertificate(cast) }, keys)),
      'CERTIFICATE_INVALID',
    )
  const stranger = makeVote(
    { org: org('Gard'), state: org('Gard'), key: { a: 1, k: seatKey('Gard').public }, epoch: 0 },
    seatKey('Gard'),
    orderIn(order),
  )
  assert.is(
    codeOf(advance(before, { order, certificate: makeCertificate([...two, stranger]) }, keys)),
    'CERTIFICATE_INVALID',
  )
})

test('a vote that its seat signed for another version, asset, epoch or committee is none', () => {
  const before = stands(registered())
  const order = handover(before.order, 'Acme', 'Bolt', FOUR)
  const read = orderIn(order)
  const two = votes(FOUR, ['Cole', 'Dorn'], read)
  const seat = FOUR.payload.seats.find(each => each.org.equals(org('Esse')))!
  const code = (vote: Uint8Array) =>
    codeOf(advance(before, { order, certificate: makeCertificate([...two, vote]) }, keys))
  assert.is(code(makeVote(seat, seatKey('Esse'), read)), 'none')
  for (const [epoch, change] of [
    [0, { version: 2 }],
    [0, { asset: org('Acme') }],
    [0, { committee: jury(['Cole', 'Dorn', 'Esse', 'Falk'], { f: 1, q: 3 }, 1).id }],
    [1, {}],
  ] as const)
    assert.is(
      code(makeVote({ ...seat, epoch }, seatKey('Esse'), { ...read, ...change })),
      'CERTIFICATE_INVALID',
    )
})

test('a committee that stands no liar decides nothing where a party has a seat', () => {
  const four = jury(['Cole', 'Dorn', 'Esse', 'Falk'], { f: 0, q: 3 })
  const next = jury(['Dorn', 'Esse', 'Falk'], { f: 2, q: 3 })
  const before = stands(registered(four))
  const link = sold(before, 'Acme', 'Cole', four, ['Dorn', 'Esse', 'Falk'], { next: next.id })
  assert.is(codeOf(advance(before, { ...link, committee: next.bytes }, keys)), 'PARTY_SEATED')
})

test('a retired seat and a committee that was replaced decide nothing any more', () => {
  const before = stands(registered())
  const later = jury(['Cole', 'Dorn', 'Esse', 'Falk'], { f: 1, q: 3 }, 1)
  const change = {
    ...sold(before, 'Acme', 'Bolt', FOUR, ['Cole', 'Dorn', 'Esse'], { next: later.id }),
    committee: later.bytes,
  }
  const now = stands(registered(), change)
  // By the old committee, and by the old seats of the new one.
  const byOld = sold(now, 'Bolt', 'Holt', FOUR, ['Cole', 'Dorn', 'Esse'])
  assert.is(codeOf(advance(now, byOld, keys)), 'COMMITTEE_INVALID')
  const order = handover(now.order, 'Bolt', 'Holt', later, { version: 2 })
  const retired = later.payload.seats
    .slice(0, 3)
    .map(each =>
      makeVote(
        { ...each, epoch: 0 },
        seatKey(NAMES.find(name => org(name).equals(each.org))!),
        orderIn(order),
      ),
    )
  assert.is(
    codeOf(advance(now, { order, certificate: makeCertificate(retired) }, keys)),
    'CERTIFICATE_INVALID',
  )
})

test('a committee that one seat did not sign, or whose numbers are no quorum, is none', () => {
  const made = (rule: { f: number; q: number }) => readAssetCommittee(seal(FOUR.names, rule), keys)
  assert.ok(isStored(made({ f: 1, q: 3 })))
  for (const rule of [
    { f: 1, q: 2 },
    { f: 2, q: 3 },
    { f: 0, q: 2 },
    { f: 1, q: 5 },
  ])
    assert.not(isStored(made(rule)), JSON.stringify(rule))
  const { payload, signatures } = FOUR
  for (const s of [
    signatures.slice(1),
    signatures.slice(0, 4),
    signatures.toReversed(),
    [...signatures.slice(0, 7), signatures[4]!],
  ])
    assert.not(isStored(readAssetCommittee(encodeSigned({ p: payload as unknown as Payload, s }), keys)))
})

test('a jury that the seller minted under respected names is none: they have not signed it', () => {
  // Every vote key is the seller's, and so is every other signature.
  const minted = readAssetCommittee(
    seal(FOUR.names, { f: 1, q: 3 }, 0, () => keyOf('Acme')),
    keys,
  )
  assert.not(isStored(minted))
  assert.is(!isStored(minted) && minted.ok, false)
  const strangers = readAssetCommittee(seal(FOUR.names, { f: 1, q: 3 }), () => undefined)
  assert.is(!isStored(strangers) && strangers.ok, 'unknown', 'whose keys nobody knows is not judged')
})

test('nobody votes in an empty committee, and it says so; what others are worth depends on their numbers', () => {
  const none = jury([], { f: 0, q: 0 })
  assert.is(stands(registered(none)).version, 0)
  const modes = [0, 1, 2, 3, 4, 7].map(n => ({ n, ...usualRule(n) }))
  assert.equal(
    modes.map(rule => modeOf(rule).mode),
    ['none', 'all', 'all', 'all', 'byzantine', 'byzantine'],
  )
  assert.is(modeOf({ n: 3, f: 0, q: 2 }).mode, 'majority')
  for (const rule of [...modes, { n: 3, f: 0, q: 2 }, { n: 2, f: 0, q: 2 }]) {
    const { words } = modeOf(rule)
    assert.is(words.includes('Byzantine'), rule.f > 0 && rule.q < rule.n, words)
    if (rule.n > 0) assert.match(words, `if more than ${rule.n - rule.q} of ${rule.n} disappear`)
  }
})

test('a party with a seat does not vote, its vote does not count, and too many parties leave no committee', () => {
  const before = stands(registered())
  const order = handover(before.order, 'Acme', 'Cole', FOUR)
  assert.is(said(seat('Cole').cast(asked(order, [registered()]))), 'PARTY_SEATED')
  // Who buys names a committee without itself, also when all others would vote.
  const others = makeCertificate(votes(FOUR, ['Dorn', 'Esse', 'Falk'], orderIn(order)))
  assert.is(codeOf(advance(before, { order, certificate: others }, keys)), 'PARTY_SEATED')
  const next = jury(['Dorn', 'Esse', 'Falk', 'Gard'])
  const leaving = handover(before.order, 'Acme', 'Cole', FOUR, { next: next.id })
  const cast = (names: string[]) => ({
    order: leaving,
    certificate: makeCertificate(votes(FOUR, names, orderIn(leaving))),
    committee: next.bytes,
  })
  assert.is(codeOf(advance(before, cast(['Cole', 'Dorn', 'Esse']), keys)), 'CERTIFICATE_INVALID')
  assert.is(codeOf(advance(before, cast(['Dorn', 'Esse', 'Falk']), keys)), 'none')
  const all = jury(['Bolt', 'Cole', 'Dorn'], { f: 0, q: 3 })
  const seated = handover(before.order, 'Acme', 'Bolt', all, { committee: all.id, next: next.id })
  const owned = { ...before, committee: all }
  const three = makeCertificate(votes(all, all.names, orderIn(seated)))
  const link = { order: seated, certificate: three, committee: next.bytes }
  assert.is(codeOf(advance(owned, link, keys)), 'PARTY_SEATED')
})

test('a seat votes once for a version, says for what, and says it again', () => {
  const link = registered()
  const before = stands(link)
  const [toBolt, toHolt] = ['Bolt', 'Holt'].map(to => handover(before.order, 'Acme', to, FOUR)) as [
    Uint8Array,
    Uint8Array,
  ]
  const cole = seat('Cole')
  const first = cole.cast(asked(toBolt, [link]))
  assert.equal(cole.cast(asked(toBolt, [link])), first)
  // Also when nobody shows it the steps before any more.
  assert.equal(cole.cast(asked(toBolt)), first)
  const refusal = cole.cast(asked(toHolt, [link]))
  assert.is(said(refusal), 'VOTED_OTHERWISE')
  assert.equal(refusal.t === 'refused' && refusal.held, toBolt)
  assert.ok(isEquivocation(orderIn(toBolt), orderIn(toHolt)))
  assert.not(isEquivocation(orderIn(toBolt), orderIn(toBolt)))
})

test('what a seat is asked without right is refused by its reason', () => {
  const link = registered()
  const before = stands(link)
  const order = handover(before.order, 'Acme', 'Bolt', FOUR)
  const cases: [string, () => Ballot['reply']][] = [
    ['OUT_OF_ORDER', () => seat('Cole').cast(asked(order))],
    ['SEAT_UNKNOWN', () => seat('Gard').cast(asked(order, [link]))],
    ['SEAT_LOST', () => seat('Cole', { lost: true }).cast(asked(order, [link]))],
    ['NOT_OWNER', () => seat('Cole').cast(asked(handover(before.order, 'Holt', 'Bolt', FOUR), [link]))],
    [
      'COMMITTEE_INVALID',
      () => seat('Cole').cast({ order: register(FOUR), asset: assetOf('Acme').bytes, before: undefined }),
    ],
    [
      'RECORD_INVALID',
      () => seat('Cole').cast({ ...asked(register(FOUR)), asset: assetOf('Acme', 'other').bytes }),
    ],
    // Nobody registers what another published, and so nobody can use up its versions.
    ['NOT_OWNER', () => seat('Cole').cast(asked(register(FOUR, {}, 'Holt')))],
    ['RECORD_INVALID', () => seat('Cole').cast(asked(register(FOUR, { title: 'licensed' })))],
    ['RECORD_INVALID', () => seat('Cole').cast(asked(register(FOUR, { title: 'bought' })))],
    ['RECORD_INVALID', () => seat('Cole').cast(asked(register(FOUR, { warranty: false })))],
    ['RECORD_INVALID', () => seat('Cole').cast(asked(handover(before.order, 'Acme', 'Acme', FOUR), [link]))],
    [
      'SIGNATURE_INVALID',
      () => {
        const { p, s } = {
          p: { ...orderIn(order).record.payload, made: 2 } as unknown as Payload,
          s: orderIn(order).record.signatures,
        }
        return seat('Cole').cast(asked(encodeSigned({ p, s }), [link]))
      },
    ],
  ]
  for (const [code, reply] of cases) assert.is(said(reply()), code)
})

test('an owner registers a name once, and so many names', () => {
  const cole = seat('Cole')
  assert.is(said(cole.cast(asked(register(FOUR)))), 'vote')
  const second = assetOf('Acme', 'press 5')
  const again = (ref: string) => ({
    ...asked(register(FOUR, { asset: second.id, ref })),
    asset: second.bytes,
  })
  assert.is(said(cole.cast(again('press 4'))), 'OUT_OF_ORDER')
  const count = [...cole.store.keys()].find(key => key.startsWith('registrations/'))!
  const full = new Uint8Array(8)
  new DataView(full.buffer).setBigUint64(0, BigInt(MAX_REGISTRATIONS))
  const before = cole.store.get(count)!
  cole.store.set(count, full)
  assert.is(said(cole.cast(again('press 5'))), 'QUOTA_EXCEEDED')
  cole.store.set(count, before)
  assert.is(said(cole.cast(again('press 5'))), 'vote')
})

test.run()
