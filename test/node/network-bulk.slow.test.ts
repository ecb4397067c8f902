import { fork } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import * as assert from 'uvu/assert'
import { drained } from '../../node/frames.ts'
import { rejectsCode, suite } from '../harness.ts'
import { introduce, never, open, type TestNetwork, until } from './network-harness.ts'

const test = suite('network bulk')

const MIB = 1024 * 1024
const CREDIT = 4 * MIB

/** `bytes` whose value depends on their position, in chunks of one size. */
async function* pattern(bytes: number, chunkBytes: number, asked?: (bytes: number) => void) {
  for (let at = 0; at < bytes; at += chunkBytes) {
    const chunk = Buffer.alloc(Math.min(chunkBytes, bytes - at), Math.floor(at / chunkBytes) % 251)
    asked?.(chunk.length)
    yield chunk
  }
}

async function digest(chunks: AsyncIterable<Uint8Array>): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of chunks) hash.update(chunk)
  return hash.digest('hex')
}

async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = []
  for await (const chunk of chunks) all.push(Buffer.from(chunk))
  return Buffer.concat(all)
}

function bulk(
  from: TestNetwork,
  to: TestNetwork,
  request = 'all',
  signal = never,
): AsyncIterable<Uint8Array> {
  return from.network.bulk(to.peerId, Buffer.from(request), signal)
}

test('64 MiB arrive whole at a slow reader, and neither side runs ahead', async () => {
  let [asked, consumed, ahead, pieces] = [0, 0, 0, 0]
  await using reader = await open(1)
  await using sender = await open(2, {
    onBulk: () =>
      pattern(64 * MIB, 300_000, bytes => {
        asked += bytes
        ahead = Math.max(ahead, asked - consumed)
      }),
  })
  introduce(reader, sender)
  const hash = createHash('sha256')
  for await (const piece of bulk(reader, sender)) {
    if (pieces++ < 100) await sleep(5)
    hash.update(piece)
    consumed += piece.length
  }
  assert.is(consumed, 64 * MIB)
  assert.is(hash.digest('hex'), await digest(pattern(64 * MIB, 300_000)))
  // what was asked of the source and not yet consumed lies in the credit window, or is the chunk being cut
  assert.ok(ahead > CREDIT / 2, `${ahead} bytes ahead: the window is used`)
  assert.ok(ahead <= CREDIT + 2 * 300_000, `${ahead} bytes ahead`)
})

test('chunks of any size are joined and cut, and requests reach their server', async () => {
  const served: string[] = []
  await using a = await open(1)
  await using b = await open(2, {
    onBulk: async function* (_peerId, request) {
      served.push(Buffer.from(request).toString())
      const buffer = Buffer.alloc(10)
      for (let i = 0; i < 20_000; i++) {
        buffer.fill(i % 256) // the same buffer every time
        yield buffer.subarray(0, i % 11)
      }
      yield Buffer.alloc(5 * MIB, 7)
      yield Buffer.alloc(0)
    },
  })
  introduce(a, b)
  const expected = Buffer.concat([
    ...Array.from({ length: 20_000 }, (_, i) => Buffer.alloc(i % 11, i % 256)),
    Buffer.alloc(5 * MIB, 7),
  ])
  for (const name of ['first', 'second']) assert.ok(expected.equals(await collect(bulk(a, b, name))))
  assert.equal(served, ['first', 'second'])
})

test('30 requests at once share 16 streams, and all are answered', async () => {
  let [running, most] = [0, 0]
  await using a = await open(1)
  await using b = await open(2, {
    onBulk: async function* (_peerId, request) {
      most = Math.max(most, ++running)
      await sleep(20)
      yield request
      running--
    },
  })
  introduce(a, b)
  const names = Array.from({ length: 30 }, (_, i) => `request ${i}`)
  const answers = await Promise.all(names.map(async name => String(await collect(bulk(a, b, name)))))
  assert.equal(answers, names)
  assert.ok(most > 4 && most <= 16, `${most} at once`)
})

test('readers that leave with the last byte leave no stream behind', async () => {
  await using reader = await open(1)
  await using sender = await open(2, { onBulk: () => pattern(64, 64) })
  introduce(reader, sender)
  for (let i = 0; i < 5; i++)
    await Promise.all(
      Array.from({ length: 8 }, async () => {
        let left = 64
        for await (const piece of bulk(reader, sender)) {
          left -= piece.length
          if (left === 0) break
        }
      }),
    )
  assert.is((await collect(bulk(reader, sender))).length, 64)
})

