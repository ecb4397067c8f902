/** The wire spec names what the code has: messages and their fields, records and theirs, codes, tags, steps. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { toHex } from '../../crypto/bytes.ts'
import { agreement, offer, withdraw } from '../../protocol/agreement.ts'
import { asset, packet } from '../../protocol/asset.ts'
import { committee } from '../../protocol/committee-record.ts'
import { PARTS } from '../../protocol/evidence.ts'
import { identityGenesis } from '../../protocol/identity.ts'
import { delegate, rotate } from '../../protocol/identity-chain.ts'
import { logGenesis } from '../../protocol/log-genesis.ts'
import { HELLO, MESSAGES } from '../../protocol/message.ts'
import { ACTIONS, OPERANDS, PROFILE_CODES } from '../../protocol/policy.ts'
import { opened, received, rejected, release } from '../../protocol/receipt.ts'
import { suite } from '../harness.ts'
import { check, story } from './evidence-story.ts'

const test = suite('protocol/README.md')
const ROOT = join(import.meta.dirname, '..', '..')
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8')
const spec = read('protocol/README.md')
const names = (what: string, words: Iterable<string>) => {
  for (const word of words) assert.ok(spec.includes(word), `${what}: ${word}`)
}

test('records and their fields', () => {
  const types = [
    identityGenesis,
    rotate,
    delegate,
    logGenesis,
    committee,
    asset,
    packet,
    offer,
    agreement,
    withdraw,
    received,
    release,
    opened,
    rejected,
  ]
  for (const { t, shape, signers } of types) {
    names('record', [t])
    const { fields } = shape as unknown as { fields: object }
    for (const word of [...Object.keys(fields), ...Object.keys(signers)])
      assert.ok(new RegExp(`[\`"]${word}[\`"]`).test(spec), `${t}: ${word}`)
  }
})

test('messages and their fields', () => {
  for (const [t, { fields }] of Object.entries({ ...MESSAGES, ...HELLO })) {
    const [dialogue, name] = t.split('/')
    assert.ok(spec.includes(t) || (spec.includes(`\`${dialogue}/…\``) && spec.includes(`-- ${name} `)), t)
    for (const field of Object.keys(fields))
      assert.ok(new RegExp(`\\b${field}\\b`).test(spec), `${t}: ${field}`)
  }
})

test('codes, tags, words of policies', () => {
  const codes = [...read('protocol/error.ts').matchAll(/^ {2}\| '([A-Z_]+)'$/gm)].map(match => match[1]!)
  assert.ok(codes.length > 25)
  names(
    'code',
    codes.map(code => `\`${code}\``),
  )
  const tags = [...read('crypto/domain.ts').matchAll(/= tag\('([a-z-]+)'\)$/gm)].map(match => match[1]!)
  assert.ok(tags.length > 8)
  names(
    'tag',
    tags.map(tag => `waybill/v1/${tag}`),
  )
  names(
    'action',
    Object.keys(ACTIONS).map(action => `\`${action}\``),
  )
  names(
    'operand',
    Object.entries(OPERANDS)
      .flat(2)
      .map(word => `\`${word}\``),
  )
  names('digest', [toHex(PROFILE_CODES)])
})

test('parts and steps of evidence', () => {
  names(
    'part',
    PARTS.map(part => `\`${part}\``),
  )
  const told = story()
  for (const { id } of check(told.bytes, told).steps) {
    const word = id.replace(
      /^(provider|consumer) (entry|head|position|staple|committee|keys|key state).*$/,
      '… $2',
    )
    assert.ok(spec.includes(`\`${word}`), id)
  }
})

test('headings that are linked to', () => {
  const anchors = [...spec.matchAll(/^#+ (.*)$/gm)].map(match =>
    match[1]!
      .toLowerCase()
      .replace(/ /g, '-')
      .replace(/[^a-z0-9-]/g, ''),
  )
  for (const [, anchor] of spec.matchAll(/\]\(#([^)]+)\)/g)) assert.ok(anchors.includes(anchor!), anchor)
})

test.run()
