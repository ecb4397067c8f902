import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import * as assert from 'uvu/assert'
import { toHex, utf8 } from '../../crypto/bytes.ts'
import { keyFromSeed } from '../../crypto/key.ts'
import {
  ED25519_NOTE,
  formatLine,
  formatNote,
  formatVerifierKey,
  MAX_NOTE_LINES,
  noteKeyId,
  parseLines,
  parseNote,
  parseVerifierKey,
  signNote,
  verifyNote,
} from '../../crypto/note.ts'
import { SHARED, suite, throwsCode } from '../harness.ts'

const test = suite('crypto/note')
const EXAMPLES = join(SHARED, 'vectors', 'c2sp-tlog-examples', 'examples.json')
const key = keyFromSeed(new Uint8Array(32).fill(3))
const other = keyFromSeed(new Uint8Array(32).fill(4))
const body = 'waybill.log/x\n7\nAAAA\n'
const line = signNote(body, 'waybill.log/x', key)
const note = formatNote({ body, lines: [line] })

test('a note comes back and verifies', () => {
  assert.equal(parseNote(note), { body, lines: [line] })
  assert.is(note, `${body}\n${formatLine(line)}`)
  assert.ok(verifyNote(body, line, 'waybill.log/x', key.public))
  const inner = 'a\n\nb\n\n— no signature\n'
  assert.is(parseNote(formatNote({ body: inner, lines: [line] })).body, inner, 'the last empty line counts')
  const empty = formatNote({ body: '\n', lines: [line] })
  assert.is(parseNote(empty).body, '\n')
})

test('a line holds for its body, name and key alone', () => {
  const name = 'waybill.log/x'
  assert.not(verifyNote(`${body}\n`, line, name, key.public))
  assert.not(verifyNote(body, line, 'waybill.log/y', key.public))
  assert.not(verifyNote(body, { ...line, name: 'waybill.log/y' }, 'waybill.log/y', key.public))
  assert.not(verifyNote(body, line, name, other.public))
  assert.not(verifyNote(body, { ...line, keyId: noteKeyId(name, 1, other.public) }, name, key.public))
  assert.not(verifyNote(body, { ...line, keyId: noteKeyId(name, 4, key.public) }, name, key.public))
  assert.not(verifyNote(body, { ...line, signature: line.signature.slice(1) }, name, key.public))
  assert.not(verifyNote('\ud800\n', line, name, key.public))
})

test('malformed notes are refused by name', () => {
  const blob = formatLine(line).trimEnd().split(' ')[2]!
  const at = (text: string) => `${body}\n${text}`
  const rows: [string, string][] = [
    ['empty', ''],
    ['no signatures', body],
    ['no signature lines', `${body}\n`],
    ['no newline at the end', note.slice(0, -1)],
    ['text after the lines', `${note}x`],
    ['empty line after the lines', `${note}\n`],
    ['carriage return', note.replaceAll('\n', '\r\n')],
    ['tab', note.replace('7', '\t7')],
    ['zero byte', note.replace('7', '\0')],
    ['lone surrogate', note.replace('7', '\ud800')],
    ['lone surrogate in a line', note.replace('— ', '— \udc00')],
    ['hyphen for the dash', note.replace('—', '-')],
    ['no space', at(`— x${blob}\n`)],
    ['no name', at(`—  ${blob}\n`)],
    ['plus in the name', at(`— a+b ${blob}\n`)],
    ['space in the name', at(`— a\u00a0b ${blob}\n`)],
    ['line separator in the name', at(`— a\u2028b ${blob}\n`)],
    ['control character in the name', at(`— a\u0001b ${blob}\n`)],
    ['word more', at(`— x ${blob} y\n`)],
    ['no base64', at('— x !!!!\n')],
    ['base64 without padding', at(`— x ${blob.replace(/=+$/, '')}\n`)],
    ['key id alone', at('— x AAAAAA==\n')],
    ['too many lines', at(formatLine(line).repeat(MAX_NOTE_LINES + 1))],
    ['too long', at(formatLine(line)).padStart(65_537, 'x')],
    ['too long in UTF-8', at(formatLine(line)).padStart(30_000, '水')],
  ]
  for (const [why, text] of rows) throwsCode(() => parseNote(text), 'NOTE_MALFORMED', why)
  assert.is(parseNote(at(formatLine(line).repeat(MAX_NOTE_LINES))).lines.length, MAX_NOTE_LINES)
  throwsCode(() => parseLines(''), 'NOTE_MALFORMED')
  throwsCode(() => formatNote({ body, lines: [] }), 'NOTE_MALFORMED')
  throwsCode(() => formatNote({ body: 'x', lines: [line] }), 'NOTE_MALFORMED')
  throwsCode(() => signNote('x', 'a', key), 'NOTE_MALFORMED')
  throwsCode(() => signNote(body, 'a b', key), 'NOTE_MALFORMED')
})

