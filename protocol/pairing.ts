/**
 * First contact (RULES H1): one party makes a ticket, the other joins with it over one bounded stream.
 *
 *     joiner                                              inviter
 *            -- hello/join {secret, identity, …} -->      ticket known, not expired, not used by another: pairs
 *            <-- hello/welcome {identity, …} --           and the joiner checks that it is whom the ticket names
 *            <-- hello/refused {code} --
 *
 * A ticket is `wb1` and base32 of DAG-CBOR: identity, node key, addresses, secret, expiry. It works once; a repeat by the
 * same organisation gets the same answer.
 */
import { base32 } from 'multiformats/bases/base32'
import { equal, utf8 } from '../crypto/bytes.ts'
import { decode, encode } from '../crypto/cbor.ts'
import type { CID } from '../crypto/cid.ts'
import { TICKET } from '../crypto/domain.ts'
import { CryptoError } from '../crypto/error.ts'
import { sha256 } from '../crypto/hash.ts'
import { type First, firstCommittee, firstOf } from './committee.ts'
import { ProtocolError } from './error.ts'
import { type Identity, identityGenesis, verifyIdentity } from './identity.ts'
import {
  type Chain,
  eventsOf,
  further,
  isNodeKey,
  isRefused,
  keptChain,
  readChain,
} from './identity-chain.ts'
import { convict } from './identity-fork.ts'
import { KEY } from './layout.ts'
import { MAX_ADDRESSES, MAX_NAME_LENGTH } from './limits.ts'
import { originHash, originOf } from './log.ts'
import { type Context, type Partner, sentence } from './machine.ts'
import type { HelloMessage } from './message.ts'
import { nothing, type Output } from './output.ts'
import { isStored, readRecord, type Stored } from './record.ts'
import { bytes, type Infer, isPlain, link, list, object, optional, text, uint } from './shape.ts'
import * as succession from './succession.ts'

/** Protocol numbers this version speaks. */
export const VERSIONS = [1]

const ticketShape = object({
  v: uint,
  org: link,
  node: bytes(32),
  addresses: list(text(MAX_NAME_LENGTH), MAX_ADDRESSES),
  secret: bytes(16),
  expires: uint,
})
export type Ticket = Infer<typeof ticketShape>

const PREFIX = 'wb1'
const TICKET_VERSION = 1
const CHECK_BYTES = 4

export function formatTicket(ticket: Ticket): string {
  const body = encode(ticket)
  const check = sha256(body).subarray(0, CHECK_BYTES)
  const all = new Uint8Array(body.length + CHECK_BYTES)
  all.set(body)
  all.set(check, body.length)
  return PREFIX + base32.baseEncode(all)
}

/** Reads a ticket. Throws TICKET_MALFORMED for a mistyped or cut one, UNKNOWN_VERSION for one of a later version. */
export function parseTicket(ticketText: string): Ticket {
  const malformed = (why: string) =>
    new ProtocolError('TICKET_MALFORMED', `this is not a whole ticket: ${why}`)
  const trimmed = ticketText.trim()
  if (!trimmed.startsWith(PREFIX) || trimmed.length > 8_192)
    throw malformed(`it does not begin with ${PREFIX}`)
  try {
    const all = base32.baseDecode(trimmed.slice(PREFIX.length))
    const body = all.slice(0, -CHECK_BYTES)
    if (!equal(sha256(body).subarray(0, CHECK_BYTES), all.subarray(-CHECK_BYTES)))
      throw malformed('its check sum does not fit')
    const value = decode(body)
    // The version first: a later one may have other fields.
    const version = isPlain(value) ? value.v : undefined
    if (typeof version === 'number' && version !== TICKET_VERSION)
      throw new ProtocolError(
        'UNKNOWN_VERSION',
        `a ticket of version ${version}: this node reads ${TICKET_VERSION}`,
      )
    const reason = ticketShape.check(value, 'ticket')
    if (reason) throw malformed(reason)
    return value as unknown as Ticket
  } catch (error) {
    if (error instanceof ProtocolError) throw error
    throw malformed(error instanceof CryptoError ? error.message : 'it is not base32')
  }
}

