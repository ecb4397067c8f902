import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import * as assert from 'uvu/assert'
import { suite } from '../harness.ts'

const test = suite('sim/ownership, up to seven seats')

test('the command looks at every world, and its last line says so', async () => {
  const script = join(import.meta.dirname, '..', '..', 'sim', 'ownership-main.ts')
  const { stdout } = await promisify(execFile)(process.execPath, [script, '--json'], { timeout: 180_000 })
  const { safe, unsafe } = JSON.parse(stdout.trim().split('\n').at(-1)!)
  console.log(`${safe.worlds} safe worlds, ${unsafe.worlds} unsafe ones`)
  assert.ok(safe.worlds > 1_000_000)
  assert.is(safe.violations, 0)
  assert.ok(unsafe.violations > 0)
}, 180_000)

test.run()
