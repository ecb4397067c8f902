/**
 * Makes ed25519-cases.json: signatures by construction, with the verdict that the rule of crypto/key.ts must give.
 * Run it after a change: `node test/crypto/ed25519-cases.ts`.
 *
 * With A = aB + tA, R = rB + tR and S = r + ka, where tA and tR are of small order, S·B - k·A equals R exactly when
 * tR + k·tA is the identity. So each case knows whether the cofactorless equation holds; the cofactored one always
 * does. The verdict then needs A and R to be canonical and not small, and S < L.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { hashes, Point } from '@noble/ed25519'
import { sha512 } from '@noble/hashes/sha2.js'
import { concat, fromHex, toHex, utf8 } from '../../crypto/bytes.ts'

hashes.sha512 = sha512

export interface Case {
  desc: string
  key: string
  message: string
  signature: string
  /** By the one rule. */
  valid: boolean
  /** By the rule without the small-order check of R (RULES B4). */
  convicts: boolean
}

const { n: L, p: P } = Point.CURVE()
const T8 = Point.fromHex('26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05')
const torsion = (i: number): Point => (i % 8 === 0 ? Point.ZERO : T8.multiply(BigInt(i % 8), false))

/** What a case is built from; torsion points by their multiple of T8, scalars by a label. */
interface Recipe {
  desc: string
  /** Secret scalar of A; 0n makes A a point of small order. */
  a: bigint
  tA?: number
  r: bigint
  tR?: number
  /** Another encoding of A or R than the canonical one. */
  encodeA?: Uint8Array
  encodeR?: Uint8Array
  /** Grinds the message until k mod 8 passes. */
  k8?: (k: number) => boolean
  /** Added to S. */
  addS?: bigint
}

export function makeCases(): Case[] {
  return [...valid(), ...smallA(), ...smallR(), ...mixed(), ...scalars(), ...encodings(), ...damaged()]
}

