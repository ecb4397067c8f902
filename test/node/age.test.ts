import {
  Decrypter,
  Encrypter,
  generateHybridIdentity,
  generateX25519Identity,
  identityToRecipient,
} from 'age-encryption'
import * as assert from 'uvu/assert'
import { decryptAge, needsPassphrase, passphraseRecipient } from '../../node/age.ts'
import { rejectsCode, sameBytes, suite, throwsCode } from '../harness.ts'

const test = suite('age')
const content = (length: number) => Uint8Array.from({ length }, (_, i) => i % 251)

async function toIdentity(plain: Uint8Array): Promise<{ identity: string; file: Uint8Array }> {
  const identity = await generateX25519Identity()
  const encrypter = new Encrypter()
  encrypter.addRecipient(await identityToRecipient(identity))
  return { identity, file: await encrypter.encrypt(plain) }
}

test('reads what the package writes to an identity, of any length up to one piece', async () => {
  for (const length of [1, 100, 65_535, 65_536]) {
    const { identity, file } = await toIdentity(content(length))
    sameBytes(await decryptAge(file, identity), content(length))
  }
  const { identity, file } = await toIdentity(content(65_537))
  await rejectsCode(decryptAge(file, identity), 'AGE_DAMAGED')
})

test('reads what the package writes to a passphrase, and only with it', async () => {
  const encrypter = new Encrypter()
  encrypter.setScryptWorkFactor(10)
  encrypter.setPassphrase('Wärme 温度')
  const file = await encrypter.encrypt('x')
  assert.is(needsPassphrase(file), true)
  sameBytes(await decryptAge(file, 'Wärme 温度'), Buffer.from('x'))
  await rejectsCode(decryptAge(file, 'wärme 温度'), 'AGE_KEY')
})

test('the package reads what is written to a passphrase here', async () => {
  const encrypter = new Encrypter()
  encrypter.addRecipient(await passphraseRecipient('long enough'))
  const file = await encrypter.encrypt('x')
  const decrypter = new Decrypter()
  decrypter.addPassphrase('long enough')
  assert.is(await decrypter.decrypt(file, 'text'), 'x')
  sameBytes(await decryptAge(file, 'long enough'), Buffer.from('x'))
})

test('any changed byte is refused, as the package refuses it', async () => {
  const { identity, file } = await toIdentity(content(10))
  for (let at = 0; at < file.length; at += 1) {
    const changed = Uint8Array.from(file)
    changed[at]! ^= 1
    const decrypter = new Decrypter()
    decrypter.addIdentity(identity)
    const theirs = await decrypter.decrypt(changed).then(
      () => 'opens',
      () => 'refused',
    )
    const ours = await decryptAge(changed, identity).then(
      () => 'opens',
      error => error.code,
    )
    assert.is(theirs, 'refused', `byte ${at}`)
    assert.match(ours, /^AGE_(KEY|DAMAGED)$/, `byte ${at}`)
  }
})

test('a file cut off anywhere is damage', async () => {
  const { identity, file } = await toIdentity(content(10))
  for (let length = 0; length < file.length; length += 1)
    await rejectsCode(decryptAge(file.subarray(0, length), identity), 'AGE_DAMAGED')
})

test('another identity, or a mistyped one, is a wrong key', async () => {
  const { identity, file } = await toIdentity(content(10))
  await rejectsCode(decryptAge(file, await generateX25519Identity()), 'AGE_KEY')
  for (const wrong of [
    '',
    identity.toLowerCase(),
    identity.slice(0, -1),
    `${identity.slice(0, -1)}${identity.endsWith('Q') ? 'P' : 'Q'}`,
  ])
    await rejectsCode(decryptAge(file, wrong), 'AGE_KEY')
})

test('other kinds of recipients are refused', async () => {
  const encrypter = new Encrypter()
  encrypter.addRecipient(await identityToRecipient(await generateHybridIdentity()))
  const file = await encrypter.encrypt('x')
  throwsCode(() => needsPassphrase(file), 'AGE_DAMAGED')
})

test('a work factor that would take gigabytes is refused before it is paid', async () => {
  const file = Buffer.from(
    `age-encryption.org/v1\n-> scrypt ${'A'.repeat(22)} 30\n${'A'.repeat(43)}\n--- ${'A'.repeat(43)}\n${'x'.repeat(40)}`,
  )
  await rejectsCode(decryptAge(file, 'x'), 'AGE_DAMAGED')
})

test.run()
