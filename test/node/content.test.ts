import { execFileSync, fork } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { blockKey, sealBlock } from '../../crypto/cipher.ts'
import { sha256 } from '../../crypto/hash.ts'
import { type ContentFiles, openContentFiles } from '../../node/content.ts'
import type { ContentError } from '../../node/content-error.ts'
import { rootHex } from '../../node/content-paths.ts'
import { plainDigest, type Root } from '../../protocol/content.ts'
import { rejectsCode, sameBytes, suite, temporary } from '../harness.ts'

const test = suite('content files')
const BLOCK = 256 * 1024
const SALT = new Uint8Array(32).fill(5)
const SIZES = [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, 3 * BLOCK + 77]

const names = (home: string) => readdirSync(join(home, 'content')).sort()

/** Bytes that differ from block to block, the same every time. */
function plainBytes(size: number): Uint8Array {
  const bytes = new Uint8Array(size)
  for (let i = 0; i < size; i += 1) bytes[i] = i + (i >> 8) * 31 + (i >> 16)
  return bytes
}

async function collect(blocks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const all: Uint8Array[] = []
  for await (const block of blocks) all.push(block)
  return Buffer.concat(all)
}

interface Place extends AsyncDisposable {
  home: string
  files: ContentFiles
}

async function place(): Promise<Place> {
  const dir = temporary()
  const files = await openContentFiles(dir.path)
  const close = async () => {
    await files[Symbol.asyncDispose]()
    dir[Symbol.dispose]()
  }
  return { home: dir.path, files, [Symbol.asyncDispose]: close }
}

/** Content at a place, its plain bytes and its key. */
async function filled(files: ContentFiles, size = 3 * BLOCK + 77) {
  const [plain, key] = [plainBytes(size), randomBytes(32)]
  const { root } = await files.importBytes(plain, key, SALT)
  return { plain, key, root, hex: rootHex(root) }
}

async function blocksOf(files: ContentFiles, root: Root): Promise<Uint8Array[]> {
  const indexes = Array.from({ length: root.count }, (_, i) => i)
  return Promise.all(indexes.map(i => readBlock(files, root, i)))
}

async function readBlock(files: ContentFiles, root: Root, index: number): Promise<Uint8Array> {
  for await (const block of files.readBlocks(rootHex(root), root, index)) return Uint8Array.from(block)
  throw new Error(`no block ${index}`)
}

function digestsOf(home: string, root: Root): Uint8Array {
  return readFileSync(join(home, 'content', `${rootHex(root)}.index`))
}

test('content of every size is sealed, found by its root, and opened again', async () => {
  for (const size of SIZES) {
    await using at = await place()
    const [plain, key] = [plainBytes(size), randomBytes(32)]
    const source = join(at.home, 'source')
    writeFileSync(source, plain)
    const made = await at.files.importFile(source, key, SALT)
    assert.is(made.size, size)
    assert.is(made.root.count, Math.ceil(size / BLOCK))
    sameBytes(made.digest, plainDigest(SALT).update(plain).digest(), `${size}`)
    assert.ok(await at.files.has(made.root))
    const hex = rootHex(made.root)
    assert.is(Buffer.from(made.rootCid.multihash.digest).toString('hex'), hex)
    assert.equal(names(at.home), [`${hex}.blocks`, `${hex}.index`])
    sameBytes(await collect(at.files.openContent(made.root, key)), plain)
    sameBytes(await at.files.checkContent(made.root, key, SALT), made.digest)
    const again = await at.files.importBytes(plain, key, SALT)
    assert.is(rootHex(again.root), hex, 'bytes in memory go the same way')
  }
})

test('stored bytes are those of the definition', async () => {
  await using at = await place()
  const { plain, key, root } = await filled(at.files)
  for (const [i, block] of (await blocksOf(at.files, root)).entries()) {
    sameBytes(block, sealBlock(blockKey(key), i, plain.subarray(i * BLOCK, (i + 1) * BLOCK)))
    sameBytes(digestsOf(at.home, root).subarray(32 * i, 32 * i + 32), sha256(block))
  }
})

test('files with any name are read, also by handle', async () => {
  await using at = await place()
  for (const name of [
    ' two  blanks ',
    '-rf',
    '--',
    '测量 数据.csv',
    'Prüf‐Ⅲ\n.txt',
    'it\'s "quoted" $HOME',
  ]) {
    const source = join(at.home, name)
    writeFileSync(source, name)
    const key = randomBytes(32)
    const { root } = await at.files.importFile(source, key, SALT)
    sameBytes(await collect(at.files.openContent(root, key)), Buffer.from(name))
  }
  await using handle = await open(join(at.home, '-rf'))
  const { size } = await at.files.importFile(handle, randomBytes(32), SALT)
  assert.is(size, 3)
  assert.is((await handle.stat()).size, 3, 'the handle is still open')
})

