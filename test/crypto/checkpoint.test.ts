import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import * as assert from 'uvu/assert'
import { concat, toBase64, utf8 } from '../../crypto/bytes.ts'
import {
  cosign,
  formatCheckpoint,
  parseCheckpoint,
  parseForeignCheckpoint,
  verifyCosignature,
} from '../../crypto/checkpoint.ts'
import { keyFromSeed, sign } from '../../crypto/key.ts'
import { formatLine, formatNote, noteKeyId, parseNote, signNote } from '../../crypto/note.ts'
import { SHARED, suite, throwsCode } from '../harness.ts'

const test = suite('crypto/checkpoint')
const EXAMPLES = join(SHARED, 'vectors', 'c2sp-tlog-examples', 'examples.json')
const key = keyFromSeed(new Uint8Array(32).fill(5))
const root = new Uint8Array(32).fill(7)
const base64 = toBase64(root)
const body = formatCheckpoint({ origin: 'waybill.log/x', size: 20852163, root })

test('a checkpoint is three lines and comes back', () => {
  assert.is(body, `waybill.log/x\n20852163\n${base64}\n`)
  assert.equal(parseCheckpoint(body), { origin: 'waybill.log/x', size: 20852163, root })
  fc.assert(
    fc.property(fc.maxSafeNat(), fc.uint8Array({ minLength: 32, maxLength: 32 }), (size, root) => {
      const checkpoint = { origin: 'o', size, root }
      assert.equal(parseCheckpoint(formatCheckpoint(checkpoint)), checkpoint)
    }),
  )
})

test('malformed checkpoints are refused by name', () => {
  const rows: [string, string][] = [
    ['empty', ''],
    ['two lines', 'o\n1\n'],
    ['no last newline', `o\n1\n${base64}`],
    ['empty line after', `o\n1\n${base64}\n\n`],
    ['no origin', `\n1\n${base64}\n`],
    ['control character', `o\t\n1\n${base64}\n`],
    ['lone surrogate', `\ud800\n1\n${base64}\n`],
    ['no size', `o\n\n${base64}\n`],
    ['leading zero', `o\n01\n${base64}\n`],
    ['sign', `o\n+1\n${base64}\n`],
    ['negative', `o\n-1\n${base64}\n`],
    ['space', `o\n 1\n${base64}\n`],
    ['hex', `o\n0x1\n${base64}\n`],
    ['exponent', `o\n1e3\n${base64}\n`],
    ['2^53', `o\n9007199254740992\n${base64}\n`],
    ['long', `o\n${'9'.repeat(400)}\n${base64}\n`],
    ['carriage return', `o\n1\r\n${base64}\n`],
    ['short root', `o\n1\n${toBase64(root.slice(1))}\n`],
    ['root without padding', `o\n1\n${base64.slice(0, -1)}\n`],
    ['root with loose bits', `o\n1\n${base64.slice(0, -2)}d=\n`],
    ['root in base64url', `o\n1\n${base64.replaceAll('c', '-')}\n`],
  ]
  for (const [why, text] of rows) {
    throwsCode(() => parseCheckpoint(text), 'CHECKPOINT_MALFORMED', why)
    throwsCode(() => parseForeignCheckpoint(text), 'CHECKPOINT_MALFORMED', why)
  }
  throwsCode(() => formatCheckpoint({ origin: 'a\nb', size: 1, root }), 'CHECKPOINT_MALFORMED')
  throwsCode(() => formatCheckpoint({ origin: 'a', size: 1.5, root }), 'CHECKPOINT_MALFORMED')
  throwsCode(() => formatCheckpoint({ origin: 'a', size: 1, root: root.slice(1) }), 'CHECKPOINT_MALFORMED')
})

test('extension lines are refused in our logs and kept in foreign ones', () => {
  const extended = `${body}some data\nmore\n`
  throwsCode(() => parseCheckpoint(extended), 'CHECKPOINT_MALFORMED')
  assert.equal(parseForeignCheckpoint(extended).extensions, ['some data', 'more'])
  assert.equal(parseForeignCheckpoint(body).extensions, [])
  assert.ok(verifyCosignature(extended, cosign(extended, 1, 'w', key), 'w', key.public))
})

test('a cosignature dates a checkpoint, for its witness alone', () => {
  const line = cosign(body, 1679315147, 'bolt/1', key)
  assert.is(concat(line.keyId, line.signature).length, 76)
  assert.equal(verifyCosignature(body, line, 'bolt/1', key.public), { timeS: 1679315147 })
  const message = utf8(`cosignature/v1\ntime 1679315147\n${body}`)
  assert.equal(line.signature.subarray(8), sign(key, message))
  const note = formatNote({ body, lines: [signNote(body, 'waybill.log/x', key), line] })
  assert.equal(parseNote(note).lines[1], line)
  const dated = line.signature.slice()
  dated[7]! ^= 1
  const far = line.signature.slice().fill(0xff, 0, 8)
  const wrong: [string, Parameters<typeof verifyCosignature>][] = [
    ['other body', [body.replace('2', '3'), line, 'bolt/1', key.public]],
    ['other name', [body, line, 'bolt/2', key.public]],
    ['other key', [body, line, 'bolt/1', keyFromSeed(root).public]],
    ['other time', [body, { ...line, signature: dated }, 'bolt/1', key.public]],
    ['time past 2^53', [body, { ...line, signature: far }, 'bolt/1', key.public]],
    ['short', [body, { ...line, signature: line.signature.slice(0, 71) }, 'bolt/1', key.public]],
    ['plain note', [body, signNote(body, 'bolt/1', key), 'bolt/1', key.public]],
    [
      'key id of a note',
      [body, { ...line, keyId: noteKeyId('bolt/1', 1, key.public) }, 'bolt/1', key.public],
    ],
    ['no checkpoint', ['x\n', line, 'bolt/1', key.public]],
  ]
  for (const [why, args] of wrong) assert.is(verifyCosignature(...args), undefined, why)
  throwsCode(() => cosign('x\n', 1, 'w', key), 'CHECKPOINT_MALFORMED')
  assert.throws(() => cosign(body, -1, 'w', key))
})

if (existsSync(EXAMPLES))
  test('the published checkpoint and cosignature', () => {
    const { text, cosignedMessageFor, cosigLine } = Object.values<Record<string, never>>(
      JSON.parse(readFileSync(EXAMPLES, 'utf8')),
    )[1] as unknown as {
      text: string
      cosignedMessageFor: { timestamp: number; bytes: string }
      cosigLine: string
    }
    assert.is(formatCheckpoint(parseCheckpoint(text)), text)
    assert.is(parseCheckpoint(text).size, 20852163)
    const { lines } = parseNote(`${text}\n${cosigLine}\n`)
    const time = new DataView(lines[0]!.signature.buffer).getBigUint64(0)
    assert.is(Number(time), cosignedMessageFor.timestamp)
    assert.is(lines[0]!.signature.length, 72)
    assert.is(formatLine(lines[0]!), `${cosigLine}\n`)
    const ours = cosign(text, cosignedMessageFor.timestamp, 'w', key)
    assert.equal(ours.signature.subarray(8), sign(key, utf8(cosignedMessageFor.bytes)))
    console.log('c2sp checkpoint and cosignature: 1')
  })
else test.skip('the published checkpoint and cosignature', `no ${EXAMPLES}`)

test.run()
