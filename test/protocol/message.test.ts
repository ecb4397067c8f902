import fc from 'fast-check'
import * as assert from 'uvu/assert'
import { decode, encode, type Value } from '../../crypto/cbor.ts'
import {
  MAX_HELLO_BYTES,
  MAX_MESSAGE_BYTES,
  MAX_PAGE,
  MAX_PROOFS,
  MAX_RECORD_BYTES,
} from '../../protocol/limits.ts'
import {
  decodeHello,
  decodeMessage,
  encodeMessage,
  HELLO,
  MESSAGES,
  type MessageType,
} from '../../protocol/message.ts'
import { sameBytes, suite } from '../harness.ts'
import { Ownership } from './ownership-story.ts'
import { Story } from './story.ts'

const test = suite('protocol/message')
const BYTES = new Uint8Array(32).fill(7)

/** One message of each type, as the story sends it, and the rest made by hand. */
const SAMPLES: Record<MessageType, Uint8Array> = (() => {
  const story = new Story({ approval: 'person' }).play()
  const { offer } = story
  const id = BYTES.slice(16)
  const refusal = { code: 'POLICY_DENIED', text: 'x', clause: 'c', asked: 'a', allowed: 'b', next: 'n' }
  const wires = [
    ...new Ownership(1).register().offer().accept(undefined, 'all').world.wire,
    ...story.world.wire,
  ]
  const found = Object.fromEntries(wires.map(({ frame, message }) => [message.t, frame]))
  return {
    'identity/events': encodeMessage({ t: 'identity/events', events: [BYTES] }),
    'identity/ask': encodeMessage({ t: 'identity/ask', last: offer! }),
    'identity/known': encodeMessage({ t: 'identity/known', events: [BYTES] }),
    error: encodeMessage({ t: 'error', re: 'hello', code: 'X', text: 'x' }),
    'negotiation/terminate': encodeMessage({ t: 'negotiation/terminate', id, refusal, withdraw: BYTES }),
    'transfer/terminate': encodeMessage({ t: 'transfer/terminate', id, refusal }),
    'delivery/rejected': encodeMessage({ t: 'delivery/rejected', receipt: BYTES }),
    'delivery/refused': encodeMessage({ t: 'delivery/refused', agreement: offer!, packet: offer!, refusal }),
    'redaction/ask': encodeMessage({ t: 'redaction/ask', redaction: BYTES }),
    'redaction/known': encodeMessage({ t: 'redaction/known', redactions: [BYTES] }),
    'redaction/answer': encodeMessage({ t: 'redaction/answer', record: offer!, outcome: 'kept', text: 'x' }),
    'gossip/logs': encodeMessage({ t: 'gossip/logs', logs: [new Uint8Array(32)] }),
    'gossip/head': encodeMessage({ t: 'gossip/head', note: BYTES }),
    'gossip/fork': encodeMessage({ t: 'gossip/fork', proof: BYTES }),
    'witness/refused': encodeMessage({ t: 'witness/refused', size: 1, root: BYTES, status: 409, text: 'x' }),
    'promise/refused': encodeMessage({ t: 'promise/refused', size: 1, root: BYTES, status: 409, text: 'x' }),
    'committee/refused': encodeMessage({ t: 'committee/refused', committee: offer!, refusal }),
    'seat/refused': encodeMessage({ t: 'seat/refused', id, refusal }),
    'seat/lost': encodeMessage({ t: 'seat/lost', lost: BYTES }),
    'handover/decline': encodeMessage({ t: 'handover/decline', order: offer!, refusal }),
    'handover/withdraw': encodeMessage({ t: 'handover/withdraw', order: offer! }),
    'handover/signed': encodeMessage({ t: 'handover/signed', order: BYTES }),
    'vote/refused': encodeMessage({ t: 'vote/refused', order: offer!, refusal, held: BYTES, identities: [] }),
    'owner/known': encodeMessage({ t: 'owner/known', asset: offer!, version: 1 }),
    'owner/ask': encodeMessage({ t: 'owner/ask', id, committee: offer!, asset: offer!, version: 1 }),
    'owner/fresh': encodeMessage({ t: 'owner/fresh', id, fresh: BYTES }),
    'owner/frozen': encodeMessage({ t: 'owner/frozen', one: BYTES, other: BYTES, identities: [] }),
    'log/refused': encodeMessage({ t: 'log/refused', log: offer!, refusal }),
    'mirror/head': encodeMessage({ t: 'mirror/head', note: BYTES }),
    'mirror/ask': encodeMessage({ t: 'mirror/ask', log: offer!, from: 1 }),
    'mirror/entries': encodeMessage({
      t: 'mirror/entries',
      log: offer!,
      from: 1,
      entries: [BYTES],
      note: BYTES,
      path: [BYTES],
    }),
    ...found,
  } as Record<MessageType, Uint8Array>
})()
const types = Object.keys(MESSAGES) as MessageType[]
const value = (type: MessageType) => decode(SAMPLES[type], MAX_MESSAGE_BYTES) as Record<string, Value>
const refused = (message: Value) => assert.type(decodeMessage(encode(message)), 'string')

