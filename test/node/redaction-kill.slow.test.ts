/**
 * `kill -9` in the middle of a redaction, at points drawn from a seed: what was acknowledged is in no file of the home, and
 * what was not is whole or absent and can be asked for again (RULES D7). `SEED=N` repeats a run.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { parseCid } from '../../crypto/cid.ts'
import { openBodyKeys } from '../../node/body-keys.ts'
import { openStore } from '../../node/store.ts'
import { slotIn } from '../../protocol/kept.ts'
import { KEY } from '../../protocol/layout.ts'
import { slotsOver } from '../../protocol/slots.ts'
import { suite, temporary } from '../harness.ts'
import { TestDaemon } from './daemons.ts'
import { dice, seedOf } from './kill-story.ts'

const test = suite('redaction and kill -9')
const LIMIT_MS = 180_000
const SLOT_BYTES = 32
const ROUNDS = 10
const REASON = 'a person asked for it'

/** What must be nowhere: words of the body, its salt, its key. */
interface Secrets {
  packet: string
  words: string
  salt: Uint8Array
  key: Uint8Array
}

/** Files of a home that hold any of these. */
function holding(home: string, { words, salt, key }: Secrets): string[] {
  return readdirSync(home, { recursive: true, withFileTypes: true })
    .filter(each => each.isFile())
    .map(each => join(each.parentPath, each.name))
    .filter(path => {
      const bytes = contentOf(path)
      return [words, salt, key].some(wanted => bytes.includes(Buffer.from(wanted)))
    })
}

/** A daemon that runs may have removed it meanwhile; one that was killed has not. */
function contentOf(path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return Buffer.alloc(0)
    throw error
  }
}

/** Of packets in a home at rest: where their bodies' keys lie, and what the salts are. */
async function secretsOf(home: string, packets: { packet: string; words: string }[]): Promise<Secrets[]> {
  const options = { create: false, onFailure: (error: Error) => assert.unreachable(error.message) }
  await using store = await openStore(join(home, 'store'), options)
  await using keys = await openBodyKeys(join(home, 'bodies.keys'))
  const slots = slotsOver(keys)
  const file = readFileSync(join(home, 'bodies.keys'))
  return packets.map(each => {
    const slot = slotIn(store.get(KEY.kept(parseCid(each.packet)))!)
    const key = file.subarray(slot * SLOT_BYTES, (slot + 1) * SLOT_BYTES)
    assert.ok(key.some(byte => byte !== 0))
    return { ...each, key, salt: slots.salt(slot)! }
  })
}

test(
  'acknowledged, it is in no file; not acknowledged, it is whole or absent, and can be repeated',
  async () => {
    const seed = seedOf()
    const roll = dice(seed)
    console.log(`    SEED=${seed}`)
    using folder = temporary()
    await using acme = await TestDaemon.start('Acme Steel', folder.path)
    const published: { packet: string; words: string }[] = []
    for (let i = 0; i < ROUNDS; i++) {
      const words = `readings-${i}-${Math.floor(roll() * 1e9)}.csv`
      const path = join(folder.path, words)
      writeFileSync(path, `content ${i}`)
      const { packets } = await acme.client.packets.publish({
        title: `t${i}`,
        files: [{ path, name: words }],
      })
      published.push({ packet: packets[0]!.id, words })
    }
    await acme.end('SIGTERM')
    const all = await secretsOf(acme.home, published)
    assert.ok(
      all.every(each => holding(acme.home, each).length > 0),
      'the search finds what is there',
    )
    await acme.up()
    const count = { acknowledged: 0, whole: 0, absent: 0 }
    let tookMs = 20
    for (const [i, each] of all.entries()) {
      const started = performance.now()
      let isAcknowledged = false
      const asked = acme.client.records.redact(each.packet, REASON).then(
        () => {
          isAcknowledged = true
          tookMs = performance.now() - started
        },
        () => {},
      )
      // The first comes to its end and the second does not begin, whatever is drawn.
      const pauseMs = [10_000, 0][i] ?? roll() * 2 * tookMs
      const { promise: passed, resolve } = Promise.withResolvers<void>()
      const timer = setTimeout(resolve, pauseMs)
      await Promise.race([asked, passed])
      clearTimeout(timer)
      const wasAcknowledged = isAcknowledged
      await acme.kill()
      await asked
      if (wasAcknowledged) assert.equal(holding(acme.home, each), [], 'as it was left')
      await acme.up()
      const { state } = await acme.client.records.get(each.packet)
      if (state === 'redacted') count[wasAcknowledged ? 'acknowledged' : 'whole']++
      else {
        assert.not.ok(wasAcknowledged, `${each.packet} is ${state}`)
        assert.is(state, 'present')
        assert.equal(
          holding(acme.home, each),
          [join(acme.home, 'bodies.keys')],
          'its key, and nothing in the clear',
        )
        count.absent++
        await acme.client.records.redact(each.packet, REASON)
      }
      assert.is((await acme.client.records.get(each.packet)).reason, REASON)
      assert.equal(holding(acme.home, each), [])
    }
    console.log(`    ${JSON.stringify(count)}`)
    assert.ok(count.acknowledged > 0 && count.whole + count.absent > 0, 'the kills met different moments')
    const blocks = readdirSync(join(acme.home, 'content')).filter(name => name.endsWith('.blocks'))
    assert.equal(blocks, [], 'no content is left of any')
  },
  LIMIT_MS,
)

test.run()