test('what is no regular file, or cannot be read, is refused and leaves nothing', async () => {
  await using at = await place()
  const refused = async (path: string, code: string) => {
    await rejectsCode(at.files.importFile(path, randomBytes(32), SALT), code)
    assert.equal(names(at.home), [])
  }
  mkdirSync(join(at.home, 'dir'))
  execFileSync('mkfifo', [join(at.home, 'fifo')])
  await refused(join(at.home, 'dir'), 'NOT_A_FILE')
  await refused(join(at.home, 'fifo'), 'NOT_A_FILE')
  await refused('/dev/zero', 'NOT_A_FILE')
  await refused(join(at.home, 'none'), 'SOURCE_UNREADABLE')
  writeFileSync(join(at.home, 'secret'), 'x')
  chmodSync(join(at.home, 'secret'), 0)
  if (process.getuid?.() !== 0) await refused(join(at.home, 'secret'), 'SOURCE_UNREADABLE')
  await using written = await open(join(at.home, 'written'), 'w')
  await written.write('x')
  await rejectsCode(at.files.importFile(written, randomBytes(32), SALT), 'SOURCE_UNREADABLE')
  truncateSync(join(at.home, 'written'), 300 * 2 ** 30)
  await refused(join(at.home, 'written'), 'CONTENT_TOO_LARGE')
})

test('a file that is written to while it is read is refused and leaves nothing', async () => {
  await using at = await place()
  const source = join(at.home, 'source')
  const changes: (() => void)[] = [
    () => appendFileSync(source, 'x'),
    () => truncateSync(source, BLOCK),
    () => truncateSync(source, 20 * BLOCK - 1),
    () => utimesSync(source, 1, 1),
  ]
  for (const change of changes) {
    writeFileSync(source, plainBytes(20 * BLOCK))
    const handle = await open(source)
    const stat = handle.stat.bind(handle)
    let calls = 0
    handle.stat = (async (options: { bigint: true }) => {
      const result = await stat(options)
      if (calls++ === 0) change()
      return result
    }) as typeof handle.stat
    await rejectsCode(at.files.importFile(handle, randomBytes(32), SALT), 'SOURCE_CHANGED')
    await handle.close()
    assert.equal(names(at.home), [])
  }
})

test('a changed byte on the disk never leaves', async () => {
  await using at = await place()
  const { key, root, hex } = await filled(at.files)
  const path = join(at.home, 'content', `${hex}.blocks`)
  const bytes = readFileSync(path)
  for (const at of [0, BLOCK + 16 + 5, bytes.length - 1]) bytes[at]! ^= 1
  writeFileSync(path, bytes)
  for (const i of [0, 1, 3]) {
    const error = await rejectsCode(readBlock(at.files, root, i), 'CONTENT_DAMAGED')
    assert.is((error as unknown as ContentError).block, i)
  }
  await readBlock(at.files, root, 2)
  await rejectsCode(collect(at.files.openContent(root, key)), 'CONTENT_DAMAGED')
  truncateSync(path, BLOCK)
  await rejectsCode(readBlock(at.files, root, 2), 'CONTENT_DAMAGED')
  assert.is(await at.files.has(root), false)
})

test('an index that is not that of the root is damage; content without files is missing', async () => {
  await using at = await place()
  const { root, hex } = await filled(at.files)
  const path = join(at.home, 'content', `${hex}.index`)
  const bytes = readFileSync(path)
  writeFileSync(
    path,
    bytes.map((byte, i) => (i === 40 ? byte ^ 1 : byte)),
  )
  await rejectsCode(readBlock(at.files, root, 0), 'CONTENT_DAMAGED')
  writeFileSync(path, bytes)
  await readBlock(at.files, root, 0)
  await at.files.remove(hex)
  assert.equal(names(at.home), [])
  await rejectsCode(readBlock(at.files, root, 0), 'CONTENT_MISSING')
  await at.files.remove(hex)
})

test('another key is told before any block, a block that does not open by its index', async () => {
  await using at = await place()
  const { root } = await filled(at.files)
  await rejectsCode(collect(at.files.openContent(root, randomBytes(32))), 'KEY_MISMATCH')
  const key = randomBytes(32)
  const { forged } = await forge(at, key, 1)
  const error = await rejectsCode(collect(at.files.openContent(forged, key)), 'BLOCK_NOT_AUTHENTIC')
  assert.is((error as unknown as ContentError).block, 1)
  await rejectsCode(at.files.checkContent(forged, key, SALT), 'BLOCK_NOT_AUTHENTIC')
})