/** What the inviter keeps of a ticket: never the secret itself. */
const issuedShape = object({
  forWhom: text(MAX_NAME_LENGTH),
  expires: uint,
  made: uint,
  usedBy: optional(link),
})
export type Issued = Infer<typeof issuedShape>
export const ticketKey = (secret: Uint8Array): string => KEY.ticket(sha256(TICKET, secret))
export const readIssued = (stored: Uint8Array): Issued => decode(stored) as unknown as Issued

/** Inviter: makes a ticket that expires. */
export function invite(
  about: { forWhom: string; expiresMs: number; node: Uint8Array },
  context: Context,
): { output: Output; ticket: string } {
  const secret = context.random('ticket', 16)
  const { addresses, self, now } = context
  const ticket = formatTicket({
    v: TICKET_VERSION,
    org: self.id,
    node: about.node,
    addresses: addresses.slice(0, MAX_ADDRESSES),
    secret,
    expires: about.expiresMs,
  })
  const value = encode({ forWhom: about.forWhom, expires: about.expiresMs, made: now.wallMs })
  return { output: { ...nothing(), writes: [{ key: ticketKey(secret), value, if: 'absent' }] }, ticket }
}

/** Joiner: what it sends over the hello stream. */
export const joining = (ticket: Ticket, context: Context): HelloMessage => ({
  t: 'hello/join',
  versions: VERSIONS,
  secret: ticket.secret,
  ...introduction(context),
})

/** What each side says of itself at first contact. */
const introduction = (context: Context) => {
  const { self, addresses, witnesses } = context
  const first = firstCommittee(context)
  return {
    identity: self.identityBytes,
    events: eventsOf(self.chain),
    addresses: addresses.slice(0, MAX_ADDRESSES),
    witnesses,
    ...(first ? { first } : {}),
  }
}

type Answer = { output: Output; answer: HelloMessage }

/** Inviter: takes a joiner in, or says why not. `node` is the key that the connection proved. */
export function welcome(hello: HelloMessage, node: Uint8Array, context: Context): Answer {
  const refuse = (code: string, why: string): Answer => ({
    output: nothing(),
    answer: { t: 'hello/refused', code, text: sentence(why) },
  })
  if (hello.t !== 'hello/join') return refuse('OUT_OF_ORDER', 'a hello begins with hello/join')
  if (!hello.versions.includes(VERSIONS[0]!))
    return refuse('UNKNOWN_VERSION', `this node speaks version ${VERSIONS}`)
  const key = ticketKey(hello.secret)
  const stored = context.get(key)
  if (!stored) return refuse('TICKET_UNKNOWN', 'this ticket was not made here, or was taken back')
  const issued = readIssued(stored)
  const joiner = readPartner(hello, node, context)
  if (typeof joiner === 'string')
    return { ...refuse('RECORD_INVALID', joiner), output: contradiction(hello, context) }
  if (issued.usedBy && !issued.usedBy.equals(joiner.id))
    return refuse('TICKET_UNKNOWN', 'this ticket was used already')
  if (!issued.usedBy && context.now.wallMs > issued.expires)
    return refuse('TICKET_EXPIRED', 'this ticket has expired')
  const output = pair(joiner, context)
  output.writes.push({ key, value: encode({ ...issued, usedBy: joiner.id }), if: { equals: stored } })
  const answer: HelloMessage = {
    t: 'hello/welcome',
    version: VERSIONS[0]!,
    ...introduction(context),
  }
  return { output, answer }
}

/** Joiner: checks that the answer comes from whom the ticket names. Throws the refusal's code. */
export function welcomed(
  ticket: Ticket,
  answer: HelloMessage,
  context: Context,
): { output: Output; partner: Partner } {
  if (answer.t === 'hello/refused') {
    const code =
      answer.code === 'TICKET_EXPIRED' || answer.code === 'TICKET_UNKNOWN' ? answer.code : 'NOT_ADMITTED'
    throw new ProtocolError(code, answer.text)
  }
  if (answer.t !== 'hello/welcome') throw new ProtocolError('OUT_OF_ORDER', 'the answer is not a welcome')
  if (!VERSIONS.includes(answer.version))
    throw new ProtocolError(
      'UNKNOWN_VERSION',
      `the other side chose version ${answer.version}, this node speaks ${VERSIONS}`,
    )
  const inviter = readPartner(answer, ticket.node, context)
  if (typeof inviter === 'string') throw new ProtocolError('RECORD_INVALID', inviter)
  if (!inviter.id.equals(ticket.org))
    throw new ProtocolError('RECORD_INVALID', 'the answer is of another organisation')
  return { output: pair(inviter, context), partner: inviter }
}

