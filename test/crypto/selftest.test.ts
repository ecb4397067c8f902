import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import * as ed25519 from '@noble/ed25519'
import { sha512 } from '@noble/hashes/sha2.js'
import * as assert from 'uvu/assert'
import { selfTest } from '../../crypto/selftest.ts'
import { suite, throwsCode } from '../harness.ts'

ed25519.hashes.sha512 = sha512
const test = suite('crypto/selftest')
const ROOT = join(import.meta.dirname, '..', '..')

/** Everything that goes through a back end, as one line of hex. */
const PRINT = `
const { keyFromSeed, sign, verify } = await import('./crypto/key.ts')
const { toHex, utf8 } = await import('./crypto/bytes.ts')
const { expand, hasher, hkdf } = await import('./crypto/hash.ts')
const { blockKey, keyCommitment, openBlock, sealBlock } = await import('./crypto/cipher.ts')
const { oneTimeKey, open, seal } = await import('./crypto/seal.ts')
const { recordId } = await import('./crypto/statement.ts')
;(await import('./crypto/selftest.ts')).selfTest()
const seed = expand(utf8('seed'), 'test')
const key = keyFromSeed(seed)
const message = utf8('message')
const sealed = seal(oneTimeKey(seed).public, message, seed, expand(seed, 'e'))
const block = sealBlock(blockKey(seed), 3, message)
console.log([
  key.public, sign(key, message), hkdf(seed, seed, seed, 40), hasher().update(seed).digest(), keyCommitment(seed),
  block, openBlock(blockKey(seed), 3, block), sealed.enc, sealed.ct,
  open(oneTimeKey(seed).private, sealed.enc, message, sealed.ct),
].map(toHex).join(' '), recordId({ t: 'x/1' }), verify(key.public, message, sign(key, message)))
`

function print(...flags: string[]): string {
  const args = [...flags, '--input-type=module', '-e', PRINT]
  const { stdout, stderr, status } = spawnSync(process.execPath, args, { cwd: ROOT, encoding: 'utf8' })
  assert.is(status, 0, stderr)
  return stdout
}

test('this runtime agrees', () => selfTest())

test('stock verifiers would not: the cases tell them apart', () => {
  for (const check of [() => true, () => false, cofactored])
    throwsCode(() => selfTest(check), 'RUNTIME_DISAGREES')
})

/** noble's own rule, ZIP-215. */
function cofactored(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  return ed25519.verify(signature, message, publicKey)
}

test('the same code gives the same bytes on either back end', () => {
  const node = print()
  assert.is(print('--conditions=noble'), node)
  assert.match(node, / true\n$/)
})

test.run()
