/**
 * What the pieces of work cost on this machine of which the simulator makes up a daemon's day: each measured by itself, with
 * the shipped code, by the CPU that it takes. The rest (a step, a file, a stream) is found from a run of two daemons.
 */
import { randomBytes } from 'node:crypto'
import { mkdtemp, open, rm } from 'node:fs/promises'
import { cpus, tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'
import { blockKey, openBlock, sealBlock } from '../crypto/cipher.ts'
import { sha256 } from '../crypto/hash.ts'
import { keyFromSeed, sign, verify } from '../crypto/key.ts'
import { useLibsodium } from '../crypto/libsodium.ts'
import { oneTimeKey, seal } from '../crypto/seal.ts'
import { openStore } from '../node/store.ts'
import { decodeMessage, encodeMessage, type Message } from '../protocol/message.ts'
import type { Cost, Profile } from '../sim/profile.ts'
import { cpuSeconds, median } from './harness.ts'
import { rawPair, start, stop } from './pair.ts'

const ROUNDS = 7
const BUSY_ROUNDS = 9
const SMALL = 256
const LARGE = 65_536

export type Primitives = Pick<
  Profile,
  'machine' | 'node' | 'date' | 'cores' | 'crowded' | 'disk' | 'loopback'
> & {
  work: Pick<
    Profile['work'],
    | 'sign'
    | 'verify'
    | 'hash'
    | 'seal'
    | 'open'
    | 'x25519'
    | 'encode'
    | 'decode'
    | 'commit'
    | 'send'
    | 'receive'
  >
}

export async function primitives(): Promise<Primitives> {
  useLibsodium() // as a node does
  const key = keyFromSeed(randomBytes(32))
  const cipher = blockKey(randomBytes(32))
  const note = (n: number): Message => ({ t: 'head/show', note: new Uint8Array(n) })
  let block = 0
  const work = {
    sign: byBytes(200, n => {
      const message = randomBytes(n)
      return () => sign(key, message)
    }),
    verify: byBytes(200, n => {
      const message = randomBytes(n)
      const signature = sign(key, message)
      let asked = 0
      // Another message each time: what was found to hold is not looked at again.
      return () => {
        message.writeUInt32LE(asked++)
        return verify(key.public, message, signature)
      }
    }),
    hash: byBytes(5_000, n => {
      const bytes = randomBytes(n)
      return () => sha256(bytes)
    }),
    seal: byBytes(1_000, n => {
      const plain = randomBytes(n)
      return () => sealBlock(cipher, block++, plain)
    }),
    open: byBytes(1_000, n => {
      const sealed = sealBlock(cipher, 0, randomBytes(n))
      return () => openBlock(cipher, 0, sealed)
    }),
    x25519: flat(sealing()),
    encode: byBytes(2_000, n => () => encodeMessage(note(Math.min(n, 16_000)))),
    decode: byBytes(2_000, n => {
      const bytes = encodeMessage(note(Math.min(n, 16_000)))
      return () => decodeMessage(bytes)
    }),
  }
  const { commit, disk } = await commits()
  const { delayUs, ...wire } = await wires()
  return {
    machine: `${cpus().length} x ${cpus()[0]!.model}, ${Math.round(totalmem() / 2 ** 30)} GiB`,
    node: process.versions.node,
    date: new Date().toISOString().slice(0, 10),
    cores: cpus().length,
    crowded: await crowded(cpus().length),
    work: { ...work, ...wire, commit },
    disk,
    loopback: { delayUs, bytesPerMs: 500_000 },
  }
}

/** CPU of one call, us: the median of some rounds after one that warms up. */
function cpuUs(calls: number, call: () => unknown): number {
  const rounds = Array.from({ length: ROUNDS + 1 }, () => {
    const before = process.cpuUsage()
    for (let i = 0; i < calls; i++) call()
    const { user, system } = process.cpuUsage(before)
    return (user + system) / calls
  })
  return median(rounds.slice(1))
}

const flat = (eachUs: number): Cost => ({ eachUs: rounded(eachUs), byteUs: 0 })
const rounded = (us: number): number => Number(Math.max(0, us).toPrecision(4))

/** What a call costs with few and with many bytes. */
function byBytes(calls: number, make: (bytes: number) => () => unknown): Cost {
  const small = cpuUs(calls, make(SMALL))
  const large = cpuUs(Math.max(20, calls / 10), make(LARGE))
  const byteUs = Math.max(0, (large - small) / (LARGE - SMALL))
  return { eachUs: rounded(small - SMALL * byteUs), byteUs: rounded(byteUs) }
}

/** Sealing to a one-time key multiplies twice on the curve; what the cipher and the hashes take of it is small. */
function sealing(): number {
  const { public: publicKey } = oneTimeKey(randomBytes(32))
  return cpuUs(100, () => seal(publicKey, new Uint8Array(8), new Uint8Array(64), randomBytes(32))) / 2
}

const BUSY_MS = 300
const MOST_BUSY = 32

/**
 * How often as long work takes while others work too: on one core each, and with two and four taking turns on each, as far as
 * that is no more than MOST_BUSY processes.
 */
async function crowded(cores: number): Promise<Profile['crowded']> {
  const counts = [...new Set([1, cores, 2 * cores, 4 * cores].filter(count => count <= MOST_BUSY))]
  const all = await Promise.all(Array.from({ length: counts.at(-1)! }, () => start<object>('busy.ts')))
  const work = async (count: number) => {
    const ms = BUSY_MS * Math.max(1, count / cores)
    const took = all.slice(0, count).map(({ child }) => child.ask<{ eachUs: number }>({ ms }))
    return median((await Promise.all(took)).map(({ eachUs }) => eachUs))
  }
  const rounds: number[][] = []
  for (let i = 0; i < BUSY_ROUNDS; i++) {
    const took: number[] = []
    for (const count of counts) took.push(await work(count))
    rounds.push(took)
  }
  await Promise.all(all.map(({ child }) => stop(child)))
  // Whoever else uses the machine comes and goes: each is compared with what stood beside it, and more never cost less.
  let times = 1
  return counts.map((count, i) => {
    times = Math.max(times, median(rounds.map(took => took[i]! / took[0]!)))
    return [count, rounded(times)]
  })
}

const COMMITS = 300
const SYNCS = 40
const FILE_BYTES = 4 * 2 ** 20

/** Groups of writes in the store of the daemon, one after the other: the CPU of each, and how long the disk takes besides. */
async function commits(): Promise<{ commit: Cost; disk: Profile['disk'] }> {
  const dir = await mkdtemp(join(tmpdir(), 'waybill-calibrate-'))
  try {
    const store = await openStore(join(dir, 'store'), {
      create: true,
      onFailure: error => {
        throw error
      },
    })
    const times: number[] = []
    const group = async (bytes: number, i: number) => {
      const began = performance.now()
      await new Promise<void>(done => {
        const writes = [0, 1, 2, 3].map(k => ({ key: `k/${i % 64}/${k}`, value: randomBytes(bytes / 4) }))
        store.commit(writes, done)
      })
      times.push((performance.now() - began) * 1_000)
    }
    const cost = async (bytes: number, count: number) => {
      const before = process.cpuUsage()
      for (let i = 0; i < count; i++) await group(bytes, i)
      const { user, system } = process.cpuUsage(before)
      return (user + system) / count
    }
    await cost(1_024, 50)
    times.length = 0
    const small = await cost(1_024, COMMITS)
    const waits = times.map(us => Math.max(0, us - small)).sort((a, b) => a - b)
    const large = await cost(LARGE, 50)
    const byteUs = Math.max(0, (large - small) / (LARGE - 1_024))
    const syncUs = Array.from({ length: SYNCS }, (_, i) =>
      rounded(waits[Math.floor(((i + 0.5) * waits.length) / SYNCS)]!),
    )
    await store[Symbol.asyncDispose]()
    const commit = { eachUs: rounded(small - 1_024 * byteUs), byteUs: rounded(byteUs) }
    return { commit, disk: { syncUs, bytesPerMs: await fileSpeed(dir) } }
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

async function fileSpeed(dir: string): Promise<number> {
  const bytes = randomBytes(FILE_BYTES)
  const speeds: number[] = []
  for (let i = 0; i < ROUNDS; i++) {
    await using file = await open(join(dir, `file ${i}`), 'w')
    const began = performance.now()
    await file.write(bytes)
    await file.datasync()
    speeds.push(FILE_BYTES / (performance.now() - began))
  }
  return Math.round(median(speeds))
}

const ECHOES = 4_000
const BULK_BYTES = 64 * 2 ** 20

/** Messages between two processes over stock libp2p: CPU at each side, and how long one way takes besides. */
async function wires(): Promise<{ send: Cost; receive: Cost; delayUs: number }> {
  await using pair = await rawPair()
  const used = () =>
    [pair.sender, pair.receiver].reduce((sum, { process }) => sum + cpuSeconds(process.pid!), 0)
  const echo = (count: number, inFlight: number) =>
    pair.sender.ask<{ ms: number }>({ do: 'echo', to: pair.to, count, inFlight })
  await echo(ECHOES, 64)
  const before = used()
  const { ms } = await echo(ECHOES, 1)
  // Each echo is sent twice and received twice.
  const eachUs = ((used() - before) * 1e6) / ECHOES / 4
  const delayUs = Math.max(0, (ms * 1_000) / ECHOES / 2 - 2 * eachUs)
  await pair.receiver.ask({ do: 'expect', bytes: BULK_BYTES })
  const atBulk = used()
  await pair.sender.ask({ do: 'send', to: pair.to, bytes: BULK_BYTES })
  const byteUs = ((used() - atBulk) * 1e6) / BULK_BYTES / 2
  const cost = { eachUs: rounded(eachUs), byteUs: rounded(byteUs) }
  return { send: cost, receive: cost, delayUs: rounded(delayUs) }
}
