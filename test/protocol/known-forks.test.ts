/** What a verifier that knows of forks says of evidence (RULES C1, D4, G3). */
import * as assert from 'uvu/assert'
import { decode, encode, type Value } from '../../crypto/cbor.ts'
import { thumbprint } from '../../crypto/key.ts'
import { decodeSigned, encodeSigned } from '../../crypto/statement.ts'
import { formatEvidence } from '../../protocol/evidence-file.ts'
import { proveFork } from '../../protocol/fork.ts'
import {
  beginChain,
  eventsOf,
  extendChain,
  isRefused,
  lastEnding,
  makeDelegate,
} from '../../protocol/identity-chain.ts'
import { proveIdentityFork } from '../../protocol/identity-fork.ts'
import { readKnownForks } from '../../protocol/known-forks.ts'
import { readTrust } from '../../protocol/trust.ts'
import { verify, verifyFork } from '../../sdk/verify.ts'
import { rejectsCode, suite, throwsCode } from '../harness.ts'
import { check, detailOf, statusOf, story, trustFile } from './evidence-story.ts'
import { forgedHead } from './story.ts'
import type { Member } from './world.ts'

const test = suite('protocol/known-forks')
const told = story()
const { acme, bolt, bytes, asOfMs, witnesses } = told

/** Two events of number 1, which the evidence rests on; or of the number behind its last. */
function identityFork(of: Member, number: 'known' | 'next'): Uint8Array {
  const make = (chain: Member['chain']) =>
    makeDelegate(chain, of.env.keys.admin, { keys: { node: { key: of.draw(), untilMs: 1 } } }, 1)
  if (number === 'known') return proveIdentityFork(of.chain, [make(beginChain(of.chain.genesis))])!
  return proveIdentityFork(extended(of.chain, make(of.chain)), [make(of.chain)])!
}
const extended = (chain: Member['chain'], event: Uint8Array): Member['chain'] => {
  const next = extendChain(chain, event)
  assert.ok(!isRefused(next))
  return next as Member['chain']
}

test('evidence that rests on a forked event, or on a later one, is inconclusive; what rests on earlier ones stands', () => {
  const at = readKnownForks([identityFork(acme, 'known')])
  const report = check(bytes, told, { known: at })
  assert.is(report.verdict, 'inconclusive')
  assert.match(detailOf(report, 'known forks')!, /has two events 1/)
  const later = check(bytes, told, { known: readKnownForks([identityFork(acme, 'next')]) })
  assert.is(later.verdict, 'verified')
  assert.is(statusOf(later, 'known forks'), 'ok')
  assert.is(statusOf(check(bytes, told), 'known forks'), undefined)
})

test('what is final in a log that was forked stays final, and what is not is inconclusive', () => {
  const size = 1_000_000
  const [a, b] = [forgedHead(bolt, 1), forgedHead(bolt, 1, new Uint8Array(32))]
  const { id, identity, identityBytes } = bolt.env.self
  const partner = { id, identity, identityBytes, chain: bolt.chain }
  const proof = proveFork(partner, a, b, { root: new Uint8Array(32), path: [] })!
  const known = readKnownForks([proof])
  assert.is(check(bytes, told, { known }).verdict, 'verified')
  const alone = { ...told, trust: readTrust(trustFile([acme, bolt, ...witnesses], [], [])) }
  assert.is(check(bytes, alone).verdict, 'verified', 'without members nothing is final')
  const report = check(bytes, alone, { known })
  assert.is(report.verdict, 'inconclusive')
  assert.match(detailOf(report, 'consumer position')!, /^its log has two histories from size 1; /)
  assert.is(statusOf(report, 'provider position'), 'ok')
  const late = [forgedHead(bolt, size), forgedHead(bolt, size, new Uint8Array(32))] as const
  const behind = proveFork(partner, ...late, { root: new Uint8Array(32), path: [] })!
  assert.is(check(bytes, alone, { known: readKnownForks([behind]) }).verdict, 'verified', 'before the fork')
})

test('callers hand proofs over as files, and one that proves nothing is refused by code', async () => {
  const trust = trustFile([acme, bolt, ...witnesses], witnesses, [acme, bolt])
  const proof = identityFork(acme, 'known')
  assert.is((await verify(bytes, trust, { asOf: asOfMs, forks: [] })).verdict, 'verified')
  assert.is((await verify(bytes, trust, { asOf: asOfMs, forks: [proof] })).verdict, 'inconclusive')
  const spoilt = proof.with(proof.length - 1, proof.at(-1)! ^ 1)
  throwsCode(() => readKnownForks([spoilt]), 'FORK_UNPROVEN')
  await rejectsCode(verify(bytes, trust, { asOf: asOfMs, forks: [spoilt] }), 'FORK_UNPROVEN')
})