test('leaving the loop stops the sender', async () => {
  let asked = 0
  let stopped = false
  await using a = await open(1)
  await using b = await open(2, {
    onBulk: async function* () {
      try {
        yield* pattern(1024 * MIB, MIB, bytes => {
          asked += bytes
        })
      } finally {
        stopped = true
      }
    },
  })
  introduce(a, b)
  let consumed = 0
  for await (const piece of bulk(a, b)) {
    consumed += piece.length
    if (consumed > 8 * MIB) break
  }
  await until(() => stopped, 'the source is closed')
  assert.ok(asked < 20 * MIB, `${asked} bytes`)

  // the same by a signal, while the sender waits for credit
  const abort = new AbortController()
  stopped = false
  const reading = (async () => {
    for await (const _ of bulk(a, b, 'all', abort.signal)) {
      await sleep(100)
      abort.abort(Object.assign(new Error('no more'), { code: 'ENOUGH' }))
    }
  })()
  await rejectsCode(reading, 'ENOUGH')
  await until(() => stopped, 'the source is closed again')
})

test('an error of the source arrives with its code, and the stream can be used again', async () => {
  await using a = await open(1)
  await using b = await open(2, {
    onBulk: async function* (_peerId, request) {
      yield Buffer.from('so far')
      if (Buffer.from(request).toString() === 'coded')
        throw Object.assign(new Error('secret'), { code: 'BLOCK_MISSING' })
      if (Buffer.from(request).toString() === 'plain') throw new Error('secret')
    },
  })
  introduce(a, b)
  const read: string[] = []
  const failing = async (name: string) => {
    for await (const piece of bulk(a, b, name)) read.push(Buffer.from(piece).toString())
  }
  const coded = await rejectsCode(failing('coded'), 'REMOTE_ERROR')
  assert.is((coded as Error & { remoteCode?: string }).remoteCode, 'BLOCK_MISSING')
  const plain = await rejectsCode(failing('plain'), 'REMOTE_ERROR')
  assert.is((plain as Error & { remoteCode?: string }).remoteCode, 'INTERNAL')
  assert.not.match(plain.message, 'secret')
  await failing('none')
  assert.equal(read, ['so far'])
})

test('a killed peer ends the answer with STREAM_CLOSED', async () => {
  const child = fork(`${import.meta.dirname}/network-peer.ts`, { stdio: 'inherit' })
  const [{ peerId, addresses }] = (await once(child, 'message')) as [{ peerId: string; addresses: string[] }]
  await using a = await open(1)
  a.admitted.add(peerId)
  a.network.learn(peerId, addresses)
  let consumed = 0
  const reading = (async () => {
    for await (const piece of a.network.bulk(peerId, Buffer.from('endless'), never)) {
      consumed += piece.length
      if (consumed > 4 * MIB && !child.killed) child.kill('SIGKILL')
    }
  })()
  await rejectsCode(reading, 'STREAM_CLOSED')
  await rejectsCode(collect(a.network.bulk(peerId, Buffer.from('again'), never)), 'PEER_UNREACHABLE')
})

test('a request that cannot be made is refused here', async () => {
  await using a = await open(1)
  await using b = await open(2)
  await rejectsCode(collect(bulk(a, b)), 'PEER_NOT_ADMITTED')
  a.admitted.add(b.peerId)
  await rejectsCode(collect(bulk(a, b)), 'PEER_UNREACHABLE')
  a.network.learn(b.peerId, b.network.addresses())
  await rejectsCode(collect(bulk(a, b)), 'STREAM_CLOSED') // b does not admit a
  const large = a.network.bulk(b.peerId, new Uint8Array(64 * 1024 + 1), never)
  await rejectsCode(collect(large), 'FRAME_TOO_LARGE')
  await a.network.stop()
  await rejectsCode(collect(bulk(a, b)), 'NETWORK_STOPPED')
})

test('drained waits every time, not only once', async () => {
  // a stream that is full again after each drain, as libp2p's are
  class FullStream extends EventTarget {
    writeStatus = 'writable'
    writableNeedsDrain = true
  }
  const stream = new FullStream()
  for (let round = 0; round < 3; round++) {
    stream.writableNeedsDrain = true
    let done = false
    const waiting = drained(stream as never).then(() => {
      done = true
    })
    await sleep(1)
    assert.not.ok(done, `round ${round}`)
    stream.writableNeedsDrain = false
    stream.dispatchEvent(new Event('drain'))
    await waiting
  }
  stream.writableNeedsDrain = true
  const waiting = drained(stream as never)
  stream.writeStatus = 'closed'
  stream.dispatchEvent(new Event('close'))
  await rejectsCode(waiting, 'STREAM_CLOSED')
})

test.run()
