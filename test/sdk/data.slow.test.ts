/** The demo over all the real data that lies beside the checkout. */
import { existsSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { SHARED, suite } from '../harness.ts'
import { assertWell, runDemo } from './run-demo.ts'

const test = suite('demo with real data')
const DATA = join(SHARED, 'data')
/** It takes less than 2 minutes on two cores. */
const LIMIT_MS = 300_000

if (existsSync(DATA))
  test(
    'every file arrives byte-identical and verifies',
    async () => {
      const files = readdirSync(DATA, { recursive: true, withFileTypes: true })
        .filter(entry => entry.isFile())
        .map(entry => join(entry.parentPath, entry.name))
      const bytes = files.reduce((sum, path) => sum + statSync(path).size, 0)
      const summary = await runDemo(files, LIMIT_MS)
      console.log(`${files.length} files, ${bytes} bytes: ${summary.ms} ms`)
      assertWell(summary, files.length)
      assert.is(summary.bytes, bytes)
    },
    LIMIT_MS,
  )
else test.skip('every file arrives byte-identical and verifies', `there is no data at ${DATA}`)

test.run()
