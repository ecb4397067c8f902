/**
 * Finds partners again whose node key, or whose picture of ours, is not the one of before: as long as a partner is away, its
 * addresses are asked who is there, whatever key answers, and only the identity decides (protocol/introduction.ts).
 */
import { peerIdFromString } from '@libp2p/peer-id'
import type { Answer } from '../protocol/command.ts'
import { decodeHello, encodeMessage } from '../protocol/message.ts'
import type { Node } from './daemon.ts'

/** After a start most partners are met within the first; then whoever is still away is asked for, less and less often. */
const FIRST_MS = 2_000
const LAST_MS = 60_000
const ASK_MS = 5_000

export class Acquaintance {
  readonly #node: Node
  readonly #stopping = new AbortController()
  #timer: NodeJS.Timeout | undefined
  #pauseMs = FIRST_MS

  constructor(node: Node) {
    this.#node = node
  }

  start(): void {
    this.#later()
  }

  stop(): void {
    this.#stopping.abort()
    clearTimeout(this.#timer)
  }

  #later(): void {
    if (this.#stopping.signal.aborted) return
    const ms = this.#pauseMs
    this.#pauseMs = Math.min(2 * ms, LAST_MS)
    this.#timer = setTimeout(() => void this.#round(), ms * (0.75 + Math.random() / 2))
    this.#timer.unref()
  }

  async #round(): Promise<void> {
    for (const { org, addresses } of await this.#node.views.partners()) {
      if (this.#stopping.signal.aborted) return
      if (!this.#node.partners.isConnected(org) && addresses.length > 0)
        await this.#ask(org, addresses).catch(() => {})
    }
    this.#later()
  }

  /** A partner that is away, or is itself and knows us, is none of our business. */
  async #ask(org: string, addresses: string[]): Promise<void> {
    const { driver, network } = this.#node
    const { hello } = (await driver.submit({ type: 'again' })) as Extract<Answer, { type: 'hello' }>
    const signal = AbortSignal.any([this.#stopping.signal, AbortSignal.timeout(ASK_MS)])
    const { peerId, answer } = await network.meet(addresses, encodeMessage(hello), signal)
    const node = peerIdFromString(peerId).publicKey?.raw
    const reply = decodeHello(answer)
    if (typeof reply === 'string' || !node) return
    await driver.submit({ type: 'known', org, node, hello: reply })
  }
}
