import * as assert from 'uvu/assert'
import { memory } from '../../bench/transfer.ts'
import { suite } from '../harness.ts'

const test = suite('memory of a transfer')
const LIMIT_MS = 480_000
const MAX_MIB = 300
/** Beyond its own peak over 256 MiB. */
const MAX_GROWTH = 1.15

test(
  'two daemons hand over 2 GiB in the memory that 256 MiB take',
  async () => {
    if (process.platform !== 'linux') return console.log('peak memory is read from /proc, which is not here')
    const { figures, ratios } = await memory()
    for (const side of ['provider', 'consumer']) {
      const peak = figures[`2048MiB peak RSS ${side}`]!.median
      const growth = ratios[`2048MiB/256MiB peak RSS ${side}`]!
      console.log(`${side}: ${peak} MiB, ${growth} of the peak over 256 MiB`)
      assert.ok(peak < MAX_MIB, `${side}: ${peak} MiB`)
      assert.ok(growth <= MAX_GROWTH, `${side}: ${growth} times the peak over 256 MiB`)
    }
  },
  LIMIT_MS,
)

test.run()
