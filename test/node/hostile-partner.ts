/** A partner with a ticket and a good identity that then follows none of our rules. */
import { randomBytes } from 'node:crypto'
import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import type { Connection, Stream } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p, type Libp2p } from 'libp2p'
import * as assert from 'uvu/assert'
import { firstFrame, frame, MESSAGE } from '../../node/frames.ts'
import { serveMessages } from '../../node/link.ts'
import { type IdentitySeeds, makeIdentity } from '../../protocol/identity.ts'
import { decodeHello, decodeMessage, encodeMessage, type Message } from '../../protocol/message.ts'
import { parseTicket, VERSIONS } from '../../protocol/pairing.ts'
import { eventually, type TestDaemon } from './daemons.ts'

const HELLO = '/waybill/hello/1'
const MESSAGES = '/waybill/1'
const BULK = '/waybill/blocks/1'
const MAX_HELLO_BYTES = 65_536
const ANSWER_MS = 5_000
const YEAR_MS = 365 * 86_400_000
const ROLES = ['root', 'rootNext', 'admin', 'adminNext', 'log', 'operation', 'witness', 'node'] as const

export class HostilePartner implements AsyncDisposable {
  /** What the daemon sent, in order. */
  readonly heard: Message[] = []
  readonly #node: Libp2p
  readonly #target: TestDaemon
  #out: Stream | undefined

  private constructor(node: Libp2p, target: TestDaemon) {
    this.#node = node
    this.#target = target
  }

  /** Under a node key that `target` knows as a partner's: whoever got hold of it. */
  static async under(nodeSeed: Uint8Array, target: TestDaemon): Promise<HostilePartner> {
    const node = await createLibp2p({
      privateKey: await generateKeyPairFromSeed('Ed25519', nodeSeed),
      transports: [tcp()],
      connectionEncrypters: [noise()],
      streamMuxers: [yamux()],
      connectionMonitor: { enabled: false },
    })
    const partner = new HostilePartner(node, target)
    await node.handle(MESSAGES, stream => serveMessages(stream, bytes => partner.#hear(bytes)))
    return partner
  }

  /** Joins with a ticket of `target`, as any partner does. */
  static async join(target: TestDaemon): Promise<HostilePartner> {
    const seeds = Object.fromEntries(ROLES.map(role => [role, randomBytes(32)])) as unknown as IdentitySeeds
    const partner = await HostilePartner.under(seeds.node, target)
    const madeMs = Date.now()
    const about = { nonce: randomBytes(16), madeMs, untilMs: madeMs + YEAR_MS, retentionDays: 10 }
    const { bytes: identity } = makeIdentity(seeds, { name: 'Mallory', ...about })
    const { ticket } = await target.client.partners.invite({ for: 'Mallory', expiresMs: madeMs + 60_000 })
    const { secret } = parseTicket(ticket)
    const join = { versions: VERSIONS, secret, identity, events: [], addresses: [], witnesses: [] }
    const answer = decodeHello(await partner.hello(encodeMessage({ t: 'hello/join', ...join })))
    assert.is((answer as { t: string }).t, 'hello/welcome', JSON.stringify(answer))
    return partner
  }

  /** The answer to these bytes as a hello. */
  async hello(bytes: Uint8Array): Promise<Uint8Array> {
    const stream = await (await this.#connection()).newStream(HELLO)
    const answer = firstFrame(stream, MAX_HELLO_BYTES, AbortSignal.timeout(ANSWER_MS))
    answer.catch(() => {})
    stream.send(frame(MESSAGE, bytes))
    return answer.finally(() => stream.close())
  }

  /** Sends these bytes as one message; whether the stream they went on was still good a moment later. */
  async send(bytes: Uint8Array): Promise<void> {
    const out = await this.#stream()
    if (!out.send(frame(MESSAGE, bytes)))
      await new Promise(done => out.addEventListener('drain', done, { once: true }))
  }

  /** Sends raw bytes on a stream of a protocol, and gives what came until the daemon ended it. */
  async raw(
    protocol: 'hello' | 'messages' | 'bulk',
    bytes: Uint8Array,
  ): Promise<{ reset: boolean; got: Buffer }> {
    const name = { hello: HELLO, messages: MESSAGES, bulk: BULK }[protocol]
    const stream = await (await this.#connection()).newStream(name, { maxOutboundStreams: 100 })
    const got: Uint8Array[] = []
    stream.addEventListener('message', ({ data }) => void got.push(data.subarray()))
    if (protocol === 'messages') await eventually('READY', async () => got.length > 0 || undefined)
    stream.send(bytes)
    const isOver = async () =>
      stream.status !== 'open' || got.length > (protocol === 'messages' ? 1 : 0) || undefined
    await eventually(`an end of the ${protocol} stream`, isOver, ANSWER_MS)
    const reset = stream.status === 'reset'
    if (!reset) stream.abort(new Error('enough'))
    return { reset, got: Buffer.concat(got) }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#node.stop()
  }

  #hear(bytes: Uint8Array): void {
    const message = decodeMessage(bytes)
    if (typeof message !== 'string') this.heard.push(message)
  }

  async #connection(): Promise<Connection> {
    const open = this.#node.getConnections().find(({ status }) => status === 'open')
    return open ?? (await this.#node.dial(multiaddr(this.#target.ready.addresses[0])))
  }

  /** The message stream, once the daemon has said that it is ready. */
  async #stream(): Promise<Stream> {
    if (this.#out?.status === 'open') return this.#out
    const stream = await (await this.#connection()).newStream(MESSAGES, { maxOutboundStreams: 100 })
    const ready = Promise.withResolvers<void>()
    stream.addEventListener('message', () => ready.resolve())
    await ready.promise
    this.#out = stream
    return stream
  }
}
