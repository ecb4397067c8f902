/**
 * What a registration says of the content (RULES E2): a commitment that its owner can open. Two registrations of one owner
 * that open to the same content break its warranty, and convict it.
 */
import { concat, equal, toHex } from '../crypto/bytes.ts'
import { REGISTERED_CONTENT } from '../crypto/domain.ts'
import { hmac, sha256 } from '../crypto/hash.ts'
import { orderOf, type Registration, registration } from './handover.ts'
import { type Refused, unsigned } from './ownership.ts'
import { isStored, type KeyResolver, readRecord, type Stored } from './record.ts'

/** Of the digests of all packets' plain bytes: their order in the asset does not matter. */
export const plainDigest = (packets: Uint8Array[]): Uint8Array =>
  sha256(...packets.toSorted((a, b) => (toHex(a) < toHex(b) ? -1 : 1)))

export const contentCommitment = (salt: Uint8Array, plain: Uint8Array): Uint8Array =>
  hmac(salt, concat(REGISTERED_CONTENT, plain))

/** A registration with what opens its commitment. */
export interface Disclosed {
  registration: Uint8Array
  salt: Uint8Array
  plain: Uint8Array
}

/**
 * Whether two registrations convict their owner: one content, registered as two assets. Of several it is the one that each
 * names by itself, which made the commitment: what it hides the others cannot tell when they sign.
 */
export function isRegisteredTwice(one: Disclosed, other: Disclosed, keys: KeyResolver): boolean {
  const [a, b] = [opened(one, keys), opened(other, keys)]
  return !!a && !!b && a.owner.equals(b.owner) && !a.asset.equals(b.asset) && equal(one.plain, other.plain)
}

/** Whether these are the salt and the digest that a registration commits to. */
export const opens = ({ salt, plain }: Omit<Disclosed, 'registration'>, { content }: Registration): boolean =>
  equal(content, contentCommitment(salt, plain))

/** Why a registration is not signed by each of its owners. */
export const unsignedRegistration = (read: Stored<Registration>, keys: KeyResolver): Refused | undefined =>
  unsigned(orderOf(read), keys)

function opened(
  { registration: bytes, salt, plain }: Disclosed,
  keys: KeyResolver,
): Registration | undefined {
  const read = readRecord(registration, bytes)
  if (!isStored(read) || !opens({ salt, plain }, read.payload)) return undefined
  return unsignedRegistration(read, keys) ? undefined : read.payload
}
