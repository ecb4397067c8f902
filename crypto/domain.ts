/**
 * Every domain-separation tag, in one table. A tag is `waybill/v1/…` in UTF-8 and a zero byte. No tag is a prefix of
 * another: none contains a zero byte but its last. C2SP notes and cosignatures have prefixes of their own and contain
 * no zero byte, so that no signature under a record's tag is one over a head.
 */
import { concat, utf8 } from './bytes.ts'
import { CryptoError } from './error.ts'

const ZERO = new Uint8Array(1)
/* @__NO_SIDE_EFFECTS__ */
const tag = (name: string): Uint8Array => concat(utf8(`waybill/v1/${name}`), ZERO)

/** HMAC(salt, this ‖ SHA-256(stored signed bytes)): the field `c` of a log entry (RULES B1). */
export const ENTRY_COMMITMENT: Uint8Array = tag('entry-commitment')
/** HMAC(content key, this): binds the one key to a packet's root, because GCM does not (RULES F2). */
export const KEY_COMMITMENT: Uint8Array = tag('key-commitment')
/** HKDF info: content key -> the key that ciphers the blocks; so the commitment and the cipher share no key. */
export const BLOCK_KEY: Uint8Array = tag('block-key')
/** SHA-256(this ‖ salt ‖ plain bytes): the salted digest of a packet's content. */
export const PLAIN_DIGEST: Uint8Array = tag('plain-digest')
/** HMAC(batch secret, this ‖ …): the content key of one of the small packets published together (RULES F2). */
export const BATCH_KEY: Uint8Array = tag('batch-key')
/** Before the info of a key release under HPKE (RULES F3). */
export const HPKE_INFO: Uint8Array = tag('hpke-info')
/** HMAC(step's seed, this ‖ label ‖ counter): the randomness of one step of a machine (RULES A3). */
export const EXPAND: Uint8Array = tag('expand')
/** HKDF info: the home's key -> the key that seals secrets at rest. */
export const HOME_SECRET: Uint8Array = tag('home-secret')
/** SHAKE256(this ‖ key): the key stream of a body at rest, and the salt of its entry (RULES D7). */
export const BODY: Uint8Array = tag('body')
/** SHA-256(this ‖ secret): the name of a ticket, so that who lists tickets cannot use them. */
export const TICKET: Uint8Array = tag('ticket')

/** HMAC(salt, this ‖ digest of the plain content): what a registration commits to (RULES E2). */
export const REGISTERED_CONTENT: Uint8Array = tag('registered-content')

const TYPE = /^[a-z][a-z0-9-]{0,47}\/[1-9][0-9]{0,3}$/
const ROLE = /^[a-z][a-z0-9-]{0,31}$/

/** Whether `type` can name a record type: a lower-case name and a number, like `agreement/1`. */
export function isRecordType(type: string): boolean {
  return TYPE.test(type)
}

/** Whether `role` can name a role in a record's signature set, like `assigner`. */
export function isRole(role: string): boolean {
  return ROLE.test(role)
}

/**
 * `waybill/v1/<type>/<role>` and a zero byte: what stands before a record's payload when it is signed. A signature in
 * one role or type can therefore not be shown as one in another. Throws STATEMENT_MALFORMED for a name that could
 * make two tags equal.
 */
export function signatureTag(type: string, role: string): Uint8Array {
  const name = `${type}/${role}`
  const known = signatureTags.get(name)
  if (known) return known
  if (!isRecordType(type)) throw new CryptoError('STATEMENT_MALFORMED', `'${type}' is no record type`)
  if (!isRole(role)) throw new CryptoError('STATEMENT_MALFORMED', `'${role}' is no role`)
  const made = tag(name)
  if (signatureTags.size < MAX_TAGS) signatureTags.set(name, made)
  return made
}

/** Types times roles are fewer; more are a peer's inventions. */
const MAX_TAGS = 256
const signatureTags = new Map<string, Uint8Array>()
