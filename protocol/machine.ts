/** What a dialogue is to the peer that runs it: a pure step over a plain state, with what it may look at and ask for. */
import { decode, encode, type Value } from '../crypto/cbor.ts'
import type { CID } from '../crypto/cid.ts'
import type { PrivateKey } from '../crypto/key.ts'
import { encodeSigned, type Payload, recordId, type Signature, type Signed } from '../crypto/statement.ts'
import type { Identity } from './identity.ts'
import type { Chain } from './identity-chain.ts'
import { MAX_NAME_LENGTH, RESEND_MAX_MS, RESEND_MS } from './limits.ts'
import type { Message, Refusal } from './message.ts'
import { type Now, nothing, type Output } from './output.ts'
import type { KeyResolver, KeyRole, Stored } from './record.ts'
import { Kept } from './remember.ts'
import type { Slots } from './slots.ts'
import type { Staple } from './staple.ts'

/** A participant that we are paired with. */
export interface Partner {
  id: CID
  org: string
  name: string
  identity: Identity
  identityBytes: Uint8Array
  /** The identity with its events, as far as they are known here. */
  chain: Chain
  addresses: string[]
  /** Organisations that the partner names as witnesses of its log. */
  witnesses: CID[]
  /** The first committee of each of its logs, as this node was told of it first (RULES D2). */
  firsts: { log: CID; committee: CID }[]
  pairedMs: number
}

/** What a step may use besides its state: the store under all queued writes, keys by role, bytes drawn for this step. */
export interface Context {
  self: { id: CID; org: string; identity: Identity; identityBytes: Uint8Array; chain: Chain }
  now: Now
  get(key: string): Uint8Array | undefined
  /** The keys of bodies, by slot. */
  slots: Slots
  partner(org: string): Partner | undefined
  keys: KeyResolver
  /** Signs with one of the home's keys; deterministic (RFC 8032). */
  sign(payload: Payload, role: string, key: Exclude<KeyRole, 'root'>): Signature
  /** Keys for notes and cosignatures, which are not records. */
  noteKey(key: 'log' | 'witness'): PrivateKey
  /** Seals a secret by handle to a one-time key (HPKE); `undefined` when the handle is unknown. */
  seal(
    handle: string,
    to: Uint8Array,
    info: Uint8Array,
    seed: Uint8Array,
  ): { enc: Uint8Array; ct: Uint8Array } | undefined
  /** The key of an own seat by its handle; `undefined` when there is none any more. */
  seatKey(handle: string): PrivateKey | undefined
  /** Seats that were asked for a vote of late and did not answer in time: others are asked before them. Not stored. */
  late: Set<string>
  /** Own seats before this epoch may have cast votes that are not in the store: they cast no more (RULES E3). */
  provenFrom: number
  /** `n` bytes that no other label of this step gets. */
  random(label: string, n: number): Uint8Array
  /** The own state as members of the log have dated it of late. */
  staple(): Staple | undefined
  /** Own witnesses, as the home's config names them. */
  witnesses: CID[]
  /** Partners that may have the entries of the own log, as the home's config names them. */
  mirrors: CID[]
  /** Own addresses, to be told to partners. */
  addresses: string[]
  /** Takes the seats that partners offer without asking a person. */
  sits: boolean
  /** The size of each own head is a multiple of this. */
  pad: number
}

/** The result of one step of one machine. Records appended are stored and get a log entry each, in order. */
export interface Step<S> {
  state?: S
  output: Output
  records: Stored[]
}

export const stay = <S>(state?: S): Step<S> => ({
  ...(state ? { state } : {}),
  output: nothing(),
  records: [],
})

/** A step that keeps or sets the state and sends messages to one organisation. */
export function say<S>(state: S | undefined, to: string, ...messages: Message[]): Step<S> {
  const step = stay(state)
  step.output.sends.push(...messages.map(message => ({ to, message })))
  return step
}

/** What protocol/shape.ts refuses in a text. */
const UNPRINTABLE = /[\p{Cc}\u2028-\u202e\u2066-\u2069]/gu

/** A text as a message can carry it, wherever it came from: one line, not too long, no half of a character. */
export const sentence = (text: string): string =>
  text.replace(UNPRINTABLE, ' ').slice(0, MAX_NAME_LENGTH).toWellFormed()

/** A refusal as a message can carry it. */
export const tidy = (refusal: Refusal): Refusal =>
  Object.fromEntries(Object.entries(refusal).map(([field, value]) => [field, sentence(value)])) as Refusal

/** A step that breaks nothing here: the peer is told, the operator sees it, the state stays. */
export function violation<S>(
  from: string,
  re: string,
  code: Extract<Output['events'][number], { type: 'violation' }>['code'],
  text: string,
): Step<S> {
  return {
    output: {
      ...nothing(),
      sends: re === 'error' ? [] : [{ to: from, message: { t: 'error', re, code, text: sentence(text) } }],
      events: [{ type: 'violation', org: from, code, text }],
    },
    records: [],
  }
}

/** Signs a payload as the roles given and reads it as a stored record. */
export function signed<P extends Payload>(payload: P, signatures: Signature[]): Stored<P> {
  return {
    id: recordId(payload),
    payload,
    signatures,
    bytes: encodeSigned({ p: payload, s: signatures } as Signed),
  }
}

/** When to send again: doubling from RESEND_MS, by how often it was sent. */
export const resendAt = (now: Now, attempts: number): number =>
  now.monoMs + Math.min(RESEND_MS * 2 ** Math.min(attempts, 16), RESEND_MAX_MS)

/** A machine takes some steps one soon after the other, and each begins by what the one before has stored. */
const states = new Kept<Value>({ most: 2_048, maxBytes: 4_096 })

/** A machine's state as stored; states are plain data, and nobody changes one. */
export const encodeState = (state: object): Uint8Array => encode(state as Value)

export function decodeState<S>(stored: Uint8Array): S {
  const held = states.get(stored)
  if (held !== undefined) return held as unknown as S
  const state = decode(stored, stored.length)
  states.set(stored, state)
  return state as unknown as S
}
