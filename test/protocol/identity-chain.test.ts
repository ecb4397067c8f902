/** The identity chain: which events continue it, what stands after them, and the code of each that does not. */
import fc from 'fast-check'
import * as assert from 'uvu/assert'
import { toHex, utf8 } from '../../crypto/bytes.ts'
import { digestOf } from '../../crypto/cid.ts'
import { expand, sha256 } from '../../crypto/hash.ts'
import { keyFromSeed, type PrivateKey, thumbprint } from '../../crypto/key.ts'
import { decodeSigned, encodeSigned, type Payload, signRecord } from '../../crypto/statement.ts'
import { DELEGATED, type Delegated, identityGenesis, makeIdentity } from '../../protocol/identity.ts'
import {
  beginChain,
  type Chain,
  chainAt,
  everStood,
  extendChain,
  further,
  isIdentityFork,
  isRefused,
  keptChain,
  makeDelegate,
  makeRotate,
  type Refused,
  readChain,
  standingOf,
} from '../../protocol/identity-chain.ts'
import { MAX_IDENTITY_EVENTS } from '../../protocol/limits.ts'
import { readRecord, type Stored } from '../../protocol/record.ts'
import { suite } from '../harness.ts'

const test = suite('protocol/identity-chain')
const MADE = Date.UTC(2026, 0, 1)
const UNTIL = MADE + 1_000_000

/** An organisation with all the keys it will ever draw: number 0 is that of the genesis. */
function organisation(name = 'Acme') {
  const seed = sha256(utf8(name))
  const key = (role: string, n: number): PrivateKey => keyFromSeed(expand(seed, `${role}/${n}`))
  const first = (role: string) => key(role, 0).seed
  const genesis = makeIdentity(
    {
      root: first('root'),
      admin: first('admin'),
      rootNext: key('root', 1).seed,
      adminNext: key('admin', 1).seed,
      log: first('log'),
      operation: first('operation'),
      witness: first('witness'),
      node: first('node'),
    },
    { name, nonce: expand(seed, 'nonce', 16), madeMs: MADE, untilMs: UNTIL, retentionDays: 1 },
  )
  const chain = beginChain(readRecord(identityGenesis, genesis.bytes) as Stored<typeof genesis.payload>)
  return { key, chain }
}
type Organisation = ReturnType<typeof organisation>

/** The key that stands for a role is the newest drawn: as often as the chain names the role. */
const newest = ({ key }: Organisation, chain: Chain, role: 'root' | 'admin' | Delegated) =>
  key(role, chain.keys.filter(each => each.role === role).length - 1)
const following = ({ key }: Organisation, chain: Chain, role: 'root' | 'admin' | Delegated, further = 0) =>
  key(role, chain.keys.filter(each => each.role === role).length + further)

const rotated = (org: Organisation, chain: Chain, roles: ('root' | 'admin')[]) =>
  makeRotate(
    chain,
    Object.fromEntries(
      roles.map(role => [role, { key: following(org, chain, role), next: following(org, chain, role, 1) }]),
    ),
    MADE,
  )
const delegated = (org: Organisation, chain: Chain, roles: Delegated[], revoke: Uint8Array[] = []) =>
  makeDelegate(
    chain,
    newest(org, chain, 'admin'),
    {
      keys: Object.fromEntries(
        roles.map(role => [role, { key: following(org, chain, role), untilMs: UNTIL }]),
      ),
      revoke,
    },
    MADE,
  )

function extended(chain: Chain, event: Uint8Array): Chain {
  const next = extendChain(chain, event)
  if (isRefused(next)) throw new Error(`${next.code}: ${next.reason}`)
  return next
}
const refusedAs = (step: Chain | Refused, code: Refused['code']) =>
  assert.is(isRefused(step) ? step.code : 'taken', code)

/** An event with another payload, signed anew by whom the roles name. */
function resigned(event: Uint8Array, change: object, signers: Record<string, PrivateKey>): Uint8Array {
  const p = { ...decodeSigned(event).p, ...change } as Payload
  return encodeSigned({ p, s: Object.entries(signers).map(([role, key]) => signRecord(p, role, key)) })
}

type Act = { rotate: readonly string[] } | { delegate: Delegated[]; revoke: boolean }
const [act, acts]: [fc.Arbitrary<Act>, fc.ArrayConstraints] = [
  fc.oneof(
    fc.record({ rotate: fc.constantFrom(['root'], ['admin'], ['root', 'admin']) }),
    fc.record({ delegate: fc.subarray([...DELEGATED], { minLength: 1 }), revoke: fc.boolean() }),
  ),
  { minLength: 1, maxLength: 6 },
]

