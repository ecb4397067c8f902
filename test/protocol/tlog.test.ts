import * as assert from 'uvu/assert'
import { toBase64, utf8 } from '../../crypto/bytes.ts'
import { formatCheckpoint, verifyCosignature } from '../../crypto/checkpoint.ts'
import { keyFromSeed, type PrivateKey } from '../../crypto/key.ts'
import { consistencyPath, EMPTY_ROOT, leafHash, treeRoot } from '../../crypto/merkle.ts'
import {
  ED25519_COSIGNATURE,
  ED25519_NOTE,
  formatNote,
  formatVerifierKey,
  parseLines,
  parseNote,
  signNote,
} from '../../crypto/note.ts'
import { cosignerName, keyOf } from '../../protocol/identity.ts'
import { KEY } from '../../protocol/layout.ts'
import { MAX_LOG_KEYS } from '../../protocol/limits.ts'
import { originHash } from '../../protocol/log.ts'
import type { Reply } from '../../protocol/tlog.ts'
import { suite, throwsCode } from '../harness.ts'
import { type Member, World } from './world.ts'

const test = suite('protocol/tlog')
const ORIGIN = 'example.com/log'
const key = keyFromSeed(new Uint8Array(32).fill(9))
const second = keyFromSeed(new Uint8Array(32).fill(10))
const vkeyOf = (k: PrivateKey, name = ORIGIN, type = ED25519_NOTE) =>
  formatVerifierKey({ name, type, publicKey: k.public })
const leaves = Array.from({ length: 20 }, (_, i) => leafHash(utf8(`leaf ${i}`)))
const rootOfSize = (size: number) => (size === 0 ? EMPTY_ROOT : treeRoot(leaves.slice(0, size)))

function checkpoint(size: number, { root = rootOfSize(size), by = key, extra = '' } = {}): string {
  const body = formatCheckpoint({ origin: ORIGIN, size, root }) + extra
  return formatNote({ body, lines: [signNote(body, ORIGIN, by)] })
}
const proof = (old: number, size: number) =>
  old === 0 || old === size
    ? []
    : consistencyPath(old, size, (level, index) =>
        treeRoot(leaves.slice(index * 2 ** level, (index + 1) * 2 ** level)),
      )
const request = (old: number, note: string, path: Uint8Array[] = []) =>
  `old ${old}\n${path.map(hash => `${toBase64(hash)}\n`).join('')}\n${note}`

/** A witness that has entered the log. */
function witness(): { cole: Member; add: (text: string) => Reply; latest: () => Reply } {
  const world = new World()
  const cole = world.add('Cole Logistics')
  cole.input({ type: 'accept', origin: ORIGIN, key: vkeyOf(key) })
  const reply = (answer: unknown) => (answer as { reply: Reply }).reply
  return {
    cole,
    add: text => reply(cole.input({ type: 'checkpoint', body: utf8(text) })),
    latest: () => reply(cole.input({ type: 'latest', hash: originHash(ORIGIN) })),
  }
}

test('extensions are cosigned, with the time of now, and the newest is shown to monitors', () => {
  const { cole, add, latest } = witness()
  assert.is(latest().status, 404)
  for (const [old, size] of [
    [0, 0],
    [0, 3],
    [3, 3],
    [3, 8],
    [8, 9],
    [9, 20],
  ] as const) {
    const note = checkpoint(size)
    const { status, contentType, body } = add(request(old, note, proof(old, size)))
    assert.is(status, 200, `${old} to ${size}`)
    assert.match(contentType, /^text\/plain/)
    const [line] = parseLines(body)
    const name = cosignerName(cole.org)
    const valid = verifyCosignature(
      parseNote(note).body,
      line!,
      name,
      keyOf(cole.env.self.identity, 'witness'),
    )
    assert.is(valid?.timeS, Math.floor(cole.world.wallMs / 1000))
    cole.world.wallMs += 1_000
    if (size > old || size === 0) assert.is(latest().body, note + body)
  }
})

