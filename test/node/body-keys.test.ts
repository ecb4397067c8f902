import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { toHex } from '../../crypto/bytes.ts'
import { openBodyKeys } from '../../node/body-keys.ts'
import { slotsOver } from '../../protocol/slots.ts'
import { rejectsCode, sameBytes, suite, temporary } from '../harness.ts'

const test = suite('node/body-keys')
const KEY_BYTES = 32

test('every slot has a key of its own, which is in the file when it is taken', async () => {
  using folder = temporary()
  const path = join(folder.path, 'bodies.keys')
  await using keys = await openBodyKeys(path)
  const seen = new Set<string>()
  for (let i = 0; i < 2_000; i++) {
    if (i % 700 === 0) await new Promise(resolve => setTimeout(resolve, 20)) // for what is drawn ahead
    const slot = keys.take()
    const key = keys.key(slot)!
    seen.add(toHex(key))
    if (i % 50 === 0)
      sameBytes(readFileSync(path).subarray(slot * KEY_BYTES, (slot + 1) * KEY_BYTES), new Uint8Array(key))
  }
  assert.is(seen.size, 2_000)
})

test('no start takes a slot that an earlier life could have used, and all keys are still found', async () => {
  using folder = temporary()
  const path = join(folder.path, 'bodies.keys')
  const taken = new Map<number, string>()
  for (let life = 0; life < 4; life++) {
    await using keys = await openBodyKeys(path)
    for (let i = 0; i < 50 * life + 3; i++) {
      const slot = keys.take()
      assert.not.ok(taken.has(slot), `slot ${slot} is taken twice`)
      taken.set(slot, toHex(keys.key(slot)!))
    }
    for (const [slot, key] of taken) assert.is(toHex(keys.key(slot)!), key)
  }
})

test('a key that was destroyed is in no file and opens nothing, now and after a restart', async () => {
  using folder = temporary()
  const path = join(folder.path, 'bodies.keys')
  let slot: number
  const body = new Uint8Array(200).fill(7)
  const sealed = new Uint8Array(body.length)
  let key: Buffer
  {
    await using keys = await openBodyKeys(path)
    const slots = slotsOver(keys)
    slot = slots.take()
    slots.seal(slot, body, sealed, 0)
    sameBytes(slots.open(slot, sealed)!, body)
    key = Buffer.from(keys.key(slot)!)
    assert.ok(readFileSync(path).includes(key))
    await keys.destroy([slot])
    assert.is(slots.open(slot, sealed), undefined)
    assert.is(slots.salt(slot), undefined)
  }
  assert.not.ok(readFileSync(path).includes(key))
  await using keys = await openBodyKeys(path)
  assert.is(slotsOver(keys).open(slot, sealed), undefined)
  assert.is(keys.key(1_000_000), undefined, 'past the end')
})

test('a file that does not hold keys is not written to', async () => {
  using folder = temporary()
  const path = join(folder.path, 'bodies.keys')
  writeFileSync(path, 'something else, longer than a slot, that nobody may lose')
  await rejectsCode(openBodyKeys(path), 'BODY_KEYS_DAMAGED')
  assert.ok(readFileSync(path, 'utf8').endsWith('may lose'))
})

test.run()