function valid(): Case[] {
  return [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map(i =>
    build({ desc: `plain signature ${i}`, a: scalar(`a${i}`), r: scalar(`r${i}`) }),
  )
}

/** Every encoding of every point of small order as a public key, with an equation that holds where it can. */
function smallA(): Case[] {
  const canonical = [0, 1, 2, 3, 4, 5, 6, 7].flatMap(tA => [
    build({ desc: `A = ${tA}·T8, equation holds`, a: 0n, tA, r: scalar('r'), k8: k => (k * tA) % 8 === 0 }),
    build({ desc: `A = ${tA}·T8, R of small order`, a: 0n, tA, r: 0n, tR: 0, k8: k => (k * tA) % 8 === 0 }),
  ])
  const others = otherEncodings().map(({ name, point, bytes }) =>
    build({
      desc: `A = ${name}`,
      a: 0n,
      tA: point,
      encodeA: bytes,
      r: scalar('r'),
      k8: k => (k * point) % 8 === 0,
    }),
  )
  return [...canonical, ...others]
}

function smallR(): Case[] {
  const alone = [0, 1, 2, 3, 4, 5, 6, 7].map(tR =>
    build({ desc: `R = ${tR}·T8 under a good key`, a: scalar('a'), r: 0n, tR }),
  )
  const cancelling = [1, 2, 3, 4, 5, 6, 7].map(tR =>
    build({
      desc: `R = ${tR}·T8, cancelled by a key of mixed order`,
      a: scalar('a'),
      tA: 1,
      r: 0n,
      tR,
      k8: k => (tR + k) % 8 === 0,
    }),
  )
  const others = otherEncodings().map(({ name, point, bytes }) =>
    build({
      desc: `R = ${name}`,
      a: scalar('a'),
      tA: 1,
      r: 0n,
      tR: point,
      encodeR: bytes,
      k8: k => (point + k) % 8 === 0,
    }),
  )
  return [...alone, ...cancelling, ...others]
}

function mixed(): Case[] {
  return [1, 2, 3, 4, 5, 6, 7].flatMap(t => {
    const [a, r] = [scalar(`a${t}`), scalar(`r${t}`)]
    const [desc, order] = [`${t}·T8`, 8 / gcd(t, 8)]
    return [
      build({ desc: `A + ${desc}, k kills it`, a, r, tA: t, k8: k => k % order === 0 }),
      build({ desc: `A + ${desc}, cofactored only`, a, r, tA: t, k8: k => k % order !== 0 }),
      build({ desc: `R + ${desc}, cofactored only`, a, r, tR: t }),
      build({ desc: `A + T8 and R + ${desc}, cancelling`, a, r, tA: 1, tR: t, k8: k => (k + t) % 8 === 0 }),
      build({
        desc: `A + T8 and R + ${desc}, not cancelling`,
        a,
        r,
        tA: 1,
        tR: t,
        k8: k => (k + t) % 8 !== 0,
      }),
    ]
  })
}

/** S that is right modulo L and not below it. */
function scalars(): Case[] {
  const [a, r] = [scalar('a'), scalar('r')]
  const large = [1n, 2n, 7n, 14n].map(i => build({ desc: `S + ${i}·L`, a, r, addS: i * L }))
  const { key, message, signature } = build({ desc: '', a, r })
  const R = signature.slice(0, 64)
  const wrong = [0n, 1n, L - 1n, L, L + 1n, 2n ** 252n, 2n ** 253n, 2n ** 255n, 2n ** 256n - 1n].map(s =>
    refused(`S = ${s} under another R`, key, message, R + toHex(littleEndian(s))),
  )
  const zero = refused('S = 0, R and A the identity', toHex(Point.ZERO.toBytes()), '', `01${'00'.repeat(63)}`)
  return [...large, ...wrong, zero]
}

/** y at or above p, and y without a point on the curve, as A and as R. */
function encodings(): Case[] {
  const { key, message, signature } = build({ desc: '', a: scalar('a'), r: scalar('r') })
  const ys = [...[0n, 1n, 2n, 3n, 4n, 9n, 18n].map(y => y + P), 2n, 7n]
  return ys.flatMap(y => {
    const bad = toHex(littleEndian(y))
    const name = y >= P ? `p + ${y - P}` : `${y}, off the curve`
    return [
      refused(`A with y = ${name}`, bad, message, signature),
      refused(`R with y = ${name}`, key, message, bad + signature.slice(64)),
    ]
  })
}

function damaged(): Case[] {
  const { key, message, signature } = build({ desc: '', a: scalar('a'), r: scalar('r') })
  return [
    refused('key with a flipped bit', flip(key, 3), message, signature),
    refused('key with the other sign', flip(key, 255), message, signature),
    refused('message with a flipped bit', key, flip(message, 0), signature),
    refused('R with a flipped bit', key, message, flip(signature, 9)),
    refused('R with the other sign', key, message, flip(signature, 255)),
    refused('S with a flipped bit', key, message, flip(signature, 256)),
    refused('S with its highest bit set', key, message, flip(signature, 511)),
    refused('signature of 63 bytes', key, message, signature.slice(2)),
    refused('signature of 65 bytes', key, message, `${signature}00`),
    refused('no signature', key, message, ''),
    refused('key of 31 bytes', key.slice(2), message, signature),
    refused('key of 33 bytes', `${key}00`, message, signature),
    refused('no key', '', message, signature),
    refused('zeros', '00'.repeat(32), message, '00'.repeat(64)),
    refused('ones', 'ff'.repeat(32), message, 'ff'.repeat(64)),
  ]
}

function build(recipe: Recipe): Case {
  const { desc, a, r, tA = 0, tR = 0, addS = 0n, k8 = () => true } = recipe
  const key = recipe.encodeA ?? base(a).add(torsion(tA)).toBytes()
  const R = recipe.encodeR ?? base(r).add(torsion(tR)).toBytes()
  for (let attempt = 0; ; attempt++) {
    const message = utf8(`${desc} ${attempt}`)
    const k = fromLittleEndian(sha512(concat(R, key, message))) % L
    if (!k8(Number(k % 8n))) continue
    const S = ((r + k * a) % L) + addS
    const holds = (BigInt(tR) + k * BigInt(tA)) % 8n === 0n
    // A point has another encoding only if it is small, so that `encodeA` never convicts either.
    const convicts = holds && addS === 0n && a !== 0n && !recipe.encodeR
    return {
      desc,
      key: toHex(key),
      message: toHex(message),
      signature: toHex(concat(R, littleEndian(S))),
      valid: convicts && r !== 0n,
      convicts,
    }
  }
}

function refused(desc: string, key: string, message: string, signature: string): Case {
  return { desc, key, message, signature, valid: false, convicts: false }
}

/** The six non-canonical encodings of points of small order: y + p, and x = 0 with a sign. */
function otherEncodings(): { name: string; point: number; bytes: Uint8Array }[] {
  const sign = 2n ** 255n
  const fourth = Point.fromBytes(littleEndian(0n)) // y = 0, of order 4
  const order4 = [2, 6].find(i => torsion(i).equals(fourth))!
  return [
    { name: 'y = p', point: order4, bytes: littleEndian(P) },
    { name: 'y = p, sign', point: 8 - order4, bytes: littleEndian(P + sign) },
    { name: 'y = p + 1', point: 0, bytes: littleEndian(P + 1n) },
    { name: 'y = p + 1, sign', point: 0, bytes: littleEndian(P + 1n + sign) },
    { name: 'y = 1, sign', point: 0, bytes: littleEndian(1n + sign) },
    { name: 'y = p - 1, sign', point: 4, bytes: littleEndian(P - 1n + sign) },
  ]
}

function base(scalar: bigint): Point {
  return scalar === 0n ? Point.ZERO : Point.BASE.multiply(scalar, false)
}

function scalar(label: string): bigint {
  return fromLittleEndian(sha512(utf8(`waybill ed25519 cases ${label}`))) % L
}

function littleEndian(n: bigint): Uint8Array {
  return fromHex(n.toString(16).padStart(64, '0'))!.reverse()
}

function fromLittleEndian(bytes: Uint8Array): bigint {
  return BigInt(`0x${toHex(bytes.toReversed())}`)
}

function flip(hex: string, bit: number): string {
  const bytes = fromHex(hex)!
  bytes[bit >> 3]! ^= 1 << (bit & 7)
  return toHex(bytes)
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b)
}

if (import.meta.main) {
  const cases = makeCases()
  writeFileSync(join(import.meta.dirname, 'ed25519-cases.json'), `${JSON.stringify(cases, null, 2)}\n`)
  console.log(`${cases.length} cases, ${cases.filter(({ valid }) => valid).length} valid`)
}