/** A history of events as drawn; the chains after each, the genesis first. */
function history(org: Organisation, drawn: Act[]): { chains: Chain[]; events: Uint8Array[] } {
  const chains = [org.chain]
  const events: Uint8Array[] = []
  for (const each of drawn) {
    const chain = chains.at(-1)!
    const revoked =
      'delegate' in each && each.revoke ? [thumbprint(newest(org, chain, each.delegate[0]!).public)] : []
    const event =
      'rotate' in each
        ? rotated(org, chain, [...each.rotate] as ('root' | 'admin')[])
        : delegated(org, chain, each.delegate, revoked)
    events.push(event)
    chains.push(extended(chain, event))
  }
  return { chains, events }
}

test('every history of events is read back as it was made, and what stood before stays as it was', () => {
  const org = organisation()
  fc.assert(
    fc.property(fc.array(act, acts), drawn => {
      const { chains, events } = history(org, drawn)
      const last = chains.at(-1)!
      assert.equal(readChain(org.chain.genesis, events), last)
      assert.equal(keptChain(org.chain.genesis, events), last)
      assert.equal(further(last, events), last)
      for (const [n, chain] of chains.entries()) {
        assert.equal(chainAt(last, digestOf(chain.last)), chain)
        assert.equal(further(chain, events), last)
        // A rotation never undoes: who stood at event n stands in every later chain, from the same event.
        for (const standing of chain.keys)
          assert.ok(last.keys.some(each => each.key === standing.key && each.epoch === standing.epoch))
        assert.is(chain.events.length, n)
      }
      for (const role of ['root', 'admin', ...DELEGATED] as const) {
        const stood = everStood(last, role)
        assert.is(stood.filter(each => each.ended === undefined).length, 1, role)
        assert.equal(standingOf(last, role), stood[0])
        assert.is(toHex(stood[0]!.key), toHex(newest(org, last, role).public))
      }
    }),
    { numRuns: 40 },
  )
})

test('keys never come back, in whichever role', () => {
  const org = organisation()
  fc.assert(
    fc.property(fc.array(act, acts), fc.constantFrom(...DELEGATED), fc.nat(), (drawn, role, pick) => {
      const { chains } = history(org, drawn)
      const last = chains.at(-1)!
      const old = last.keys[pick % last.keys.length]!
      const seeds = ['root', 'admin', ...DELEGATED].flatMap(each =>
        Array.from({ length: 8 }, (_, n) => org.key(each, n)),
      )
      const key = seeds.find(each => toHex(each.public) === toHex(old.key))!
      const about = { keys: { [role]: { key, untilMs: UNTIL } } }
      refusedAs(extendChain(last, makeDelegate(last, newest(org, last, 'admin'), about, MADE)), 'KEY_REUSED')
      const next = { key: following(org, last, 'admin'), next: key }
      refusedAs(extendChain(last, makeRotate(last, { admin: next }, MADE)), 'KEY_REUSED')
    }),
    { numRuns: 30 },
  )
})

test('any bit of an event that is turned refuses it', () => {
  const org = organisation()
  const event = delegated(org, org.chain, ['log', 'witness'])
  fc.assert(
    fc.property(fc.nat(event.length * 8 - 1), bit => {
      const wrong = event.slice()
      wrong[bit >> 3]! ^= 1 << (bit & 7)
      assert.ok(isRefused(extendChain(org.chain, wrong)))
    }),
    { numRuns: 300 },
  )
})

test('out of place: skipped, unlinked, replayed, of another organisation, one too many', () => {
  const org = organisation()
  const first = delegated(org, org.chain, ['log'])
  const one = extended(org.chain, first)
  const second = rotated(org, one, ['admin'])
  refusedAs(extendChain(org.chain, second), 'EVENT_SKIPPED')
  refusedAs(extendChain(one, first), 'EVENT_REPLAYED')
  refusedAs(extendChain(extended(one, second), first), 'EVENT_REPLAYED')
  const admin = newest(org, one, 'admin')
  const about = (n: number, prev = org.chain.last) => ({ n, prev })
  refusedAs(
    extendChain(one, resigned(delegated(org, one, []), { ...about(2), log: one.last }, { admin })),
    'EVENT_UNLINKED',
  )
  refusedAs(extendChain(one, resigned(first, about(0), { admin, log: org.key('log', 1) })), 'RECORD_INVALID')
  refusedAs(extendChain(organisation('Bolt').chain, first), 'RECORD_INVALID')
  let full = org.chain
  for (let n = 0; n < MAX_IDENTITY_EVENTS; n++) full = extended(full, delegated(org, full, ['node']))
  refusedAs(extendChain(full, delegated(org, full, ['node'])), 'QUOTA_EXCEEDED')
})

