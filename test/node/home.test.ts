/** A home's first day: what it refuses before it writes anything. */
import { readdirSync } from 'node:fs'
import * as assert from 'uvu/assert'
import { initHome } from '../../node/home.ts'
import { suite, temporary } from '../harness.ts'

const test = suite('home')

test('a name that no reader of the identity would take leaves nothing behind', async () => {
  using dir = temporary()
  for (const name of ['', 'Acme \u001b[31m', 'Acme\nSteel', 'a'.repeat(513)]) {
    const error = await initHome(dir.path, { name }).catch(each => each)
    assert.is(error.code, 'MALFORMED', JSON.stringify(name))
    assert.equal(readdirSync(dir.path), [])
  }
  assert.is((await initHome(dir.path, { name: '鋼鉄 GmbH' })).created, true)
})

test.run()