for (const type of types)
  test(`${type} is read as it was written, and every field is needed, known and bounded`, () => {
    const read = decodeMessage(SAMPLES[type])
    assert.type(read, 'object')
    sameBytes(encodeMessage(read as never), SAMPLES[type])
    const message = value(type)
    refused({ ...message, more: 1 })
    refused({ ...message, t2: null })
    for (const [field, held] of Object.entries(message)) {
      const { [field]: _, ...without } = message
      const isOptional = (MESSAGES[type].fields as Record<string, { optional?: true }>)[field]!.optional
      if (isOptional) assert.type(decodeMessage(encode(without)), 'object')
      else refused(without)
      for (const wrong of [null, true, -1, 'a\nb', new Uint8Array(70_000), {}, [[]]] as Value[]) {
        const fits = typeof wrong === 'boolean' && typeof held === 'boolean'
        if (!fits) refused({ ...message, [field]: wrong })
      }
    }
  })

test('a type that is not known, or is the name of something else, is refused', () => {
  for (const t of ['', 'x', 'hello/join', 'toString', '__proto__', 'constructor', 'negotiation/request/2'])
    refused({ t })
  for (const message of [null, 1, 'hello', [], {}, BYTES, [{ t: 'hello' }]] as Value[]) refused(message)
})

test('lists and frames are bounded', () => {
  const item = { packet: BYTES, root: BYTES }
  const page = (count: number) => ({
    ...value('transfer/start'),
    packets: Array.from({ length: count }, () => item),
  })
  assert.type(decodeMessage(encode(page(MAX_PAGE))), 'object')
  refused(page(MAX_PAGE + 1))
  const records = Array.from({ length: MAX_PROOFS + 1 }, () => value('negotiation/request').offer!)
  refused({ ...value('proof/request'), records })
  const longest = new Uint8Array(MAX_RECORD_BYTES)
  assert.type(decodeMessage(encode({ ...value('delivery/opened'), receipt: longest })), 'object')
  const packets = Array.from({ length: 5 }, () => ({ packet: longest, root: BYTES }))
  refused({ ...value('transfer/start'), packets })
  assert.type(decodeHello(new Uint8Array(MAX_HELLO_BYTES + 1)), 'string')
})

test('random bytes are refused without a throw', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), bytes => {
      assert.type(decodeMessage(bytes), 'string')
      assert.type(decodeHello(bytes), 'string')
    }),
    { numRuns: 2_000 },
  )
})

test('a key of an algorithm that is not known here is refused, wherever it stands', () => {
  const given = value('seat/given') as { seat: Record<string, Value> }
  const seat = { ...given.seat, key: { a: 9, k: new Uint8Array(32) } }
  assert.match(String(decodeMessage(encode({ ...given, seat }))), /algorithm 9 is not known/)
})

test('mutated messages are refused or read, and what is read is written the same', () => {
  const mutation = fc.record({
    type: fc.constantFrom(...types),
    at: fc.nat(),
    by: fc.integer({ min: 1, max: 255 }),
    how: fc.constantFrom('change', 'cut', 'insert', 'repeat'),
  })
  let read = 0
  fc.assert(
    fc.property(mutation, ({ type, at, by, how }) => {
      const frame = SAMPLES[type]
      const i = at % frame.length
      const bytes = {
        change: () => frame.map((byte, k) => (k === i ? byte ^ by : byte)),
        cut: () => frame.slice(0, i),
        insert: () => new Uint8Array([...frame.slice(0, i), by, ...frame.slice(i)]),
        repeat: () => new Uint8Array([...frame.slice(0, i), ...frame]),
      }[how]()
      const message = decodeMessage(bytes)
      if (typeof message === 'string') return
      read++
      sameBytes(encodeMessage(message), bytes)
    }),
    { numRuns: 3_000 },
  )
  assert.ok(read > 100, `${read} were still messages`)
})

test('messages of the hello stream are not messages of the others', () => {
  for (const type of types) assert.type(decodeHello(SAMPLES[type]), 'string', type)
  for (const t of Object.keys(HELLO)) refused({ t })
})

test.run()
