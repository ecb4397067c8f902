/** The table of limits in the wire spec is that of the code: every bound, and no other. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import * as limits from '../../protocol/limits.ts'
import { suite } from '../harness.ts'

const test = suite('protocol/limits')
const spec = readFileSync(join(import.meta.dirname, '..', '..', 'protocol', 'README.md'), 'utf8')

const looked = new Set<string>()
/** The constants, and which of them a row names. */
const L = new Proxy(limits, {
  get: (all, name) => {
    looked.add(String(name))
    return all[name as keyof typeof limits]
  },
})
const n = (count: number) => count.toLocaleString('en-US')
const UNITS = [
  ['years', 365 * 86_400_000],
  ['days', 86_400_000],
  ['hour', 3_600_000],
  ['minutes', 60_000],
  ['s', 1_000],
  ['ms', 1],
] as const
/** A duration in the largest unit of which it is a whole number. */
const time = (ms: number) => {
  const [unit, length] = UNITS.find(([, each]) => ms % each === 0)!
  return `${ms / length} ${unit}`
}
const count = (ms: number) => time(ms).split(' ')[0]
const MIB = 2 ** 20

/** As the table has them; a bound that is no constant of `limits.ts` stands as it is. */
const rows: [what: string, bound: string][] = [
  [
    'signed record; entry; message; hello',
    `${n(L.MAX_RECORD_BYTES)}; ${n(L.MAX_ENTRY_BYTES)}; ${n(L.MAX_MESSAGE_BYTES)}; ${n(L.MAX_HELLO_BYTES)} bytes`,
  ],
  ['identity event; events of an identity', `${n(L.MAX_EVENT_BYTES)} bytes; ${L.MAX_IDENTITY_EVENTS}`],
  ['signatures of a record', '64'],
  ['names and titles; code words', `${L.MAX_NAME_LENGTH}; ${L.MAX_WORD_LENGTH} UTF-16 units`],
  ['permissions, prohibitions, constraints of a rule', `${L.MAX_CLAUSES} each`],
  ['owners of an asset', `${L.MAX_OWNERS}`],
  [
    "seats of an asset's committee; registrations of one owner with it",
    `${L.MAX_SEATS}; ${n(L.MAX_REGISTRATIONS)}`,
  ],
  ['seats that one partner gets of a node; assets that it tells of', `${L.MAX_SITTINGS}; ${n(L.MAX_TITLES)}`],
  [
    'certified steps in a message; identities in it; a certificate',
    `${L.MAX_LINKS}; ${L.MAX_SHOWN}; ${n(L.MAX_CERTIFICATE_BYTES)} bytes`,
  ],
  [
    'a certificate is told at most so often; a buyer asks for votes itself after; a count of votes is logged after',
    `${L.MAX_TOLD}; ${time(L.BUYER_ASKS_MS)}; ${time(L.COUNT_BEAT_MS)}`,
  ],
  [
    'audience of an offer; reasons; parents of a packet',
    `${L.MAX_AUDIENCE}; ${L.MAX_REASONS}; ${L.MAX_PARENTS}`,
  ],
  [
    'room that an offer leaves to its agreement; that a first signature leaves to the second',
    `${n(L.AGREEMENT_ROOM_BYTES)}; ${L.SIGNATURE_ROOM_BYTES} bytes`,
  ],
  ['hashes of a path in a message or file', `${L.MAX_PATH} (a proof that can hold has at most 54)`],
  ['addresses; witnesses in a hello; versions', `${L.MAX_ADDRESSES}; ${L.MAX_WITNESSES}; 16`],
  [
    'fork proof; of them told at a connect; heads of others in a round of gossip; logs in a message',
    `${n(L.MAX_FORK_BYTES)} bytes; ${L.MAX_FORKS_TOLD}; ${L.MAX_RUMOURS}; ${n(L.MAX_LOGS_TOLD)}`,
  ],
  ['note on the wire; signature lines of a note', `${n(L.MAX_NOTE_BYTES)} bytes; 64`],
  ['items of a page; bytes of a page', `${L.MAX_PAGE}; ${n(L.PAGE_BYTES)}`],
  ['records of a proof request', `${L.MAX_PROOFS}`],
  ['logs of one organisation that a partner registers', `${L.MAX_LOGS}`],
  [
    'logs of other kinds; keys of each; a checkpoint of one; a request to cosign; lines of its proof',
    `${n(L.MAX_FOREIGN_LOGS)}; ${L.MAX_LOG_KEYS}; ${n(L.MAX_CHECKPOINT_BYTES)}; ${n(L.MAX_CHECKPOINT_REQUEST_BYTES)} bytes; ${L.MAX_PROOF_LINES}`,
  ],
  ['witnesses over HTTP that the own log is posted to', `${L.MAX_STOCK_WITNESSES}`],
  ['blocks of a packet; header of a root', `${n(L.MAX_BLOCKS)}; ${L.MAX_ROOT_BYTES} bytes`],
  ['size of a block', L.BLOCK_SIZES.map(n).join(', ')],
  [
    'evidence file; entries; witnesses; identity events; staples; renewals; committees',
    `${L.MAX_EVIDENCE_BYTES / MIB} MiB; ${L.MAX_EVIDENCE_ENTRIES}; ${L.MAX_EVIDENCE_WITNESSES}; ${L.MAX_EVIDENCE_EVENTS}; 2; 2; ${2 * L.MAX_SHOWN_COMMITTEES}`,
  ],
  ['committees in a message; bytes of them', `${L.MAX_SHOWN_COMMITTEES}; ${n(L.MAX_TOLD_COMMITTEES_BYTES)}`],
  ['logs that one renewal leads through', `${L.MAX_SUCCESSORS}`],
  ["proofs are renewed before a cosigner's key ends", time(L.RENEW_BEFORE_MS)],
  [
    "a staple's head before its signature; a record after its staple, to be covered by it",
    `${count(L.FRESH_MS)}; ${time(L.STAPLE_MS)}`,
  ],
  ['identity events in a reply with proofs', `${n(L.MAX_TOLD_EVENTS_BYTES)} bytes`],
  [
    'redactions kept of a partner; told at once',
    `${L.MAX_REDACTIONS_BYTES / MIB} MiB; ${L.MAX_TOLD_REDACTIONS}`,
  ],
  ['mirrors of a log; entries that are mirrored of one', `${L.MAX_MIRRORS}; ${n(L.MAX_MIRRORED)}`],
  ['delegated keys live', time(L.DELEGATION_MS)],
  ['second signature due; request waits for a person', `${time(L.SIGN_BY_MS)}; ${time(L.REQUEST_MS)}`],
  ['a "not revoked" may be old, unless an offer says otherwise', `${L.MAX_STALE_MS / 3_600_000} hours`],
  [
    "clock may lag; trust file's skew by default; the highest time seen is stored at most every",
    `${time(L.CLOCK_SKEW_MS)} each; ${time(L.CLOCK_STORE_MS)}`,
  ],
  ['resend', `${time(L.RESEND_MS)}, doubled to ${time(L.RESEND_MAX_MS)}`],
  [
    'promises that a member keeps beyond what it cosigned; committees of one log that these may be under beside the one in use',
    `${L.MAX_PROMISES}; ${L.MAX_COMMITTEES}`,
  ],
  [
    'head after the first entry it covers; after the last one, on demand of the own home, of a partner',
    `${L.HEAD_BEAT_MS / 2_000} to ${time(1.5 * L.HEAD_BEAT_MS)}; ${time(L.HEAD_DELAY_MS)}, ${time(L.HEAD_DEMAND_MS)}`,
  ],
  ['size of a head; entries read back at once for one', `a multiple of ${L.PAD_ENTRIES}; ${n(L.MAX_LEAVES)}`],
  ['a newer head is shown to partners every', `${time(L.GOSSIP_MS)}, give or take a quarter`],
  ['words of seats say who owns an asset for', `${L.OWNER_FRESH_MS / 3_600_000} h`],
  ['seats that were not asked at first are asked after', time(L.OTHERS_ASKED_MS)],
  ['identities of all seats as they took them', `${n(L.MAX_SEATS_BYTES)} bytes`],
]
/** Not a bound: the words of section 4.3. */
const ELSEWHERE = ['CLASSIFICATION_LEVELS']

test('each row says what the code does', () => {
  const section = spec.slice(spec.indexOf('\n## 13 Limits'), spec.indexOf('\n## 14 '))
  const told = [...section.matchAll(/^\| (.+) \| (.+) \|$/gm)].map(([, what, bound]) => [what, bound])
  assert.equal(Object.fromEntries(told.slice(2)), Object.fromEntries(rows))
})

test('each bound of the code has its row', () => {
  const missing = Object.keys(limits).filter(name => !looked.has(name) && !ELSEWHERE.includes(name))
  assert.equal(missing, [])
})

test.run()
