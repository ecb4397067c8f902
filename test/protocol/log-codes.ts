/** What is wrong with a message about logs and who keeps them, and the code that it gets: rows of protocol/README.md, section 14. */
import * as assert from 'uvu/assert'
import { text, utf8 } from '../../crypto/bytes.ts'
import { encode } from '../../crypto/cbor.ts'
import { type CID, cidOf } from '../../crypto/cid.ts'
import { formatNote, parseNote } from '../../crypto/note.ts'
import { decodeSigned, encodeSigned } from '../../crypto/statement.ts'
import { nameOf, type Seating } from '../../protocol/committee.ts'
import { forksKnown } from '../../protocol/fork.ts'
import { newestHead, readWatch } from '../../protocol/heads.ts'
import { KEY } from '../../protocol/layout.ts'
import { DELEGATION_MS, MAX_LOGS, MAX_MIRRORED } from '../../protocol/limits.ts'
import { type Entry, encodeEntry, readEntry } from '../../protocol/log.ts'
import { decodeState } from '../../protocol/machine.ts'
import type { MessageOf } from '../../protocol/message.ts'
import {
  acmeOf,
  altered,
  boltOf,
  type Case,
  expireOf,
  HASH,
  ID,
  paired,
  putBack,
  send,
  signedAnew,
} from './code-story.ts'
import { DAY_MS, forgedHead, resign, Story } from './story.ts'
import type { Member } from './world.ts'

/** How Cole, the witness, answers a head of Acme. */
function added(
  make: (story: Story, newest: { size: number; note: Uint8Array }) => Omit<MessageOf<'witness/add'>, 't'>,
) {
  const story = paired()
  const newest = newestHead(story.acme.env.get)!
  return send(story, story.acme, story.cole, { t: 'witness/add', ...make(story, newest) })
}

/** How Acme's log begins, as it told Cole. */
const beginningOf = (story: Story) =>
  story.world.wire.findLast(({ from, message }) => from === story.acme && message.t === 'log/register')!
    .message as MessageOf<'log/register'>

/** How Cole answers another beginning of Acme's log. */
function registers(change: (message: MessageOf<'log/register'>, story: Story) => object): string | undefined {
  const story = paired()
  const message = beginningOf(story)
  return send(story, story.acme, story.cole, { ...message, ...change(message, story) })
}
/** The entry as if it had been made at another time. */
const openedLater = (entry: Uint8Array): Uint8Array => {
  const read = readEntry(entry) as Entry
  return encodeEntry({ ...read, t: read.t + 1 })
}

const seating = ({ acme }: Story) => decodeState<Seating>(acme.store.get(KEY.seating)!)

/** How Cole, the member, answers a question for a promise. */
function promised(
  make: (committee: CID, size: number, story: Story) => Omit<MessageOf<'promise/ask'>, 't' | 'root'>,
): string | undefined {
  const story = paired()
  const about = make(nameOf(seating(story).now!).id, newestOf(story).size, story)
  return send(story, story.acme, story.cole, { t: 'promise/ask', root: HASH, ...about })
}

/** Shows another head of the size that is seen: the log is closed there. */
function fork(story: Story, at: Member): void {
  const { size } = seenBy(story, at)
  send(story, story.acme, at, { t: 'head/show', note: forgedHead(story.acme, size) })
  assert.ok(at.store.has(KEY.fork(story.acme.org)), 'the log is closed')
}
const seenBy = ({ acme }: Story, at: Member) => readWatch(at.store.get(KEY.watch(acme.org)))!

/** Mirrored by Bolt. */
function mirrored(): Story {
  const story = new Story()
  story.acme.mirrors = [story.bolt.env.self.id]
  return story
}

const newestOf = ({ acme }: Story) => newestHead(acme.env.get)!