/** The partner that a hello describes, checked against the node key of the connection; a text says what is wrong. */
function readPartner(
  hello: Omit<Extract<HelloMessage, { t: 'hello/welcome' }>, 't' | 'version'>,
  node: Uint8Array,
  context: Context,
): Partner | string {
  const stored = readRecord(identityGenesis, hello.identity)
  if (!isStored(stored)) return stored.reason
  const verdict = verifyIdentity(stored)
  if (verdict.ok !== true) return verdict.reason
  // Whoever pairs again is held to what is known of it: who tells less undoes nothing.
  const known = context.partner(stored.id.toString())
  const chain = known ? further(known.chain, hello.events) : readChain(stored, hello.events)
  if (isRefused(chain)) return chain.reason
  if (!isNodeKey(chain, node)) return 'the identity does not delegate the key of this connection'
  if (stored.id.equals(context.self.id)) return 'this is our own identity'
  const { addresses } = hello
  const witnesses = namedBy(hello.witnesses, chain, known)
  const firsts = pinned({ chain, firsts: known?.firsts ?? [] }, hello.first)
  if (firsts === 'other') return 'another first committee of its log is known here'
  return partnerOf(chain, { addresses, witnesses, firsts, pairedMs: context.now.wallMs })
}

/** A partner that pairs again with other events of one number has forked its identity. */
function contradiction(
  { identity, events }: { identity: Uint8Array; events: Uint8Array[] },
  context: Context,
): Output {
  const stored = readRecord(identityGenesis, identity)
  const known = isStored(stored) ? context.partner(stored.id.toString()) : undefined
  return known ? convict(known.chain, events, context) : nothing()
}

/** The first committee of a partner's log: the one that was told first stays (RULES D2). */
export function pinned(
  { chain, firsts }: Pick<Partner, 'chain' | 'firsts'>,
  told: First | undefined,
): First[] | 'other' {
  const log = chain.logs.at(-1)!
  if (!told?.log.equals(log)) return firsts
  const known = firstOf({ firsts }, log)
  if (known) return known.equals(told.committee) ? firsts : 'other'
  return [...firsts, told]
}

/** Witnesses that a partner names: a log that has had a committee is not taken for one without by its owner's word (RULES D2). */
export const namedBy = (told: CID[], chain: Chain, known: Partner | undefined): CID[] =>
  told.length === 0 && known && firstOf(known, chain.logs.at(-1)!) ? known.witnesses : told

export const partnerOf = (
  chain: Chain,
  rest: Pick<Partner, 'addresses' | 'witnesses' | 'firsts' | 'pairedMs'>,
): Partner => ({
  id: chain.genesis.id,
  org: chain.genesis.id.toString(),
  name: chain.genesis.payload.name,
  identity: chain.genesis.payload,
  identityBytes: chain.genesis.bytes,
  chain,
  ...rest,
})

function pair(partner: Partner, context: Context): Output {
  const { org, name, chain } = partner
  const known = context.partner(org)
  return {
    ...nothing(),
    writes: [
      { key: KEY.partner(org), value: encodePartner(partner) },
      ...(known && known.chain.logs.length < chain.logs.length
        ? succession.followed(known, chain, context)
        : [{ key: KEY.origin(originHash(originOf(chain))), value: utf8(org) }]),
    ],
    events: [{ type: 'paired', org, name }],
  }
}

export const encodePartner = ({
  identityBytes,
  chain,
  addresses,
  witnesses,
  firsts,
  pairedMs,
}: Partner): Uint8Array => {
  const events = eventsOf(chain)
  return encode({ identity: identityBytes, events, addresses, witnesses, firsts, paired: pairedMs })
}

export function decodePartner(stored: Uint8Array): Partner {
  const value = decode(stored, stored.length) as {
    identity: Uint8Array
    events: Uint8Array[]
    addresses: string[]
    witnesses: CID[]
    firsts: First[]
    paired: number
  }
  const identity = readRecord(identityGenesis, value.identity) as Stored<Identity>
  return partnerOf(keptChain(identity, value.events), {
    addresses: value.addresses,
    witnesses: value.witnesses,
    firsts: value.firsts,
    pairedMs: value.paired,
  })
}
