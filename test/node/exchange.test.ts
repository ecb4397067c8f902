import * as assert from 'uvu/assert'
import { encode } from '../../crypto/cbor.ts'
import { type CID, cidFromDigest } from '../../crypto/cid.ts'
import type { ContentFiles } from '../../node/content.ts'
import type { Driver } from '../../node/driver.ts'
import { Exchange } from '../../node/exchange.ts'
import type { Root } from '../../protocol/content.ts'
import { KEY } from '../../protocol/layout.ts'
import { rejectsCode, suite } from '../harness.ts'
import { Story } from '../protocol/story.ts'
import type { Member } from '../protocol/world.ts'

const test = suite('node/exchange')

/** The exchange of a member, with its content in memory; what it reads of blocks is counted. */
function exchangeOf(member: Member): { exchange: Exchange; read: () => number } {
  let count = 0
  const content = {
    readDigests: async () => new Uint8Array(32),
    async *readBlocks(_hex: string, root: Root, from: number) {
      for (let i = from; i < root.count; i++, count++) yield new Uint8Array(16)
    },
  } as unknown as ContentFiles
  const driver = { state: member.state, env: member.env, on: () => {} } as unknown as Driver
  const bulk = () => {
    throw new Error('nothing is fetched here')
  }
  const quiet = { log: () => {}, onTrouble: () => {}, onProgress: () => {} }
  return {
    exchange: new Exchange({ driver, content, homeKey: new Uint8Array(32), bulk, ...quiet }),
    read: () => count,
  }
}

async function served(exchange: Exchange, org: string, request: Uint8Array): Promise<number> {
  let bytes = 0
  for await (const chunk of exchange.serve(org, request)) bytes += chunk.length
  return bytes
}

/** Ids of the packets of the newest asset. */
const packetsOf = ({ acme, asset }: Story): CID[] =>
  acme.stateOf(KEY.packetsOf(asset!), digest => cidFromDigest(digest, 'dag-cbor'))

/** A story up to the agreement, and the request for its first packet. */
function agreed() {
  const story = new Story().agree()
  const packet = packetsOf(story)[0]!
  return {
    story,
    acme: story.acme,
    packet,
    request: encode({ agreement: story.agreement!, packet, from: 0 }),
  }
}

test('the partner of an agreement gets the blocks of its packets', async () => {
  const { story, acme, request } = agreed()
  const { exchange, read } = exchangeOf(acme)
  assert.ok((await served(exchange, story.bolt.org, request)) > 0)
  assert.ok(read() > 0)
})

test('nobody else gets a byte of ciphertext', async () => {
  const { story, acme, request, packet } = agreed()
  const { exchange, read } = exchangeOf(acme)
  await rejectsCode(served(exchange, story.cole.org, request), 'AGREEMENT_UNKNOWN')
  const unknown = encode({ agreement: packet, packet, from: 0 })
  await rejectsCode(served(exchange, story.bolt.org, unknown), 'AGREEMENT_UNKNOWN')
  await rejectsCode(served(exchange, story.bolt.org, new Uint8Array([1, 2])), 'MALFORMED')
  assert.is(read(), 0)
})

test('a packet of another asset is not under the agreement', async () => {
  const { story, acme } = agreed()
  const agreement = story.agreement!
  story.publish()
  const other = packetsOf(story)[0]!
  const { exchange, read } = exchangeOf(acme)
  await rejectsCode(
    served(exchange, story.bolt.org, encode({ agreement, packet: other, from: 0 })),
    'NOT_FOUND',
  )
  assert.is(read(), 0)
})

test('an agreement that has ended gives nothing', async () => {
  const { story, acme, request } = agreed()
  const { exchange, read } = exchangeOf(acme)
  const { now } = Date
  Date.now = () => now() + 3_650 * 86_400_000
  try {
    await rejectsCode(served(exchange, story.bolt.org, request), 'AGREEMENT_ENDED')
  } finally {
    Date.now = now
  }
  assert.is(read(), 0)
})

test.run()
