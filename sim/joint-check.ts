/**
 * The model check where several own an asset and no seat can be relied on: every seat votes for both orders, so that only the
 * owners' own signatures stand between two certificates. Each honest owner signs one order of a version or none, liars sign
 * both; what counts is the shipped reading of orders. While fewer than 2k − m of m owners lie no two orders have k.
 */
import type { CID } from '../crypto/cid.ts'
import { encodeSigned, type Payload, signRecord } from '../crypto/statement.ts'
import { isOrder, type Joint, readOrder } from '../protocol/handover.ts'
import { advance, isRefused, type Link, makeCertificate, type Owned } from '../protocol/ownership.ts'
import type { Rules, Tally } from './ownership-check.ts'
import {
  assetBytes,
  assetId,
  type Committee,
  committee,
  digest,
  keysOf,
  OWNER,
  resolve,
  voteOf,
} from './ownership-story.ts'

/** What a signature is filled up with, by the rule that it breaks. */
const FORGED = ['ownersDistinct', 'ownersSigned'] as const

interface Shared {
  of: Committee
  owned: Owned
  joint: Joint
}

/** Registered for so many owners, of whom `k` sign what follows. */
function shared(m: number, k: number): Shared {
  const of = committee(1, 0, 1)
  const orgs = [OWNER, ...Array.from({ length: m - 1 }, (_, i) => digest(`owner ${i}`))]
  const inOrder = orgs.toSorted((a, b) => (a.toString() < b.toString() ? -1 : 1))
  const joint: Joint = { k, owners: inOrder.map(org => ({ org, state: org })) }
  const payload = {
    t: 'registration/1',
    asset: assetId(of.id),
    owner: OWNER,
    ownerState: OWNER,
    joint,
    committee: of.id,
    ref: 'shared',
    content: new Uint8Array(32),
    title: 'made',
    warranty: true,
    made: 0,
    nonce: new Uint8Array(16),
  } as unknown as Payload
  const order = signedBy(
    payload,
    inOrder.map(org => ['owner', org] as const),
  )
  const owned = advance(
    undefined,
    { ...certified(of, order), asset: assetBytes(of.id), committee: of.bytes },
    resolve,
  )
  if (isRefused(owned)) throw new Error(`the registration does not stand: ${owned.text}`)
  return { of, owned, joint }
}

const signedBy = (payload: Payload, by: (readonly [role: string, org: CID])[]): Uint8Array =>
  encodeSigned({ p: payload, s: by.map(([role, org]) => signRecord(payload, role, keysOf(org)[0]!)) })

/** With the votes of all seats. */
function certified(of: Committee, order: Uint8Array): Link {
  const read = readOrder(order)
  const votes = isOrder(read) ? of.payload.seats.map((_, i) => voteOf(of, i, read)) : []
  return { order, certificate: makeCertificate(votes) }
}

/** One of two orders of one version, as these signed it; `joint` are the owners that it names. */
function order({ of, owned }: Shared, choice: 0 | 1, by: CID[], joint: Joint): Uint8Array {
  const buyer = digest(`buyer ${choice}`)
  const lead = joint.owners[0]!.org
  const payload = {
    t: 'handover/1',
    asset: owned.asset,
    version: 1,
    prev: owned.order,
    from: lead,
    fromState: lead,
    ...(joint.owners.length > 1 ? { fromJoint: joint } : {}),
    to: buyer,
    toState: buyer,
    committee: of.id,
    passes: { agreements: true, duties: true, keys: true, blocks: true },
    made: 0,
  } as unknown as Payload
  return signedBy(payload, [...by.map(org => ['from', org] as const), ['to', buyer]])
}

/** Whether an order that these owners signed, by their numbers, stands, or can be made to. */
function judge(told: Shared, rules: Rules): (choice: 0 | 1, by: number[]) => boolean {
  const known = new Map<string, boolean>()
  const { joint, owned, of } = told
  const owner = (i: number) => joint.owners[i]!.org
  const stands = (choice: 0 | 1, by: CID[], named = joint) =>
    !isRefused(advance(owned, certified(of, order(told, choice, by, named)), resolve))
  const judged = (choice: 0 | 1, by: number[]): boolean => {
    const signers = by.map(owner)
    if (signers.length === 0) return false
    if (stands(choice, signers) || (!rules.threshold && signers.length + 1 >= joint.k)) return true
    // It names only those who signed it as its owners.
    const few = { k: signers.length, owners: joint.owners.filter(({ org }) => signers.includes(org)) }
    if (!rules.ownersKept || stands(choice, signers, few)) return true
    const missing = joint.k - signers.length
    return FORGED.some(rule => {
      if (!rules[rule]) return true
      const fill = rule === 'ownersDistinct' ? signers[0]! : digest('nobody')
      return stands(choice, [...signers, ...Array.from({ length: missing }, () => fill)])
    })
  }
  return (choice, by) => {
    const name = `${choice}/${by.join()}`
    if (!known.has(name)) known.set(name, judged(choice, by))
    return known.get(name)!
  }
}

/** Every number of owners and every threshold that may be; what each honest owner signed, and the liars both. */
export function checkShared(rules: Rules, most: number): Tally {
  const tally: Tally = { worlds: 0, violations: 0 }
  for (let m = 2; m <= most; m++)
    for (let k = Math.floor(m / 2) + 1; k <= m; k++) {
      const stands = judge(shared(m, k), rules)
      const bound = 2 * k - m - (rules.ownersBound ? 1 : 0)
      for (let liars = 0; liars <= bound; liars++)
        for (let world = 0; world < 3 ** (m - liars); world++) {
          const signed = Array.from({ length: m }, (_, i) =>
            i < liars ? 3 : Math.floor(world / 3 ** (i - liars)) % 3,
          )
          const by = (bit: number) => signed.flatMap((what, i) => (what & bit ? [i] : []))
          tally.worlds++
          if (stands(0, by(1)) && stands(1, by(2))) tally.violations++
        }
    }
  return tally
}