test('whatever parses is what would be written; the rest is a CryptoError', () => {
  const check = (text: string) => {
    try {
      assert.is(formatNote(parseNote(text)), text)
    } catch (error) {
      assert.is((error as { code?: string }).code, 'NOTE_MALFORMED')
    }
  }
  fc.assert(fc.property(fc.string({ unit: fc.constantFrom('\n', '— ', 'a', ' ', 'AAAAAAAA', '+') }), check))
  fc.assert(
    fc.property(fc.nat(note.length - 1), fc.string(), (i, s) =>
      check(note.slice(0, i) + s + note.slice(i + 1)),
    ),
  )
})

test('verifier keys come back, and a wrong one is refused', () => {
  const vkey = formatVerifierKey({ name: 'acme', type: ED25519_NOTE, publicKey: key.public })
  assert.equal(parseVerifierKey(vkey), { name: 'acme', type: ED25519_NOTE, publicKey: key.public })
  const [name, id, base64] = vkey.split(/\+(.{8})\+/)
  const rows: [string, string][] = [
    ['empty', ''],
    ['no key', `${name}+${id}`],
    ['other name', vkey.replace('acme', 'bolt')],
    ['space in name', vkey.replace('acme', 'a b')],
    ['no name', vkey.slice(4)],
    ['upper-case id', `${name}+${id!.toUpperCase()}A+${base64}`],
    ['id of another', `${name}+${toHex(noteKeyId('acme', 1, other.public))}+${base64}`],
    ['no base64', `${name}+${id}+!!!!`],
    ['type alone', `${name}+${id}+AQ==`],
    ['short key', `${name}+${id}+${base64!.slice(0, 40)}`],
    ['trailing newline', `${vkey}\n`],
  ]
  for (const [why, text] of rows) throwsCode(() => parseVerifierKey(text), 'NOTE_MALFORMED', why)
})

if (existsSync(EXAMPLES))
  test('published signed notes', () => {
    const examples = JSON.parse(readFileSync(EXAMPLES, 'utf8'))['signed-note']
    for (const { vkey, text, sigLine, valid } of examples) {
      const { name, type, publicKey } = parseVerifierKey(vkey)
      assert.is(type, ED25519_NOTE)
      assert.is(formatVerifierKey({ name, type, publicKey }), vkey)
      const { body, lines } = parseNote(`${text}\n${sigLine}\n`)
      assert.is(body, text)
      assert.is(verifyNote(body, lines[0]!, name, publicKey), valid)
      assert.not(verifyNote(`${body}x\n`, lines[0]!, name, publicKey))
    }
    console.log(`c2sp signed notes: ${examples.length}`)
  })
else test.skip('published signed notes', `no ${EXAMPLES}`)

test('the note text is UTF-8 with an em dash', () => {
  assert.ok(toHex(utf8(note)).includes('0a0ae2809420'))
})

test.run()