test('heads by a key that was revoked prove no fork to whoever is shown that it was', () => {
  const told = story()
  const heads = [forgedHead(told.bolt, 1), forgedHead(told.bolt, 1, new Uint8Array(32))] as const
  const { id, identity, identityBytes } = told.bolt.env.self
  const partner = { id, identity, identityBytes, chain: told.bolt.chain }
  const known = readKnownForks([proveFork(partner, ...heads, { root: new Uint8Array(32), path: [] })!])
  const alone = { ...told, trust: readTrust(trustFile([told.acme, told.bolt, ...told.witnesses], [], [])) }
  assert.match(detailOf(check(told.bytes, alone, { known }), 'consumer position')!, /two histories/)
  told.bolt.delegate(['log'], ['log'])
  const events = [...told.evidence.events, ...eventsOf(told.bolt.chain)]
  const report = check(formatEvidence({ ...told.evidence, events }), alone, { known })
  assert.is(statusOf(report, 'consumer position'), 'ok')
})

test('a fork proof convicts by a trust file: whom it believes, and which event it knows to have ended a key', async () => {
  const { id, identity, identityBytes, org } = bolt.env.self
  const before = { id, identity, identityBytes, chain: bolt.chain }
  const [a, b] = [forgedHead(bolt, 1), forgedHead(bolt, 1, new Uint8Array(32))]
  const proof = proveFork(before, a, b, { root: new Uint8Array(32), path: [] })!
  const { verdict, log, trustDigest } = await verifyFork(proof, told.trust.file)
  assert.equal([verdict, log?.org.toString(), trustDigest], ['verified', org, told.trust.digest])
  const { identities } = told.trust.file
  const strange = { ...told.trust.file, identities: identities.filter(each => each.id !== org) }
  const unknown = await verifyFork(proof, strange)
  assert.is(unknown.verdict, 'inconclusive')
  assert.match(unknown.steps.at(-2)!.detail, /^Bolt GmbH .* is not in the trust file$/)
  // The thief of a key that was revoked leaves out by which event.
  const event = makeDelegate(
    bolt.chain,
    bolt.env.keys.admin,
    { revoke: [thumbprint(bolt.key('log').public)] },
    1,
  )
  const revoked = extended(bolt.chain, event)
  const known = [{ id: org, ...lastEnding(revoked)! }]
  const left = await verifyFork(proof, { ...told.trust.file, known })
  assert.is(left.verdict, 'inconclusive')
  assert.match(
    left.steps.at(-1)!.detail,
    /identity event 1 of Bolt GmbH, which ended a key, is not in the evidence/,
  )
  const two = await verifyFork(identityFork(acme, 'known'), told.trust.file)
  assert.equal([two.verdict, two.identity?.n], ['verified', 1])
  assert.is((await verifyFork(proof.slice(1), told.trust.file)).verdict, 'failed')
  const ofNoFork = encode({ ...(decode(proof) as object), t: 'forks/1' } as Value)
  assert.is((await verifyFork(ofNoFork, told.trust.file)).verdict, 'failed')
  await rejectsCode(verifyFork(proof, undefined), 'TRUST_MALFORMED')
})

test('a proof of another version is neither true nor false, nor is one of an identity or event of such a version', async () => {
  const { chain, env } = acme
  const body = { older: forgedHead(acme, 1), newer: forgedHead(acme, 1), root: new Uint8Array(32), path: [] }
  const event = makeDelegate(chain, env.keys.admin, { revoke: [thumbprint(acme.key('node').public)] }, 1)
  const later = (bytes: Uint8Array, t: string) => {
    const { p, s } = decodeSigned(bytes)
    return encodeSigned({ p: { ...p, t }, s })
  }
  const identity = env.self.identityBytes
  const cases: [object, RegExp][] = [
    [{ t: 'fork/2', more: 1 }, /^fork\/2 is not known/],
    [{ t: 'identity-fork/2', more: 1 }, /^identity-fork\/2 is not known/],
    [{ t: 'fork/1', identity: later(identity, 'id/2'), events: [], ...body }, /^type id\/2 is not known/],
    [{ t: 'fork/1', identity, events: [later(event, 'delegate/2')], ...body }, /delegate\/2 is not known/],
  ]
  for (const [what, why] of cases) {
    const proof = encode(what as Value)
    const { verdict, steps } = await verifyFork(proof, told.trust.file)
    assert.is(verdict, 'inconclusive')
    assert.match(steps[0]!.detail, why)
    throwsCode(() => readKnownForks([proof]), 'UNKNOWN_VERSION')
  }
})

test.run()
