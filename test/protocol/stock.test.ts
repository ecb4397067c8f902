import * as assert from 'uvu/assert'
import { text, utf8 } from '../../crypto/bytes.ts'
import { cosign } from '../../crypto/checkpoint.ts'
import { keyFromSeed } from '../../crypto/key.ts'
import {
  ED25519_COSIGNATURE,
  ED25519_NOTE,
  formatLine,
  formatVerifierKey,
  type Note,
  parseNote,
} from '../../crypto/note.ts'
import type { Event } from '../../protocol/event.ts'
import { newestHead } from '../../protocol/heads.ts'
import { cosignerName } from '../../protocol/identity.ts'
import { MAX_STOCK_WITNESSES, RESEND_MAX_MS } from '../../protocol/limits.ts'
import { stockWitnesses } from '../../protocol/stock.ts'
import { suite, throwsCode } from '../harness.ts'
import { type Member, World } from './world.ts'

const test = suite('protocol/stock')
const NAME = 'witness.example/w1'
const key = keyFromSeed(new Uint8Array(32).fill(7))
const vkeyOf = (name: string, type = ED25519_COSIGNATURE) =>
  formatVerifierKey({ name, type, publicKey: key.public })
const URL = 'https://witness.example'

type Post = Extract<Event, { type: 'ask-post' }>
const posts = (member: Member): Post[] => member.events.filter(event => event.type === 'ask-post')
const noteOf = ({ body }: Post): Note => parseNote(text(body).slice(text(body).indexOf('\n\n') + 2))
const oldOf = ({ body }: Post): number => Number(text(body).split('\n')[0]!.slice(4))
const sizeOf = (post: Post): number => Number(noteOf(post).body.split('\n')[1])

/** A participant with a signed head, that asks a witness over HTTP; what it posted. */
function asking() {
  const world = new World()
  const acme = world.add('Acme Steel')
  world.run()
  acme.input({ type: 'stock', url: URL, key: vkeyOf(NAME) })
  world.run(1)
  const answer = (status: number, body: string, contentType = 'text/plain') => {
    const { machine } = posts(acme).at(-1)!
    acme.input({ type: 'posted', machine, status, contentType, body: utf8(body) })
    world.run(1)
  }
  const line = (by = key, name = NAME) =>
    formatLine(cosign(noteOf(posts(acme).at(-1)!).body, 1_767_225_600, name, by))
  const state = () => stockWitnesses(acme.env)[0]!
  return { world, acme, answer, line, state }
}

test('a head is posted as it was signed, and the line that comes stands under it', () => {
  const { acme, answer, line, state } = asking()
  const [first] = posts(acme)
  assert.is(first!.url, `${URL}/add-checkpoint`)
  assert.is(oldOf(first!), 0)
  assert.is(noteOf(first!).lines.length, 1)
  answer(200, line())
  assert.is(state().size, sizeOf(first!))
  const names = parseNote(text(newestHead(acme.env.get)!.note)).lines.map(each => each.name)
  assert.ok(names.includes(NAME))
})

test('a witness that holds another size is asked from there, once at once and then by the timer', () => {
  const { world, acme, answer, state } = asking()
  answer(409, '1\n', 'text/x.tlog.size')
  assert.is(posts(acme).length, 2)
  assert.is(oldOf(posts(acme)[1]!), 1)
  answer(409, '0\n', 'text/x.tlog.size')
  assert.is(posts(acme).length, 2)
  assert.match(state().problem!, /size 0/)
  world.run(RESEND_MAX_MS)
  assert.is(oldOf(posts(acme)[2]!), 0)
})

test('a witness that says nonsense is asked again later, and its nonsense stands nowhere', () => {
  const wrong: [number, (line: (by?: typeof key, name?: string) => string) => string, RegExp][] = [
    [200, () => 'nonsense', /no cosignature/],
    [200, line => line(keyFromSeed(new Uint8Array(32).fill(8))), /no cosignature/],
    [200, line => line(key, 'other.example'), /no cosignature/],
    [200, () => '', /no cosignature/],
    [409, () => '99999\n', /^409: 99999/],
    [422, () => 'proof\u0000\u202e', /^422: proof/],
    [0, () => '', /no answer/],
  ]
  for (const [status, body, problem] of wrong) {
    const { world, acme, answer, line, state } = asking()
    const before = text(newestHead(acme.env.get)!.note)
    answer(status, body(line), 'text/x.tlog.size')
    assert.match(state().problem!, problem)
    assert.is(state().size, 0)
    assert.is(text(newestHead(acme.env.get)!.note), before)
    assert.is(posts(acme).length, 1)
    world.run(RESEND_MAX_MS)
    assert.is(posts(acme).length, 2, problem.source)
    answer(200, line())
    assert.is(state().problem, undefined)
  }
})

test('a successor is posted from its beginning, and what comes for the closed log stands nowhere', () => {
  const { world, acme, answer, line, state } = asking()
  answer(200, line())
  acme.input({ type: 'publish', title: 'x', domain: 'x', level: 'general', packets: [] })
  world.run(10_000)
  const [, late] = posts(acme)
  assert.ok(oldOf(late!) > 0)
  acme.succeed()
  assert.equal([state().size, state().held, state().sentSize], [0, 0, undefined])
  answer(200, line())
  assert.is(state().size, 0)
  world.run(10_000)
  const now = posts(acme).at(-1)!
  assert.not.equal(noteOf(now).body.split('\n')[0], noteOf(late!).body.split('\n')[0])
  assert.is(oldOf(now), 0)
  answer(200, line())
  assert.is(state().size, sizeOf(now))
})

test('one that was taken out is asked no more, and a late answer changes nothing', () => {
  const { world, acme, answer, line } = asking()
  const late = line()
  acme.input({ type: 'drop-stock', name: NAME })
  const before = text(newestHead(acme.env.get)!.note)
  answer(200, late)
  world.run(RESEND_MAX_MS)
  assert.is(text(newestHead(acme.env.get)!.note), before)
  assert.is(posts(acme).length, 1)
})

test('what cannot be a witness over HTTP is refused', () => {
  const { acme } = asking()
  const enter = (url: string, key: string) => () => acme.input({ type: 'stock', url, key })
  throwsCode(enter('ftp://witness.example', vkeyOf('b.example')), 'MALFORMED')
  throwsCode(enter('https://a:b@witness.example', vkeyOf('b.example')), 'MALFORMED')
  throwsCode(enter(URL, 'nonsense'), 'KEY_INVALID')
  throwsCode(enter(URL, vkeyOf('b.example', ED25519_NOTE)), 'KEY_INVALID')
  // A line under a member's name would be looked at as a member's.
  throwsCode(enter(URL, vkeyOf(cosignerName(acme.org))), 'KEY_INVALID')
  const other = formatVerifierKey({
    name: NAME,
    type: ED25519_COSIGNATURE,
    publicKey: keyFromSeed(new Uint8Array(32).fill(8)).public,
  })
  throwsCode(enter(URL, other), 'KEY_INVALID')
  for (let i = 1; i < MAX_STOCK_WITNESSES; i++) enter(URL, vkeyOf(`w${i}.example`))()
  throwsCode(enter(URL, vkeyOf('more.example')), 'QUOTA_EXCEEDED')
  throwsCode(() => acme.input({ type: 'drop-stock', name: 'nobody.example' }), 'NOT_FOUND')
})

test.run()