test('what does not extend the checkpoint held is refused with its number, and changes nothing', () => {
  const { add, latest } = witness()
  add(request(0, checkpoint(8)))
  const held = latest().body
  const path = proof(8, 9)
  const cases: [string, number, string][] = [
    ['a smaller one', 400, request(9, checkpoint(8))],
    ['another size', 409, request(7, checkpoint(9), proof(7, 9))],
    ['first contact again', 409, request(0, checkpoint(9))],
    ['the same size, another root', 422, request(8, checkpoint(8, { root: rootOfSize(9) }))],
    ['the same, with a proof', 422, request(8, checkpoint(8), path)],
    ['no proof', 422, request(8, checkpoint(9))],
    ['a proof cut', 422, request(8, checkpoint(9), path.slice(1))],
    ['a proof with more', 422, request(8, checkpoint(9), [...path, path[0]!])],
    ['another root', 422, request(8, checkpoint(9, { root: rootOfSize(10) }), path)],
    ["a stranger's key", 403, request(8, checkpoint(9, { by: second }), path)],
    ['another origin', 404, request(8, checkpoint(9).replaceAll(ORIGIN, 'example.com/other'), path)],
    ['a root that is not empty at size 0', 409, request(0, checkpoint(0, { root: rootOfSize(1) }))],
    ['no old size', 400, checkpoint(9)],
    ['a signed old size', 400, request(8, checkpoint(9), path).replace('old 8', 'old +8')],
    ['a short hash', 400, request(8, checkpoint(9), [path[0]!.slice(1)])],
    ['64 hashes', 400, request(8, checkpoint(9), Array(64).fill(path[0]))],
    ['no signature', 400, `old 8\n\n${parseNote(checkpoint(9)).body}\n`],
    ['nothing', 400, ''],
  ]
  for (const [why, status, text] of cases) {
    const reply = add(text)
    assert.is(reply.status, status, `${why}: ${reply.body}`)
    if (status === 409) assert.equal([reply.contentType, reply.body], ['text/x.tlog.size', '8\n'], why)
    assert.is(latest().body, held, why)
  }
  const broken = checkpoint(9).replace(
    / ([A-Za-z0-9+/=]{20})/,
    (_, head) => ` ${head.slice(0, 10)}AAAAAAAAAA`,
  )
  assert.is(add(request(8, broken, path)).status, 403, 'a known key that does not verify')
  assert.is(
    witness().add(request(0, checkpoint(0, { root: rootOfSize(1) }))).status,
    422,
    'the empty tree has one root',
  )
})

test('signatures of others are ignored, and extension lines are cosigned with the rest', () => {
  const { cole, add } = witness()
  const body = `${formatCheckpoint({ origin: ORIGIN, size: 1, root: rootOfSize(1) })}one more line\n`
  const lines = [signNote(body, 'example.com/else', second), signNote(body, ORIGIN, key)]
  const { status, body: line } = add(request(0, formatNote({ body, lines })))
  assert.is(status, 200)
  const name = cosignerName(cole.org)
  assert.ok(verifyCosignature(body, parseLines(line)[0]!, name, keyOf(cole.env.self.identity, 'witness')))
})

test('a log gets further keys and no other history; what is no log is not entered', () => {
  const { cole, add } = witness()
  const accept = (origin: string, vkey: string) => () => cole.input({ type: 'accept', origin, key: vkey })
  add(request(0, checkpoint(8)))
  accept(ORIGIN, vkeyOf(second))()
  accept(ORIGIN, vkeyOf(second))()
  assert.is(add(request(8, checkpoint(9, { by: second }), proof(8, 9))).status, 200)
  assert.is(add(request(9, checkpoint(10), proof(9, 10))).status, 200, 'the old key still counts')
  for (let i = 2; i < MAX_LOG_KEYS; i++)
    accept(ORIGIN, vkeyOf(keyFromSeed(new Uint8Array(32).fill(20 + i))))()
  const another = keyFromSeed(new Uint8Array(32).fill(30))
  for (const [code, act] of [
    ['QUOTA_EXCEEDED', accept(ORIGIN, vkeyOf(another))],
    ['KEY_INVALID', accept('x', 'not a key')],
    ['KEY_INVALID', accept('x', vkeyOf(key, 'x', ED25519_COSIGNATURE))],
    ['MALFORMED', accept('', vkeyOf(key))],
    ['MALFORMED', accept('two\nlines', vkeyOf(key))],
    ['MALFORMED', accept(`waybill.log/${cole.org}`, vkeyOf(key))],
  ] as const)
    throwsCode(act, code)
})

test('what anybody can send again costs no write, and a signature counts once', () => {
  const { cole, add, latest } = witness()
  const note = checkpoint(8)
  add(request(0, note))
  const held = cole.store.get(KEY.foreign(originHash(ORIGIN)))
  assert.is(add(request(8, note)).status, 200)
  assert.is(add(request(8, latest().body)).status, 200, 'with our own signature on it')
  assert.ok(cole.store.get(KEY.foreign(originHash(ORIGIN))) === held)
  const line = note.slice(note.indexOf('\n\n') + 2)
  for (const times of [2, 63, 64]) assert.is(add(request(8, note + line.repeat(times - 1))).status, 403)
  assert.is(add(request(8, note + line.repeat(64))).status, 400)
  const body = `${formatCheckpoint({ origin: ORIGIN, size: 9, root: rootOfSize(9) })}${'x'.repeat(5_000)}\n`
  const long = formatNote({ body, lines: [signNote(body, ORIGIN, key)] })
  assert.is(add(request(8, long, proof(8, 9))).status, 400)
})

test('a witness whose clock is behind does not date anything', () => {
  const { cole, add } = witness()
  add(request(0, checkpoint(1)))
  cole.skewMs = -10 * 60_000
  throwsCode(() => add(request(1, checkpoint(2), proof(1, 2))), 'CLOCK_BEHIND')
})

test.run()
