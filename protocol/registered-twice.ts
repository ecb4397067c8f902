/**
 * Registrations whose commitment to the content their owner has opened, as a file that anybody checks alone: one says what was
 * registered; two of one owner, of one content and different assets, convict it (RULES E2).
 */
import { encode, type Value } from '../crypto/cbor.ts'
import { isNamed, readDocument } from './document.ts'
import { type Registration, registration } from './handover.ts'
import {
  MAX_EVENT_BYTES,
  MAX_EVIDENCE_BYTES,
  MAX_IDENTITY_EVENTS,
  MAX_OWNERS,
  MAX_RECORD_BYTES,
} from './limits.ts'
import { isUnknown, statusOf, verdictOf } from './ownership-evidence.ts'
import { keysIn, type Shown, shownOf } from './parties.ts'
import { isStored, type KeyResolver, readRecord, type Unread } from './record.ts'
import { type Disclosed, isRegisteredTwice, opens, unsignedRegistration } from './registered.ts'
import { blob, bytes, list, object, text } from './shape.ts'
import { isTrusted, type Trust } from './trust.ts'
import type { Verdict, VerifyStep } from './verify-steps.ts'

const REGISTERED = 'registered/1'
const record = blob(MAX_RECORD_BYTES)
const shape = object({
  t: text(32),
  opened: list(object({ registration: record, salt: bytes(32), plain: bytes(32) }), 2),
  identities: list(
    object({ identity: record, events: list(blob(MAX_EVENT_BYTES), MAX_IDENTITY_EVENTS) }),
    2 * MAX_OWNERS,
  ),
})

export interface Registered {
  opened: Disclosed[]
  identities: Shown[]
}

/** Whether a file says that it is of this kind. */
export const isRegistered = (file: Uint8Array): boolean => isNamed(file, MAX_EVIDENCE_BYTES, REGISTERED)

export const encodeRegistered = (file: Registered): Uint8Array =>
  encode({ t: REGISTERED, ...file } as unknown as Value)

/** What the file has, or why it is none. */
export function readRegistered(file: Uint8Array): Registered | Unread {
  const read = readDocument<Registered & { t: string }>(file, MAX_EVIDENCE_BYTES, REGISTERED, shape)
  if ('reason' in read || read.opened.length > 0) return read
  return { ok: false, reason: 'no registration is in it' }
}

/** What two such files prove together: one file for whoever believes neither. */
export function bothRegistered(one: Uint8Array, other: Uint8Array): Uint8Array | Unread {
  const files: Registered[] = []
  for (const file of [one, other]) {
    const read = readRegistered(file)
    if ('reason' in read) return read
    if (read.opened.length !== 1) return { ok: false, reason: 'a file of two registrations is whole' }
    files.push(read)
  }
  const [a, b] = files as [Registered, Registered]
  const identities = longest([...a.identities, ...b.identities])
  return isRegisteredTwice(a.opened[0]!, b.opened[0]!, keysIn(identities))
    ? encodeRegistered({ opened: [...a.opened, ...b.opened], identities })
    : { ok: false, reason: NOT_TWICE }
}

/** Each once: one that has grown between the two has the key states of both. */
const longest = (shown: Shown[]): Shown[] => {
  const inOrder = shown.toSorted((a, b) => a.events.length - b.events.length)
  return [...new Map(inOrder.map(each => [String(shownOf(each)), each])).values()]
}

export interface RegisteredReport {
  verdict: Verdict
  steps: VerifyStep[]
  /** What the file says, as far as it holds: `twice` that its owner registered one content as two assets. */
  claim?: { type: 'registered'; owner: string; assets: string[]; twice: boolean }
  trustDigest: string
  asOfMs: number
}

/** Each registration is signed and opens; two are of one content. Whose name that is, the trust file says. */
export function verifyRegistered(file: Uint8Array, trust: Trust, asOfMs: number): RegisteredReport {
  const steps: VerifyStep[] = []
  const claim = judge(file, trust, (id, status, detail) => steps.push({ id, status, detail }))
  return { verdict: verdictOf(steps), steps, ...(claim ? { claim } : {}), trustDigest: trust.digest, asOfMs }
}

type Say = (id: string, status: VerifyStep['status'], detail: string) => void

function judge(file: Uint8Array, trust: Trust, say: Say): RegisteredReport['claim'] {
  const read = readRegistered(file)
  if ('reason' in read) {
    say('bundle', statusOf(read), read.reason)
    return undefined
  }
  const { opened, identities } = read
  say('bundle', 'ok', opened.length === 1 ? 'one registration' : 'two registrations')
  const keys = keysIn(identities)
  const found = opened.map((each, i) => judgeOne(each, keys, outcomeOf(say, `registration ${i + 1}`)))
  const [first] = found
  if (!first || found.some(each => !each)) return undefined
  const [one, other] = opened as [Disclosed, Disclosed?]
  if (other) {
    const isTwice = isRegisteredTwice(one, other, keys)
    say('twice', isTwice ? 'ok' : 'failed', isTwice ? TWICE : NOT_TWICE)
    if (!isTwice) return undefined
  }
  const owner = first.owner
  if (isTrusted(trust, owner)) say('owner', 'ok', 'is in the trust file')
  else say('owner', 'inconclusive', `${owner} is not in the trust file`)
  const assets = found.map(each => each!.asset.toString())
  return { type: 'registered', owner: owner.toString(), assets, twice: other !== undefined }
}

const NOT_TWICE = 'they are not of one owner, one content and two assets'
const TWICE = 'one owner warranted twice that no other registration of its covers this content'

const outcomeOf =
  (say: Say, id: string) =>
  (status: VerifyStep['status'], detail: string): undefined => {
    say(id, status, detail)
  }

function judgeOne(
  each: Disclosed,
  keys: KeyResolver,
  say: (status: VerifyStep['status'], detail: string) => undefined,
): Registration | undefined {
  const read = readRecord(registration, each.registration)
  if (!isStored(read)) return say(statusOf(read), read.reason)
  const { owner, asset } = read.payload
  const wrong = unsignedRegistration(read, keys)
  if (wrong) return say(isUnknown(wrong) ? 'inconclusive' : 'failed', wrong.text)
  if (!opens(each, read.payload)) return say('failed', 'salt and digest are not what it commits to')
  say('ok', `${owner} registered ${asset}, and opened what it is`)
  return read.payload
}
