/**
 * Stock witnesses of the own log: any C2SP tlog-witness over HTTP that the operator names. They cosign what was signed
 * already and never count toward a quorum (RULES D1): they add clocks and observers that no partner controls.
 *
 *     log's owner                                   witness
 *                -- POST add-checkpoint -->         old size, proof, head
 *                <-- 200 cosignature line --        kept with the head
 *                <-- 409 size --                    asked again from there
 */
import { equal, text, toBase64, utf8 } from '../crypto/bytes.ts'
import { decode, encode, type Value } from '../crypto/cbor.ts'
import { verifyCosignature } from '../crypto/checkpoint.ts'
import { parseCid } from '../crypto/cid.ts'
import { CryptoError } from '../crypto/error.ts'
import { goodPublicKey } from '../crypto/key.ts'
import {
  ED25519_COSIGNATURE,
  formatNote,
  type NoteLine,
  parseLines,
  parseNote,
  parseVerifierKey,
  type VerifierKey,
} from '../crypto/note.ts'
import { ProtocolError } from './error.ts'
import { publicHead } from './heads.ts'
import { KEY } from './layout.ts'
import { type Ledger, proveExtension } from './ledger.ts'
import { MAX_NAME_LENGTH, MAX_STOCK_WITNESSES } from './limits.ts'
import { originHash } from './log.ts'
import { type Context, resendAt, sentence } from './machine.ts'
import { join, nothing, type Output } from './output.ts'

/** A witness as the operator entered it, and what is known of it. */
export interface StockWitness {
  /** Name and Ed25519 key of its cosignatures. */
  name: string
  key: Uint8Array
  /** Where `add-checkpoint` is, without that word. */
  url: string
  /** Size of the newest head that it cosigned; 0 before the first. */
  size: number
  /** Size of the head that it is taken to hold: not always one that it cosigned for this home. */
  held: number
  /** Size of the head that is under way. */
  sentSize?: number
  /** How often in a row it did not cosign. */
  failed: number
  /** What it said last, while it does not cosign. */
  problem?: string
}

/** What came of a request: the status is 0 when there was no answer. */
export interface Posted {
  status: number
  contentType: string
  body: Uint8Array
}

type Reading = Pick<Context, 'get'>

export const stockWitnesses = ({ get }: Reading): StockWitness[] => {
  const stored = get(KEY.stocks)
  return stored ? (decode(stored, stored.length) as unknown as StockWitness[]) : []
}

const machineOf = (name: string): string => `stock/${originHash(name)}`

function stored(all: StockWitness[]): Output {
  return { ...nothing(), writes: [{ key: KEY.stocks, value: encode(all as unknown as Value) }] }
}

// The operator's side.

/** Enters a witness by its address and verifier key, or changes the address of one. Throws ProtocolError. */
export function enter(url: string, verifierKey: string, context: Context): Output {
  const { name, publicKey } = readKey(verifierKey)
  const at = readUrl(url)
  const all = stockWitnesses(context)
  const known = all.find(each => each.name === name)
  if (known && !equal(known.key, publicKey))
    throw new ProtocolError('KEY_INVALID', `${name} is entered with another key; take it out first`)
  if (!known && all.length >= MAX_STOCK_WITNESSES)
    throw new ProtocolError(
      'QUOTA_EXCEEDED',
      `${MAX_STOCK_WITNESSES} witnesses over HTTP are entered already`,
    )
  const kept = known ?? { name, key: publicKey, size: 0, held: 0 }
  const output = stored([...all.filter(each => each !== known), { ...kept, url: at, failed: 0 }])
  output.deadlines.push({ machine: machineOf(name), atMs: context.now.monoMs })
  return output
}

/** Takes a witness out; the lines that it gave stay. Throws NOT_FOUND. */
export function drop(name: string, context: Context): Output {
  const all = stockWitnesses(context)
  const left = all.filter(each => each.name !== name)
  if (left.length === all.length)
    throw new ProtocolError('NOT_FOUND', `no witness over HTTP has the name ${name}`)
  const output = stored(left)
  output.deadlines.push({ machine: machineOf(name), atMs: Number.POSITIVE_INFINITY })
  return output
}

function readKey(verifierKey: string): VerifierKey {
  const key = parsedKey(verifierKey)
  if (key.type !== ED25519_COSIGNATURE)
    throw new ProtocolError('KEY_INVALID', `a key of type ${key.type} makes no Ed25519 cosignatures`)
  if (!goodPublicKey(key.publicKey)) throw new ProtocolError('KEY_INVALID', 'this is no usable Ed25519 key')
  if (isOrganisation(key.name))
    throw new ProtocolError(
      'KEY_INVALID',
      'the witness of an organisation comes by pairing: waybill witness add',
    )
  return key
}

function parsedKey(verifierKey: string): VerifierKey {
  try {
    return parseVerifierKey(verifierKey)
  } catch (error) {
    if (error instanceof CryptoError) throw new ProtocolError('KEY_INVALID', error.message)
    throw error
  }
}

/** Names like those of members' cosignatures would be looked for among members. */
function isOrganisation(name: string): boolean {
  try {
    parseCid(name.split('/')[0]!)
    return true
  } catch {
    return false
  }
}

function readUrl(url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  const fits = parsed && url.length <= MAX_NAME_LENGTH && /^https?:$/.test(parsed.protocol)
  if (!fits || parsed.username || parsed.search || parsed.hash)
    throw new ProtocolError('MALFORMED', 'the address of a witness begins with https:// or http://')
  return parsed.href.replace(/\/$/, '')
}