/** Content whose block `bad` was sealed with another key than the root commits to. */
async function forge(at: Place, key: Uint8Array, bad: number) {
  const { makeRoot } = await import('../../protocol/content.ts')
  const { keyCommitment } = await import('../../crypto/cipher.ts')
  const blocks = [0, 1, 2].map(i =>
    sealBlock(blockKey(i === bad ? randomBytes(32) : key), i, plainBytes(BLOCK)),
  )
  const digests = Buffer.concat(blocks.map(block => sha256(block)))
  const forged = makeRoot(3 * BLOCK, digests, keyCommitment(key))
  const receiver = await at.files.receive(forged)
  await receiver.putDigests(digests)
  for (const block of blocks) await receiver.put(block)
  await receiver.finish()
  return { forged }
}

test('content is received in order, checked block by block, and then served', async () => {
  for (const size of SIZES) {
    await using from = await place()
    await using to = await place()
    const { plain, key, root, hex } = await filled(from.files, size)
    const receiver = await to.files.receive(root)
    assert.is(receiver.next, 0)
    await rejectsCode(to.files.receive(root), 'CONTENT_BUSY')
    await rejectsCode(to.files.remove(hex), 'CONTENT_BUSY')
    if (size > 0) assert.is(receiver.digests, undefined)
    await receiver.putDigests(digestsOf(from.home, root))
    for (const block of await blocksOf(from.files, root)) await receiver.put(block)
    assert.is(await to.files.has(root), false)
    await receiver.finish()
    assert.ok(await to.files.has(root))
    assert.equal(names(to.home), [`${hex}.blocks`, `${hex}.index`])
    sameBytes(await collect(to.files.openContent(root, key)), plain)
    const again = await to.files.receive(root)
    assert.is(again.next, root.count)
    await rejectsCode(again.put(new Uint8Array(1)), 'BLOCK_MISMATCH')
    await again.finish()
  }
})

test('wrong digests and blocks are refused, and the right ones may follow', async () => {
  await using from = await place()
  await using to = await place()
  const { key, plain, root } = await filled(from.files)
  const [blocks, digests] = [await blocksOf(from.files, root), digestsOf(from.home, root)]
  const receiver = await to.files.receive(root)
  await rejectsCode(receiver.put(blocks[0]!), 'DIGESTS_MISSING')
  for (const wrong of [
    digests.subarray(32),
    Buffer.concat([digests, digests]),
    digests.map(byte => byte ^ 1),
  ])
    await rejectsCode(receiver.putDigests(wrong), 'DIGESTS_MISMATCH')
  await receiver.putDigests(digests)
  await receiver.putDigests(digests)
  const changed = Uint8Array.from(blocks[0]!)
  changed[9]! ^= 1
  for (const wrong of [blocks[1]!, changed, blocks[0]!.subarray(1), blocks[3]!, new Uint8Array(0)])
    await rejectsCode(receiver.put(wrong), 'BLOCK_MISMATCH')
  await rejectsCode(receiver.finish(), 'CONTENT_INCOMPLETE')
  for (const block of blocks) await receiver.put(block)
  await rejectsCode(receiver.put(blocks[3]!), 'BLOCK_MISMATCH')
  await receiver.finish()
  sameBytes(await collect(to.files.openContent(root, key)), plain)
})

test('blocks may be given without waiting for each', async () => {
  await using from = await place()
  await using to = await place()
  const { key, plain, root } = await filled(from.files)
  const receiver = await to.files.receive(root)
  await receiver.putDigests(digestsOf(from.home, root))
  await Promise.all((await blocksOf(from.files, root)).map(block => receiver.put(block)))
  await receiver.finish()
  sameBytes(await collect(to.files.openContent(root, key)), plain)
})

test('receiving goes on where it stopped; what was damaged meanwhile comes again', async () => {
  await using from = await place()
  await using to = await place()
  const { key, plain, root, hex } = await filled(from.files)
  const blocks = await blocksOf(from.files, root)
  const first = await to.files.receive(root)
  await first.putDigests(digestsOf(from.home, root))
  for (const block of blocks.slice(0, 3)) await first.put(block)
  await first.suspend()
  const path = join(to.home, 'content', `${hex}.part`)
  const resumesAt = async (next: number) => {
    const receiver = await to.files.receive(root)
    assert.is(receiver.next, next)
    assert.is(receiver.digests?.length, 32 * root.count)
    await receiver.suspend()
  }
  await resumesAt(3)
  truncateSync(path, 3 * (BLOCK + 16) - 1)
  await resumesAt(2)
  assert.is(statSync(path).size, 2 * (BLOCK + 16))
  const bytes = readFileSync(path)
  bytes[BLOCK + 20]! ^= 1
  writeFileSync(path, bytes)
  await resumesAt(1)
  await to.files.sweep()
  const last = await to.files.receive(root)
  assert.is(last.next, 1)
  for (const block of blocks.slice(1)) await last.put(block)
  await last.finish()
  sameBytes(await collect(to.files.openContent(root, key)), plain)
})