test('wrong signers: each has its code', () => {
  const org = organisation()
  const { chain, key } = org
  const event = delegated(org, chain, ['log'])
  const [admin, log] = [key('admin', 0), key('log', 1)]
  for (const signers of [
    { admin: key('admin', 1), log },
    { admin: key('operation', 0), log },
    { admin },
    { log, admin },
    { admin, log, node: key('node', 1) },
  ])
    refusedAs(
      extendChain(chain, resigned(event, {}, signers as Record<string, PrivateKey>)),
      'SIGNATURE_INVALID',
    )
  refusedAs(extendChain(chain, resigned(event, {}, { admin, log: key('log', 2) })), 'SIGNATURE_INVALID')
  // The admin key that was replaced delegates no more; nor does a root key that was not committed to rotate.
  const next = extended(chain, rotated(org, chain, ['admin']))
  refusedAs(
    extendChain(next, makeDelegate(next, admin, { keys: { log: { key: log, untilMs: 1 } } }, MADE)),
    'SIGNATURE_INVALID',
  )
  for (const role of ['root', 'admin'] as const)
    refusedAs(
      extendChain(chain, makeRotate(chain, { [role]: { key: key(role, 5), next: key(role, 6) } }, MADE)),
      'KEY_UNCOMMITTED',
    )
  const root = makeRotate(chain, { root: { key: key('root', 1), next: key('root', 2) } }, MADE)
  refusedAs(extendChain(chain, resigned(root, {}, { root: key('root', 0) })), 'SIGNATURE_INVALID')
})

test('a new root key frees the admin key: a stolen one, and the one committed to, are done with', () => {
  const { chain, key } = organisation()
  const event = makeRotate(
    chain,
    {
      root: { key: key('root', 1), next: key('root', 2) },
      admin: { key: key('admin', 7), next: key('admin', 8) },
    },
    MADE,
  )
  const next = extended(chain, event)
  const about = { keys: { log: { key: key('log', 1), untilMs: UNTIL } } }
  refusedAs(extendChain(next, makeDelegate(next, key('admin', 0), about, MADE)), 'SIGNATURE_INVALID')
  refusedAs(
    extendChain(next, makeRotate(next, { admin: { key: key('admin', 1), next: key('admin', 9) } }, MADE)),
    'KEY_UNCOMMITTED',
  )
  assert.is(standingOf(extended(next, makeDelegate(next, key('admin', 7), about, MADE)), 'log')!.epoch, 2)
})

test('what is revoked has ended, once, and only what stood can be', () => {
  const org = organisation()
  const print = (role: Delegated, n: number) => thumbprint(org.key(role, n).public)
  const next = extended(org.chain, delegated(org, org.chain, ['operation'], [print('operation', 0)]))
  const [now, old] = everStood(next, 'operation')
  assert.equal([now!.epoch, now!.ended, now!.revoked], [1, undefined, undefined])
  assert.equal([old!.epoch, old!.ended, old!.revoked], [0, 1, 1])
  // A key that was replaced can be revoked later; one without a successor leaves its role without a key.
  const later = extended(next, delegated(org, next, ['log']))
  const last = extended(later, delegated(org, later, [], [print('log', 0), print('witness', 0)]))
  assert.equal(
    everStood(last, 'log').map(each => [each.ended, each.revoked]),
    [
      [undefined, undefined],
      [2, 3],
    ],
  )
  assert.is(standingOf(last, 'witness'), undefined)
  for (const wrong of [
    [print('operation', 0)],
    [print('node', 3)],
    [thumbprint(org.key('admin', 0).public)],
    [print('node', 0), print('node', 0)],
  ])
    refusedAs(extendChain(last, delegated(org, last, [], wrong)), 'KEY_UNKNOWN')
  refusedAs(extendChain(last, delegated(org, last, [])), 'RECORD_INVALID')
})

test('two events of one number prove a fork, and only two that hold', () => {
  const org = organisation()
  const [a, b] = [delegated(org, org.chain, ['log']), rotated(org, org.chain, ['admin'])]
  const chain = extended(extended(org.chain, a), delegated(org, extended(org.chain, a), ['node']))
  refusedAs(extendChain(chain, b), 'IDENTITY_FORKED')
  assert.ok(isIdentityFork(org.chain, a, b))
  assert.not(isIdentityFork(org.chain, a, a))
  const stranger = resigned(b, {}, { admin: org.key('admin', 6) })
  assert.not(isIdentityFork(org.chain, a, stranger))
  refusedAs(extendChain(chain, stranger), 'EVENT_REPLAYED')
})

test('another version of an event or a key is unknown, never wrong', () => {
  const org = organisation()
  const event = delegated(org, org.chain, ['log'])
  const admin = org.key('admin', 0)
  refusedAs(extendChain(org.chain, resigned(event, { t: 'delegate/2' }, { admin })), 'UNKNOWN_VERSION')
  const keys = { log: { a: 2, k: org.key('log', 1).public, until: UNTIL } }
  refusedAs(extendChain(org.chain, resigned(event, { keys }, { admin })), 'UNKNOWN_VERSION')
})

test.run()
