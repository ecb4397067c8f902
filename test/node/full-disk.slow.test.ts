/**
 * Disks that are full, for real: small file systems in memory. What was answered is kept, what cannot be done says why,
 * and with room again the exchange goes on.
 */
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { isWaybillError } from '../../sdk/error.ts'
import { suite, temporary } from '../harness.ts'
import { fourLines, run } from '../sdk/run-cli.ts'
import { eventually, pair, TestDaemon } from './daemons.ts'
import { assertKept, show } from './kill-story.ts'

const test = suite('full disk')
const LIMIT_MS = 110_000
const MIB = 2 ** 20
const DAY_MS = 86_400_000
const HOME_MIB = 80
/** Fits beside the store's reserve on an empty disk of a home, and not on one that is half full. */
const FILE_MIB = 24
const MAX_OFFERS = 200

/** A file system of so many MiB. */
class Disk implements Disposable {
  readonly path: string
  readonly #filler: string

  constructor(folder: string, name: string, mib: number) {
    this.path = join(folder, name)
    this.#filler = join(this.path, 'filler')
    mkdirSync(this.path)
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${mib}m`, 'tmpfs', this.path])
  }

  /** Writes until nothing more fits, or so many bytes. */
  fill(bytes = Number.POSITIVE_INFINITY): void {
    const file = openSync(this.#filler, 'a')
    try {
      for (const piece of [MIB, 4096, 1])
        for (; bytes >= piece; bytes -= piece) if (writeSync(file, Buffer.alloc(piece)) < piece) break
    } catch (error) {
      assert.is((error as { code?: string }).code, 'ENOSPC')
    } finally {
      closeSync(file)
    }
  }

  free(): void {
    rmSync(this.#filler, { force: true })
  }

  [Symbol.dispose](): void {
    execFileSync('umount', ['-l', this.path])
  }
}

/** Why no file system can be mounted here. */
function cannotMount(): string | undefined {
  if (process.platform !== 'linux' || process.getuid?.() !== 0)
    return 'only root on Linux can mount a small disk'
  using folder = temporary()
  try {
    new Disk(folder.path, 'probe', 1)[Symbol.dispose]()
    return undefined
  } catch (error) {
    return `mount is refused here: ${(error as Error).message.split('\n')[0]}`
  }
}

const reason = cannotMount()
const onDisks = (title: string, body: (folder: string, undo: DisposableStack) => Promise<void>) =>
  reason === undefined
    ? test(
        title,
        async () => {
          using folder = temporary()
          using undo = new DisposableStack()
          await body(folder.path, undo)
        },
        LIMIT_MS,
      )
    : test.skip(title, reason)

function source(folder: string, name: string, mib: number) {
  const path = join(folder, name)
  writeFileSync(path, randomBytes(Math.ceil(mib * MIB)))
  return { path, name }
}

/** Makes offers until the store cannot take another; their ids, and the error of the one that failed. */
async function offersUntilFull(
  daemon: TestDaemon,
  asset: string,
): Promise<{ made: string[]; error: unknown }> {
  const made: string[] = []
  while (made.length < MAX_OFFERS)
    try {
      const { id } = await daemon.client.offers.create({
        asset,
        untilMs: Date.now() + DAY_MS,
        approval: 'policy',
      })
      made.push(id)
    } catch (error) {
      return { made, error }
    }
  throw new Error(`${made.length} offers fit on a full disk`)
}

onDisks(
  'at a provider: content is refused, a log that cannot be written stops the node, room mends both',
  async (folder, undo) => {
    const disk = undo.use(new Disk(folder, 'acme-disk', HOME_MIB))
    await using acme = await TestDaemon.start('Acme Steel', disk.path)
    await using bolt = await TestDaemon.start('Bolt GmbH', folder)
    await pair(acme, bolt)
    const small = source(folder, 'small.bin', 0.01)
    const large = source(folder, 'large.bin', HOME_MIB)
    const { asset } = await acme.client.packets.publish({ title: 'small', files: [small] })
    const content = readdirSync(join(acme.home, 'content'))
    const publish = (path: string) => run(['--home', acme.home, 'publish', path])
    const [what] = fourLines(await publish(large.path), 1, 'DISK_FULL')
    assert.match(what!, /^✗ large\.bin: .* do not fit on the disk/)

    disk.fill()
    fourLines(await publish(small.path), 1, 'DISK_FULL')
    assert.equal(readdirSync(join(acme.home, 'content')), content)
    const before = await show(acme)
    const { made, error } = await offersUntilFull(acme, asset)
    assert.ok(isWaybillError(error, 'STORE_FAILED'), String(error))
    assert.match((error as Error).message, /No space left/)
    await acme.ended()
    assert.match(acme.stderr, /the store cannot be relied on; stopping/)
    assert.is(acme.code, 10)
    const restarted = await run(['--home', acme.home, 'up', '--api', '0', '--listen', acme.listen])
    fourLines(restarted, restarted.code!, restarted.code === 1 ? 'ENOSPC' : 'STORE_FAILED')
    assert.ok(restarted.code === 1 || restarted.code === 10)
    console.log(`${made.length} offers fitted; a start on the full disk: ${restarted.stderr.split('\n')[0]}`)

    disk.free()
    await acme.up()
    const after = await show(acme)
    assertKept({ ...before, offers: [...before.offers, ...made] }, after, 'Acme')
    const { id } = await acme.client.offers.create({
      asset,
      untilMs: Date.now() + DAY_MS,
      approval: 'policy',
    })
    await eventually('the partner sees the offer', async () => {
      const { items } = await bolt.client.offers.list({ refresh: true })
      return items.find(offer => offer.id === id)
    })
    const got = await bolt.client.get(id)
    assert.is(got.deliveries.length, 1)
  },
)

onDisks(
  'at a consumer: what does not fit waits and says so, and comes when there is room',
  async (folder, undo) => {
    const disk = undo.use(new Disk(folder, 'bolt-disk', HOME_MIB))
    const outside = undo.use(new Disk(folder, 'outside', 4))
    await using acme = await TestDaemon.start('Acme Steel', folder)
    await using bolt = await TestDaemon.start('Bolt GmbH', disk.path)
    await pair(acme, bolt)
    const file = source(folder, 'file.bin', FILE_MIB)
    const { asset } = await acme.client.packets.publish({ title: 'x', files: [file] })
    const offer = await acme.client.offers.create({ asset, untilMs: Date.now() + DAY_MS, approval: 'policy' })
    await bolt.client.offers.list({ refresh: true })
    const get = (output: string, ...more: string[]) =>
      run(['--home', bolt.home, 'get', offer.id, '-o', output, '--force', ...more])

    disk.fill((HOME_MIB - 32) * MIB)
    fourLines(await get(join(folder, 'a.bin'), '--wait', '8s'), 8, 'TIMED_OUT')
    const { problems } = await bolt.client.status()
    assert.ok(
      problems.some(({ text }) => /DISK_FULL/.test(text)),
      JSON.stringify(problems),
    )
    const before = await show(bolt)
    disk.free()
    assert.is((await get(join(folder, 'a.bin'))).code, 0)
    assertKept(before, await show(bolt), 'Bolt')
    assert.ok(readFileSync(join(folder, 'a.bin')).equals(readFileSync(file.path)))

    const [what] = fourLines(await get(`${outside.path}/`), 1, 'ENOSPC')
    assert.match(what!, /no space left/i)
    assert.equal(readdirSync(outside.path), [])
    assert.is((await get(`${folder}/later/`)).code, 0)
  },
)

test.run()
