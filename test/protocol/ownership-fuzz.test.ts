/** Every message about ownership, changed in every part: whatever comes of it, nothing is thrown through the core. */
import * as assert from 'uvu/assert'
import { decode, encode, type Value } from '../../crypto/cbor.ts'
import { asCid } from '../../crypto/cid.ts'
import type { PrivateKey } from '../../crypto/key.ts'
import { type Payload, signRecord } from '../../crypto/statement.ts'
import { MAX_MESSAGE_BYTES } from '../../protocol/limits.ts'
import { decodeMessage, type Message } from '../../protocol/message.ts'
import { titleOf } from '../../protocol/title.ts'
import { Prng } from '../../sim/prng.ts'
import { suite } from '../harness.ts'
import { Ownership } from './ownership-story.ts'
import type { Flight } from './world.ts'

const test = suite('protocol/ownership fuzz')
const OURS = /^(seat|handover|vote|owner)\//

/** Any value of the play in the place of any other. */
class Mutator {
  readonly #prng: Prng
  readonly #pool: Value[] = [
    0,
    1,
    -1,
    Number.MAX_SAFE_INTEGER,
    '',
    'x'.repeat(512),
    [],
    {},
    true,
    new Uint8Array(0),
  ]

  readonly #keys: Record<string, PrivateKey>

  constructor(prng: Prng, messages: Message[], keys: Record<string, PrivateKey>) {
    this.#prng = prng
    this.#keys = keys
    for (const message of messages) this.#gather(message as unknown as Value)
  }

  #gather(value: Value, depth = 0): void {
    if (depth > 0) this.#pool.push(value)
    const inner = opened(value)
    for (const each of inner ? children(inner) : []) this.#gather(each, depth + 1)
  }

  /** A copy with one part exchanged, taken away or doubled; also inside of records. */
  change(value: Value): Value {
    const inner = opened(value)
    const parts = inner ? children(inner) : []
    if (!inner || parts.length === 0 || this.#prng.chance(100_000)) return this.#other(value)
    const at = this.#prng.between(0, parts.length - 1)
    const put = (old: Value): Value => this.change(old)
    let made: Value
    if (Array.isArray(inner)) {
      const list = [...inner]
      const how = this.#prng.between(0, 3)
      if (how === 0) list.splice(at, 1)
      else if (how === 1) list.push(list[at]!)
      else list[at] = put(list[at]!)
      made = list
    } else {
      const [name] = Object.keys(inner).slice(at)
      const { [name!]: old, ...rest } = inner as Record<string, Value>
      made = this.#prng.chance(100_000) ? rest : { ...rest, [name!]: put(old!) }
    }
    return value instanceof Uint8Array ? this.#signed(made) : made
  }

  /** Mostly of the same kind: what the shapes refuse gets nowhere. */
  #other(value: Value): Value {
    const alike = this.#pool.filter(each => kindOf(each) === kindOf(value))
    return this.#prng.pick(alike.length > 0 && !this.#prng.chance(100_000) ? alike : this.#pool)
  }

  /** Who breaks the rules can sign what it likes: the parties of the play sign a changed record again. */
  #signed(record: Value): Uint8Array {
    if (!isMap(record) || !isMap(record.p!) || !Array.isArray(record.s) || !this.#prng.chance(700_000))
      return encode(record)
    const p = record.p as Payload
    const s = record.s.map(each => {
      const role = isMap(each) ? each.r : undefined
      const key = typeof role === 'string' ? this.#keys[role] : undefined
      return key && typeof p.t === 'string' ? signRecord(p, role as string, key) : each
    })
    return encode({ p, s } as unknown as Value)
  }
}

const kindOf = (value: Value): string =>
  value instanceof Uint8Array
    ? `bytes ${Math.min(value.length, 64)}`
    : asCid(value)
      ? 'link'
      : Array.isArray(value)
        ? 'list'
        : typeof value

const isMap = (value: Value): value is Record<string, Value> =>
  typeof value === 'object' &&
  value !== null &&
  !Array.isArray(value) &&
  !(value instanceof Uint8Array) &&
  !asCid(value)
const children = (value: Value): Value[] =>
  Array.isArray(value) ? value : isMap(value) ? Object.values(value) : []
/** The value itself, or what its bytes encode. */
function opened(value: Value): Value | undefined {
  if (!(value instanceof Uint8Array)) return value
  if (value.length < 40) return undefined
  try {
    return decode(value, MAX_MESSAGE_BYTES)
  } catch {
    return undefined
  }
}

function played(): { story: Ownership; flights: Flight[] } {
  const story = new Ownership(4).register().offer()
  const next = story.assemble(story.seats.slice(1))
  story.acme.input({ type: 'take-back', order: story.order })
  story.world.run()
  story.offer(story.bolt, story.acme, next)
  story.accept(story.bolt, 'all')
  story.acme.input({ type: 'fresh', asset: story.asset })
  story.world.run()
  return { story, flights: story.world.wire.filter(({ message }) => OURS.test(message.t)) }
}

test('messages with any part exchanged, doubled or taken away are refused or ignored, and change no owner', () => {
  const { story, flights } = played()
  assert.is(story.owner(story.bolt), '1 Bolt GmbH')
  const prng = new Prng(7, 'fuzz')
  const [acme, bolt] = [story.acme, story.bolt].map(({ env }) => env.keys.operation) as [
    PrivateKey,
    PrivateKey,
  ]
  const keys = { owner: acme, from: acme, publisher: acme, to: bolt }
  const mutator = new Mutator(
    prng,
    flights.map(({ message }) => message),
    keys,
  )
  const { world } = story
  let [taken, refused] = [0, 0]
  for (let i = 0; i < 600; i++) {
    const { from, to, frame } = prng.pick(flights)
    let changed: Value
    try {
      changed = mutator.change(decode(frame, MAX_MESSAGE_BYTES))
      changed = prng.chance(300_000) ? mutator.change(changed) : changed
    } catch {
      continue // what cannot be encoded
    }
    const message = decodeMessage(encode(changed))
    if (typeof message === 'string') {
      refused++
      continue
    }
    taken++
    to.input({ type: 'message', from: from.org, message })
    if (i % 50 === 0) world.run(10)
  }
  world.run(600_000)
  console.log(`${taken} messages taken, ${refused} refused before`)
  assert.ok(taken > 100, `${taken} got past the shapes`)
  for (const member of world.members) {
    const owned = titleOf(member.env.get, story.asset)
    if (owned) assert.is(story.owner(member), owned.version === 0 ? '0 Acme Steel' : '1 Bolt GmbH')
  }
})

test.run()