export const LOG_CASES: Record<string, Case> = {
  'head/show · a head of another log': () => {
    const story = paired()
    return send(story, story.acme, story.bolt, { t: 'head/show', note: forgedHead(story.cole, 5) })
  },
  'head/show · signed by another key': () => {
    const story = paired()
    const { acme, cole } = story
    const env = { ...acme.env, keys: { ...acme.env.keys, log: cole.env.keys.log } }
    const note = forgedHead({ ...acme, env } as unknown as Member, 5)
    return send(story, acme, story.bolt, { t: 'head/show', note })
  },
  'head/ask · from size 0': () => {
    const story = paired()
    return send(story, story.bolt, story.acme, { t: 'head/ask', size: 0 })
  },
  'head/ask · from a size that no head has come to': () => {
    const story = paired()
    return send(story, story.bolt, story.acme, { t: 'head/ask', size: newestOf(story).size + 1 })
  },
  'head/proof · a head of another log': () => {
    const story = paired()
    const note = forgedHead(story.cole, 5)
    return send(story, story.acme, story.bolt, { t: 'head/proof', size: 1, root: HASH, note, path: [] })
  },
  'head/proof · a path that proves nothing': () => {
    const story = paired()
    const { size } = seenBy(story, story.bolt)
    const note = forgedHead(story.acme, size + 1)
    return send(story, story.acme, story.bolt, { t: 'head/proof', size, root: HASH, note, path: [HASH] })
  },

  'gossip/head · without a signature of its log': () => {
    const story = paired()
    const { body } = parseNote(text(forgedHead(story.acme, 5)))
    const note = utf8(formatNote({ body, lines: parseNote(text(forgedHead(story.cole, 5))).lines }))
    return send(story, story.cole, story.bolt, { t: 'gossip/head', note })
  },
  'identity/known · of a third, with a head by none of its keys': () => {
    const story = paired()
    const { acme, cole } = story
    const env = { ...acme.env, keys: { ...acme.env.keys, log: cole.env.keys.log } }
    const note = forgedHead({ ...acme, env } as unknown as Member, 5)
    return send(story, cole, story.bolt, { t: 'identity/known', of: acme.env.self.id, events: [], note })
  },
  'gossip/fork · a proof that convicts nobody': () => {
    const story = paired()
    const { bolt, cole } = story
    fork(story, bolt)
    const [proof] = forksKnown(bolt.env)
    return send(story, bolt, cole, { t: 'gossip/fork', proof: spoilt(proof!) })
  },
  'gossip/fork · a proof of another version': () => {
    const story = paired()
    return send(story, story.bolt, story.cole, { t: 'gossip/fork', proof: encode({ t: 'fork/2' }) })
  },

  'committee/ask · no record': () => {
    const story = paired()
    return send(story, story.acme, story.cole, { t: 'committee/ask', committee: ID, identities: [] })
  },
  'committee/ask · for the log of another': () => {
    const story = paired()
    const { now } = seating(story)
    return send(story, story.bolt, story.cole, { t: 'committee/ask', committee: now!, identities: [] })
  },
  'committee/signed · signed by another key': () =>
    altered(
      new Story(),
      'committee/signed',
      acmeOf,
      ({ committee }, { bolt }) => ({ committee: resign(committee, {}, ['seat', bolt.env.keys.witness]) }),
      each => each.pair(),
    ),
  'committee/ask · another first committee than was pinned': () => {
    const story = paired()
    const { acme, cole } = story
    acme.input({ type: 'connected', org: cole.org })
    story.world.run(10)
    const payload = { ...decodeSigned(seating(story).now!).p, made: 1 }
    const other = encodeSigned({ p: payload, s: [] })
    // As after a store of Cole's that was put back to before it sat.
    cole.store.delete(KEY.seat(acme.org))
    return send(story, acme, cole, { t: 'committee/ask', committee: other, identities: [] })
  },
  'committee/ask · of a member whose store was put back': () => {
    const story = paired()
    putBack(story)
    const committee = seating(story).now!
    return send(story, story.acme, story.cole, { t: 'committee/ask', committee, identities: [] })
  },
  'committee/ask · of a member whose witness key has expired': () => {
    const story = paired()
    const committee = seating(story).now!
    expireOf(story)
    return send(story, story.acme, story.cole, { t: 'committee/ask', committee, identities: [] })
  },
  'committee/signed · by a witness key that has expired': () =>
    altered(
      new Story(),
      'committee/signed',
      acmeOf,
      ({ committee }, story) => {
        expireOf(story)
        return { committee }
      },
      each => each.pair(),
    ),

  'log/register · no record': () => registers(() => ({ genesis: ID })),
  'log/register · of another log': () => {
    const story = paired()
    return send(story, story.bolt, story.cole, beginningOf(story))
  },
  'log/register · signed by another': () =>
    registers(({ genesis }, { bolt }) => ({ genesis: resign(genesis, {}, ['admin', bolt.key('admin')]) })),
  'log/register · an entry that does not commit to it': () => registers(() => ({ salt: HASH })),
  'log/register · another entry 0 than is registered': () =>
    registers(({ entry, salt }) => ({ entry: openedLater(entry), salt })),
  'log/register · one log too many': () => {
    const story = paired()
    for (let i = 0; i < MAX_LOGS; i++) {
      story.acme.succeed()
      story.world.run(120_000)
    }
    return send(story, story.acme, story.cole, beginningOf(story))
  },
  'log/register · of a log that is closed': () => {
    const story = paired()
    fork(story, story.cole)
    return send(story, story.acme, story.cole, beginningOf(story))
  },
  'log/registered · by who was asked nothing': () => {
    const story = paired()
    const log = story.acme.chain.logs[0]!
    return send(story, story.bolt, story.acme, { t: 'log/registered', log, size: 1, root: HASH })
  },
  'log/refused · by who was asked nothing': () => {
    const story = paired()
    const log = story.acme.chain.logs[0]!
    return send(story, story.bolt, story.acme, { t: 'log/refused', log, refusal: { code: 'X', text: 'x' } })
  },

  'promise/ask · of a log that is not registered': () =>
    promised((committee, size, { acme, cole }) => {
      cole.store.delete(KEY.cosigned(acme.org))
      return { committee, old: 0, size, path: [] }
    }),
  'promise/ask · under a committee that is not known': () =>
    promised((_, size) => ({ committee: cidOf(ID, 'dag-cbor'), old: size, size: size + 1, path: [HASH] })),
  'promise/ask · old greater than the head': () =>
    promised((committee, size) => ({ committee, old: size + 2, size: size + 1, path: [] })),
  'promise/ask · old that is not what is held': () =>
    promised((committee, size) => ({ committee, old: size - 1, size: size + 1, path: [HASH] })),
  'promise/ask · a proof that does not hold': () =>
    promised((committee, size) => ({ committee, old: size, size: size + 1, path: [HASH] })),
  'promise/ask · of a log that is closed': () =>
    promised((committee, size, story) => {
      fork(story, story.cole)
      return { committee, old: size, size: size + 1, path: [HASH] }
    }),
  'promise/ask · of a member whose store was put back': () =>
    promised((committee, size, story) => {
      putBack(story)
      return { committee, old: size, size: size + 1, path: [HASH] }
    }),
  'promise/ask · by a log key that has expired': () =>
    promised((committee, size, { world }) => {
      world.wallMs += DELEGATION_MS
      return { committee, old: size, size: size + 1, path: [HASH] }
    }),
  'promise/ask · of a member whose witness key has expired': () =>
    promised((committee, size, story) => {
      expireOf(story)
      return { committee, old: size, size: size + 1, path: [HASH] }
    }),

  'witness/add · of a log that is not registered': () =>
    added(({ acme, cole }, { note }) => {
      cole.store.delete(KEY.cosigned(acme.org))
      return { old: 0, note, path: [] }
    }),
  'witness/add · signed by another key': () =>
    added(({ cole }) => ({ old: 0, note: forgedHead(cole, 9), path: [] })),
  'witness/add · old greater than the head': () =>
    added((_, { size, note }) => ({ old: size + 1, note, path: [] })),
  'witness/add · old that is not what is held': () => added((_, { note }) => ({ old: 0, note, path: [] })),
  'witness/add · a proof that does not hold': () =>
    added(({ acme }, { size }) => ({ old: size, note: forgedHead(acme, size + 1), path: [HASH] })),
  'witness/add · of a log that is closed': () => {
    const story = paired()
    const { acme, cole } = story
    const { size, note } = newestOf(story)
    fork(story, cole)
    return send(story, acme, cole, { t: 'witness/add', old: size, note, path: [] })
  },
  'witness/add · to a witness whose store was put back': () => {
    const story = paired()
    putBack(story)
    const { size, note } = newestOf(story)
    return send(story, story.acme, story.cole, { t: 'witness/add', old: size, note, path: [] })
  },
  'witness/add · by a log key that has expired': () =>
    added(({ world }, { size, note }) => {
      world.wallMs += DELEGATION_MS
      return { old: size, note, path: [] }
    }),
  'witness/add · to a witness whose key has expired': () =>
    added((story, { size, note }) => {
      expireOf(story)
      return { old: size, note: signedAnew(note, story.acme), path: [] }
    }),
  'witness/add · while the clock of the witness is behind': () => {
    const story = paired()
    story.cole.skewMs = -DAY_MS
    const { size, note } = newestOf(story)
    return send(story, story.acme, story.cole, { t: 'witness/add', old: size, note, path: [] })
  },
  'witness/cosigned · a line that does not verify': () =>
    altered(
      new Story(),
      'witness/cosigned',
      acmeOf,
      ({ line }) => ({ line: line.with(line.length - 9, line.at(-9)! ^ 1) }),
      each => each.pair(),
    ),
  'witness/cosigned · by who was sent no head': () => {
    const story = paired()
    return send(story, story.bolt, story.acme, { t: 'witness/cosigned', size: 5, line: HASH })
  },
  'witness/refused · by who was sent no head': () => {
    const story = paired()
    return send(story, story.bolt, story.acme, { t: 'witness/refused', size: 5, status: 409, text: 'x' })
  },

  'mirror/head · a head of another log': () => {
    const story = mirrored().pair()
    return send(story, story.acme, story.bolt, { t: 'mirror/head', note: forgedHead(story.cole, 5) })
  },
  'mirror/head · more entries than are kept': () => {
    const story = mirrored().pair()
    return send(story, story.acme, story.bolt, {
      t: 'mirror/head',
      note: forgedHead(story.acme, MAX_MIRRORED + 1),
    })
  },
  'mirror/ask · by who is no mirror': () => {
    const story = mirrored().pair()
    return send(story, story.cole, story.acme, { t: 'mirror/ask', log: story.acme.env.self.id, from: 0 })
  },
  'mirror/entries · a head of another log': () => {
    const story = mirrored().pair()
    const about = { log: story.acme.env.self.id, from: 0, entries: [], path: [] }
    return send(story, story.acme, story.bolt, {
      t: 'mirror/entries',
      ...about,
      note: forgedHead(story.cole, 5),
    })
  },
  'mirror/entries · an entry that was changed': () =>
    altered(
      mirrored(),
      'mirror/entries',
      boltOf,
      ({ entries }) => ({ entries: entries.with(0, entries[0]!.with(10, entries[0]![10]! ^ 1)) }),
      each => each.pair(),
    ),
  'mirror/entries · an entry left out': () =>
    altered(
      mirrored(),
      'mirror/entries',
      boltOf,
      ({ entries }) => ({ entries: entries.slice(1) }),
      each => each.pair(),
    ),

  'proof/reply · a head of another log': () => {
    const story = paired()
    const reply = {
      id: ID,
      note: forgedHead(story.cole, 5),
      entries: [],
      witnesses: [],
      events: [],
      states: [],
      pending: false,
    }
    return send(story, story.acme, story.bolt, { ...reply, t: 'proof/reply' })
  },
}

/** The proof with one bit of a head's signature changed. */
const spoilt = (proof: Uint8Array): Uint8Array => {
  const at = Buffer.from(proof).lastIndexOf('— ') + 120
  return proof.with(at, proof[at] === 65 ? 66 : 65)
}
