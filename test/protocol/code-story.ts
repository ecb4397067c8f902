/** What the cases of the table of codes share: how a wrong message is answered, and how far a story has come. */
import * as assert from 'uvu/assert'
import { text, utf8 } from '../../crypto/bytes.ts'
import { formatNote, parseNote, signNote } from '../../crypto/note.ts'
import { DELEGATION_MS } from '../../protocol/limits.ts'
import { originOf } from '../../protocol/log.ts'
import type { Message, MessageOf, MessageType } from '../../protocol/message.ts'
import { alter, Story } from './story.ts'
import type { Member } from './world.ts'

export const ID = new Uint8Array(16).fill(9)
export const HASH = new Uint8Array(32).fill(7)

/** What a case did: a story in which the answer was sent, or the answer itself. */
export type Case = () => string | undefined

// What is answered.

/** The first code that this member answers a message with: an error, a refusal, or the status of a witness. */
export function firstAnswer(story: Story, by: Member, from = 0): string | undefined {
  for (const { message, from: sender } of story.world.wire.slice(from)) {
    if (sender !== by) continue
    if (message.t === 'error') return message.code
    if (message.t === 'witness/refused' || message.t === 'promise/refused') return String(message.status)
    if ('refusal' in message) return message.refusal.code
  }
  return undefined
}

/** Sends one message and says how it is answered. */
export function send(story: Story, from: Member, to: Member, message: Message): string | undefined {
  const { world } = story
  const before = world.wire.length
  world.send(from, to.org, message)
  world.run(10)
  return firstAnswer(story, to, before)
}

/** Plays on with each message of a type changed, and says how the first is answered by `by`. */
export function altered<T extends MessageType>(
  story: Story,
  type: T,
  by: (story: Story) => Member,
  change: (message: MessageOf<T>, story: Story) => object,
  play: (story: Story) => void,
): string | undefined {
  const before = story.world.wire.length
  alter(story, type, message => ({ ...message, ...change(message, story) }) as MessageOf<T>)
  play(story)
  return firstAnswer(story, by(story), before)
}
/** Cole's store is an old one; its own log goes on with a successor. */
export function putBack({ cole }: Story): void {
  cole.input({ type: 'restored', why: 'older', tickets: [], seats: [], redactions: [] })
  cole.succeed()
}
/** Every key has expired but Acme's log key, which it has just replaced. */
export function expireOf({ acme, world }: Story): void {
  world.wallMs += DELEGATION_MS
  acme.delegate(['log'])
  world.run(10)
}
/** Three years pass while a message is on its way: the others have new keys by then, who sent it has not. */
export const outdate = (by: (story: Story) => Member) => (_: object, story: Story) => {
  const { world, acme, bolt } = story
  world.wallMs += DELEGATION_MS
  for (const member of [acme, bolt]) if (member !== by(story)) member.delegate(['operation'])
  return {}
}
/** A head under the log key that stands. */
export function signedAnew(note: Uint8Array, owner: Member): Uint8Array {
  const { body } = parseNote(text(note))
  return utf8(formatNote({ body, lines: [signNote(body, originOf(owner.chain), owner.key('log'))] }))
}
export const acmeOf = ({ acme }: Story) => acme
export const boltOf = ({ bolt }: Story) => bolt
export const operation = (member: Member) => member.env.keys.operation

// How far a story has come.

export const paired = () => new Story({ approval: 'policy' }).pair()
export function offered(options: ConstructorParameters<typeof Story>[0] = {}): Story {
  const story = new Story({ approval: 'policy', ...options })
  story.pair().publish()
  assert.ok(story.read())
  return story
}
export const agreed = (options: ConstructorParameters<typeof Story>[0] = {}) =>
  new Story({ packets: 1, ...options }).agree()
export const ask = (story: Story) => story.request().world.run(1_000)
/** A request that a person has not decided yet. */
export function asked(): Story {
  const story = offered({ approval: 'person' })
  ask(story)
  return story
}
/** The consumer has signed, and waits for the provider. */
export function signed(): Story {
  const story = offered()
  story.world.bend = message => (message.t === 'negotiation/finalize' ? 0 : 1)
  ask(story)
  return story
}
