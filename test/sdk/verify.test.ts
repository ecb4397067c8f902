/** The verifier as a library: any form of content, no node behind it, small enough for a browser. */
import { readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import * as assert from 'uvu/assert'
import { decode, encode, type Value } from '../../crypto/cbor.ts'
import { keyCommitment } from '../../crypto/cipher.ts'
import { seal } from '../../crypto/seal.ts'
import { formatEvidence } from '../../protocol/evidence-file.ts'
import { HANDLE } from '../../protocol/layout.ts'
import { releaseInfo } from '../../protocol/receipt.ts'
import { openRelease, verify } from '../../sdk/verify.ts'
import { rejectsCode, sameBytes, suite } from '../harness.ts'
import { story as evidenceStory } from '../protocol/evidence-story.ts'
import { bundleVerifier } from './browser-bundle.ts'
import { tellStory } from './story.ts'

const test = suite('verify')
const ROOT = join(import.meta.dirname, '..', '..')
/** Minified, with noble: what a page has to load before it can judge. */
const MAX_BUNDLE_BYTES = 120_000
const story = tellStory()
const asOf = story.asOfMs

async function* inPieces(content: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < content.length; at += size) yield content.subarray(at, at + size)
}

test('content as bytes, as a Blob, or as pieces gives one verdict', async () => {
  const forms = [
    story.content,
    new Blob([new Uint8Array(story.content)]),
    inPieces(story.content, 1),
    inPieces(story.content, 7),
  ]
  for (const content of forms)
    assert.is((await verify(story.delivery, story.trust, { asOf, content })).verdict, 'verified')
  for (const content of [
    story.content.subarray(1),
    new Uint8Array(0),
    inPieces(story.content.toReversed(), 3),
  ])
    assert.is((await verify(story.delivery, story.trust, { asOf, content })).verdict, 'failed')
})

test('as-of is a Date or a number, and now when left out', async () => {
  const reports = [
    await verify(story.delivery, story.trust, { asOf: new Date(asOf) }),
    await verify(story.delivery, story.trust, { asOf }),
  ]
  assert.equal(reports[0], reports[1])
  const { asOfMs } = await verify(story.delivery, story.trust)
  assert.ok(Math.abs(asOfMs - Date.now()) < 60_000)
  for (const wrong of [Number.NaN, -1, new Date('x')]) {
    const error = await verify(story.delivery, story.trust, { asOf: wrong }).catch(error => error)
    assert.instance(error, RangeError)
  }
})

test('content that the evidence cannot speak about is never "verified"', async () => {
  const consent = await verify(story.consent, story.trust, { asOf, content: story.content })
  assert.is(consent.verdict, 'inconclusive')
  assert.is(consent.steps.at(-1)!.id, 'content')
  assert.is((await verify(story.consent, story.trust, { asOf })).verdict, 'verified')
})

test('a key release opens with the one-time key of its receipt, and with no other', async () => {
  const told = evidenceStory()
  const { agreement, packet, bolt, evidence, bytes } = told
  const oneTime = bolt.secrets.get(HANDLE.oneTime(agreement, packet))!
  const opened = await openRelease(bytes, oneTime)
  assert.ok(opened.opens)
  sameBytes(opened.salt, evidence.parts.salt!)
  const { key } = decode(evidence.parts.root!) as { key: Uint8Array }
  sameBytes(keyCommitment(opened.contentKey), key)
  for (const other of [new Uint8Array(32).fill(7), oneTime.slice(1), new Uint8Array(0)])
    await rejectsCode(openRelease(bytes, other), 'KEY_INVALID')
  for (const without of ['release', 'root'] as const) {
    const { [without]: _, ...parts } = evidence.parts
    await rejectsCode(openRelease(formatEvidence({ ...evidence, parts }), oneTime), 'EVIDENCE_MALFORMED')
  }
  for (const none of [formatEvidence(told.consent), bytes.slice(1), new Uint8Array(0)])
    await rejectsCode(openRelease(none, oneTime), 'EVIDENCE_MALFORMED')
})

test('a release of something else is told apart: nothing that opens, or another key', async () => {
  const { agreement, packet, bolt, evidence } = evidenceStory()
  const oneTime = bolt.secrets.get(HANDLE.oneTime(agreement, packet))!
  const { p, s } = decode(evidence.parts.release!) as { p: { [key: string]: Value }; s: Value }
  const changed = (fields: { [key: string]: Value }) =>
    formatEvidence({
      ...evidence,
      parts: { ...evidence.parts, release: encode({ p: { ...p, ...fields }, s }) },
    })
  const garbled = changed({ ct: (p.ct as Uint8Array).map(byte => byte ^ 1) })
  assert.equal(await openRelease(garbled, oneTime), { opens: false, reason: 'seal' })
  const seed = new Uint8Array(32).fill(9)
  const other = seal(p.oneTime as Uint8Array, releaseInfo(agreement, packet), new Uint8Array(64), seed)
  assert.equal(await openRelease(changed({ ...other }), oneTime), { opens: false, reason: 'key' })
  await rejectsCode(openRelease(changed({ ct: new Uint8Array(3) }), oneTime), 'EVIDENCE_MALFORMED')
})

test('trust is checked before anything', async () => {
  for (const trust of [undefined, null, {}, { schema: 'waybill.trust/2' }, { ...story.trust, more: 1 }])
    await rejectsCode(verify(story.delivery, trust), 'TRUST_MALFORMED')
})

test('neither the verifier nor the client reaches node/', () => {
  for (const entry of ['sdk/verify.ts', 'sdk/connect.ts']) {
    const reached = [...imports(join(ROOT, entry))].map(path => relative(ROOT, path))
    assert.equal(
      reached.filter(path => path.startsWith('node/')),
      [],
      entry,
    )
  }
})

test('the bundle for a browser is small, and nothing of a node is in it', async () => {
  const { files, staticBytes, inputs } = await bundleVerifier()
  console.log(`verifier for a browser: ${staticBytes} bytes minified`)
  assert.ok(staticBytes < MAX_BUNDLE_BYTES, `${staticBytes} bytes`)
  for (const text of files.values()) assert.not.match(text, /["']node:/)
  const matching = (paths: string[], pattern: RegExp) => paths.filter(path => pattern.test(path))
  const ofNode = /^node\/|node_modules\/(@?libp2p|@chainsafe|level|[a-z]+-level|fastify|zod)\b|-node\.ts$/
  assert.equal(matching([...inputs.static, ...inputs.lazy], ofNode), [])
  // Ciphers are for opening a release, and come when one is opened.
  const ciphers = /node_modules\/@noble\/(ciphers|curves)|crypto\/(cipher|seal|sealing-noble)\.ts$/
  assert.equal(matching(inputs.static, ciphers), [])
  assert.ok(matching(inputs.lazy, ciphers).length > 3, `${inputs.lazy}`)
})

/** Files that are loaded when this one is, types left out. */
function imports(path: string, seen: Set<string> = new Set()): Set<string> {
  if (seen.has(path)) return seen
  seen.add(path)
  const source = readFileSync(path, 'utf8')
  for (const [, names, from] of source.matchAll(/^(?:import|export) (?!type)([^;'"]*?)from '(\.[^']+)'/gm))
    if (!/^\{(\s*type \w+,?)+\s*\}/.test(names!)) imports(join(dirname(path), from!), seen)
  return seen
}

test.run()
