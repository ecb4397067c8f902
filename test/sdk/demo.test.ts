import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { suite, temporary } from '../harness.ts'
import { eventually } from '../node/daemons.ts'
import { assertWell, DEMO, runDemo } from './run-demo.ts'

const test = suite('demo')
/** It takes less than 20 s on a quiet machine of two cores. */
const LIMIT_MS = 60_000

test(
  'it needs no files, and ends with one line in which all is well',
  async () => {
    using state = temporary()
    const summary = await runDemo([], LIMIT_MS, { XDG_STATE_HOME: state.path })
    console.log(`demo: ${summary.ms} ms`)
    assert.equal(readdirSync(state.path), [], 'its homes leave no marks behind')
    assert.ok(summary.packets >= 2)
    assertWell(summary, summary.packets)
  },
  LIMIT_MS,
)

test(
  'one that is interrupted takes its daemons and its folder with it',
  async () => {
    using folder = temporary()
    const child = spawn(process.execPath, [DEMO, '--json'], {
      env: { ...process.env, TMPDIR: folder.path },
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    let stderr = ''
    child.stderr.setEncoding('utf8').on('data', text => {
      stderr += text
    })
    const ended = once(child, 'close')
    const pids = () => Array.from(stderr.matchAll(/is ready/g))
    await eventually('the daemons are up', async () => pids().length === 3 || undefined)
    const work = join(folder.path, readdirSync(folder.path).find(name => name.startsWith('waybill-demo-'))!)
    child.kill('SIGTERM')
    assert.is((await ended)[0], 1)
    assert.match(stderr, /stopped by SIGTERM/)
    assert.not.ok(
      readdirSync(folder.path).some(name => work.endsWith(name)),
      'the folder is removed',
    )
  },
  LIMIT_MS,
)

test.run()