test('a receiver killed in the middle loses at most what it was not told is here', async () => {
  await using from = await place()
  await using to = await place()
  const { root, hex } = await filled(from.files, 40 * BLOCK)
  const child = fork(join(import.meta.dirname, 'content.receiver.ts'), [from.home, to.home, hex])
  child.send({ root: { ...root, tree: [...root.tree], key: [...root.key] } })
  let received = 0
  child.on('message', (count: number) => {
    received = count
    if (count === 10) child.kill('SIGKILL')
  })
  await once(child, 'close')
  const receiver = await to.files.receive(root)
  assert.ok(receiver.next >= received && received >= 10, `${receiver.next} of ${received}`)
  for (const block of (await blocksOf(from.files, root)).slice(receiver.next)) await receiver.put(block)
  await receiver.finish()
  assert.is((await blocksOf(to.files, root)).length, 40)
})

test('abort leaves nothing, and an index that does not fit is not used', async () => {
  await using from = await place()
  await using to = await place()
  const { root, hex } = await filled(from.files)
  const receiver = await to.files.receive(root)
  await receiver.putDigests(digestsOf(from.home, root))
  await receiver.put((await blocksOf(from.files, root))[0]!)
  await receiver.abort()
  assert.equal(names(to.home), [])
  writeFileSync(join(to.home, 'content', `${hex}.index`), 'x'.repeat(128))
  const other = await to.files.receive(root)
  assert.is(other.digests, undefined)
  assert.is(other.next, 0)
  await other.abort()
})

test('the sweep takes what a crash left, and nothing else', async () => {
  await using at = await place()
  const { root, hex } = await filled(at.files)
  const dir = join(at.home, 'content')
  writeFileSync(join(dir, '.unfinished-1-1-import'), 'x')
  writeFileSync(join(dir, `${'ab'.repeat(32)}.index`), 'x')
  writeFileSync(join(dir, `${'cd'.repeat(32)}.index`), 'x')
  writeFileSync(join(dir, `${'cd'.repeat(32)}.part`), 'x')
  await at.files.sweep()
  assert.equal(
    names(at.home),
    [`${'cd'.repeat(32)}.index`, `${'cd'.repeat(32)}.part`, `${hex}.blocks`, `${hex}.index`].sort(),
  )
  assert.ok(await at.files.has(root))
})

test('many contents are read at once, more than are kept open', async () => {
  await using at = await place()
  const all = await Promise.all(Array.from({ length: 80 }, (_, i) => filled(at.files, i * 1000)))
  for (let round = 0; round < 2; round += 1)
    await Promise.all(
      all.map(async ({ root, key, plain }) =>
        sameBytes(await collect(at.files.openContent(root, key)), plain),
      ),
    )
  const open = process.platform === 'linux' ? readdirSync('/proc/self/fd').length : 0
  assert.ok(open < 80, `${open} files are open`)
  await Promise.all(all.map(({ hex }) => at.files.remove(hex)))
  assert.equal(names(at.home), [])
})

test('memory stays flat while a large file is imported and checked', async () => {
  await using at = await place()
  const source = join(at.home, 'large')
  writeFileSync(source, '')
  truncateSync(source, 200 * 2 ** 20)
  const key = randomBytes(32)
  const before = process.memoryUsage().rss
  let peak = before
  const timer = setInterval(() => (peak = Math.max(peak, process.memoryUsage().rss)), 5)
  const { root, digest } = await at.files.importFile(source, key, SALT)
  sameBytes(await at.files.checkContent(root, key, SALT), digest)
  clearInterval(timer)
  const zeros = createHash('sha256').update('waybill/v1/plain-digest\0').update(SALT)
  for (let i = 0; i < 200; i += 1) zeros.update(new Uint8Array(2 ** 20))
  sameBytes(digest, zeros.digest())
  assert.ok(peak - before < 100 * 2 ** 20, `${(peak - before) >> 20} MiB more`)
  rmSync(source)
})

test.run()
