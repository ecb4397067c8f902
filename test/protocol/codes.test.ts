/**
 * The table of protocol/README.md, section 14: what is forged, replayed, expired, by the wrong key or role, or out of order
 * gets the code that stands there. Every row has its case here, and every case its row.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { MESSAGES, type MessageType } from '../../protocol/message.ts'
import { suite } from '../harness.ts'
import type { Case } from './code-story.ts'
import { EXCHANGE_CASES } from './exchange-codes.ts'
import { LOG_CASES } from './log-codes.ts'
import { OWNERSHIP_CASES } from './ownership-codes.ts'

const test = suite('protocol/codes')

const CASES: Record<string, Case> = { ...EXCHANGE_CASES, ...LOG_CASES, ...OWNERSHIP_CASES }

/** Messages that hold nothing to forge, or whose wrong forms are all ignored: a repeat, or an answer nobody waits for. */
const NEVER = new Set<MessageType>([
  'error',
  'identity/ask',
  'transfer/terminate',
  'delivery/refused',
  'proof/request',
  'committee/refused',
  'promise/given',
  'promise/refused',
  'seat/refused',
  'seat/kept',
  'gossip/logs',
  'handover/decline',
  'handover/withdraw',
  'vote/refused',
  'owner/known',
  'owner/fresh',
])

// The table.

const spec = readFileSync(join(import.meta.dirname, '..', '..', 'protocol', 'README.md'), 'utf8')
const rows = [
  ...spec.matchAll(/^\| `([a-z]+(?:\/[a-z]+)?)` \| (.+) \| ([a-z ]+) \| (?:`([A-Z_]+)`|([0-9]{3})) \|$/gm),
].map(([, type, what, kind, code, status]) => ({
  name: `${type} · ${what}`,
  type: type!,
  kind: kind!,
  code: code ?? status!,
}))

test('every row has its case, every case its row, and every message rows', () => {
  assert.equal(
    rows.map(({ name }) => name).filter(name => !(name in CASES)),
    [],
    'rows without a case',
  )
  const named = new Set(rows.map(({ name }) => name))
  assert.equal(
    Object.keys(CASES).filter(name => !named.has(name)),
    [],
    'cases without a row',
  )
  assert.is(named.size, rows.length, 'each row once')
  const types = new Set(rows.map(({ type }) => type))
  const bare = (Object.keys(MESSAGES) as MessageType[]).filter(type => !types.has(type) && !NEVER.has(type))
  assert.equal(bare, [], 'messages without a row')
  const kinds = ['forged', 'replayed', 'expired', 'wrong key', 'wrong role', 'out of order', 'too much']
  for (const { kind, name } of rows) assert.ok(kinds.includes(kind), `${name}: ${kind}`)
  for (const kind of kinds)
    assert.ok(
      rows.some(each => each.kind === kind),
      kind,
    )
})

for (const { name, code } of rows) test(`${name}: ${code}`, () => assert.is(CASES[name]?.(), code))

test.run()