// The dialogue.

/** A new head was signed, or the node starts: then what was under way is lost, and who failed is asked again. */
export function head(type: 'head' | 'start', ledger: Ledger, context: Context): Output {
  const all = stockWitnesses(context)
  if (all.length === 0) return nothing()
  const ready = (s: StockWitness) => s.sentSize === undefined && s.failed === 0
  const steps = all.map(each => {
    const s = type === 'start' ? { ...rested(each), failed: 0 } : each
    return ready(s) ? next(s, ledger, context) : { state: s, output: nothing() }
  })
  return join(...steps.map(({ output }) => output), stored(steps.map(({ state }) => state)))
}

/** Another log has begun: none of them holds anything of it, and what was under way is of the closed one. */
export function afresh(context: Context): Output['writes'] {
  const all = stockWitnesses(context)
  if (all.length === 0) return []
  return stored(all.map(({ name, key, url }) => ({ name, key, url, size: 0, held: 0, failed: 0 }))).writes
}

/** The timer of one that failed. */
export const tick = (machine: string, ledger: Ledger, context: Context): Output =>
  stepped(machine, s => (s.sentSize === undefined ? next(s, ledger, context) : unmoved(s)), context)

/** What came of a request. */
export const posted = (machine: string, answer: Posted, ledger: Ledger, context: Context): Output =>
  stepped(machine, s => (s.sentSize === undefined ? unmoved(s) : judge(s, answer, ledger, context)), context)

interface Stepped {
  state: StockWitness
  output: Output
}
const unmoved = (state: StockWitness): Stepped => ({ state, output: nothing() })

/** The step of one of them, stored; of one that was taken out meanwhile, nothing. */
function stepped(machine: string, step: (s: StockWitness) => Stepped, context: Context): Output {
  const all = stockWitnesses(context)
  const found = all.find(each => machineOf(each.name) === machine)
  if (!found) return nothing()
  const { state, output } = step(found)
  return join(output, stored(all.map(each => (each === found ? state : each))))
}

const rested = ({ sentSize: _, ...s }: StockWitness): StockWitness => s

function next(s: StockWitness, ledger: Ledger, context: Context): Stepped {
  const newest = publicHead(context.get)
  if (!newest || newest.size <= s.size) return unmoved(s)
  const path = proveExtension(ledger, context.get, s.held, newest.size)
  const own = onlyOwn(text(newest.note))
  const body = utf8([`old ${s.held}`, ...path.map(toBase64), '', own].join('\n'))
  const ask = { type: 'ask-post', machine: machineOf(s.name), url: `${s.url}/add-checkpoint`, body } as const
  return { state: { ...s, sentSize: newest.size }, output: { ...nothing(), events: [ask] } }
}

/** The head with its log's signature alone: who else cosigned is not a stranger's business (RULES D8). */
function onlyOwn(note: string): string {
  const { body, lines } = parseNote(note)
  const [origin] = body.split('\n')
  return formatNote({ body, lines: lines.filter(line => line.name === origin) })
}

function judge(s: StockWitness, answer: Posted, ledger: Ledger, context: Context): Stepped {
  if (answer.status === 200) return cosigned(s, answer, ledger, context)
  const held = answer.status === 409 ? sizeOf(answer) : undefined
  if (held !== undefined && held <= s.sentSize!) {
    const other = { ...rested(s), held }
    // Asked again from there, and not for ever at once: it may say another size each time.
    if (s.failed === 0) return next({ ...other, failed: 1 }, ledger, context)
    return failed(other, `it holds the size ${held}`, context)
  }
  const why = answer.status === 0 ? 'no answer' : `${answer.status}: ${firstLine(answer.body)}`
  return failed(rested(s), why, context)
}

function cosigned(s: StockWitness, answer: Posted, ledger: Ledger, context: Context): Stepped {
  const key = KEY.head(s.sentSize!)
  const note = parseNote(text(context.get(key)!))
  const line = linesOf(answer.body).find(each => verifyCosignature(note.body, each, s.name, s.key))
  if (!line) return failed(rested(s), 'its answer holds no cosignature of this head by its key', context)
  const lines = [...note.lines.filter(each => each.name !== s.name), line]
  const { problem: _, ...well } = rested(s)
  const step = next({ ...well, size: s.sentSize!, held: s.sentSize!, failed: 0 }, ledger, context)
  step.output.writes.push({ key, value: utf8(formatNote({ body: note.body, lines })) })
  return step
}

/** It is asked again later: the same that failed may be right next time, for another head or a mended witness. */
function failed(s: StockWitness, problem: string, context: Context): Stepped {
  const atMs = resendAt(context.now, s.failed)
  const output: Output = { ...nothing(), deadlines: [{ machine: machineOf(s.name), atMs }] }
  return { state: { ...s, failed: s.failed + 1, problem: sentence(problem) }, output }
}

function linesOf(body: Uint8Array): NoteLine[] {
  try {
    return parseLines(text(body))
  } catch (error) {
    if (error instanceof CryptoError) return []
    throw error
  }
}

/** The size in the body of a 409 (C2SP tlog-witness). */
function sizeOf({ contentType, body }: Posted): number | undefined {
  const size = /^(0|[1-9][0-9]{0,15})\n?$/.exec(firstLine(body))?.[1]
  return contentType === 'text/x.tlog.size' && size !== undefined ? Number(size) : undefined
}

const firstLine = (body: Uint8Array): string => new TextDecoder().decode(body).split('\n')[0]!
