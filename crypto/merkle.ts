/**
 * The Merkle tree of a log: RFC 6962 section 2.1, with the verification algorithms of RFC 9162 section 2.1. A tree of
 * n leaves is held as its compact range: the roots of the perfect subtrees that n has in binary, left to right.
 *
 *     size 7 = 4 + 2 + 1        hashes = [ root of 0..3, root of 4..5, leaf 6 ]
 *
 * Sizes and indexes are safe integers and are halved by arithmetic: bit operators would stop at 2^31.
 */
import { equal } from './bytes.ts'
import { CryptoError } from './error.ts'
import { sha256 } from './hash.ts'

const HASH_BYTES = 32
const LEAF_PREFIX = Uint8Array.of(0)
/** A tree of 2^53 leaves has paths this long; a consistency path has one hash more. */
const MAX_PATH = 54

/** The root of the tree without leaves: SHA-256 of nothing. */
export const EMPTY_ROOT: Uint8Array = sha256(new Uint8Array(0))

export interface CompactRange {
  size: number
  /** Roots of the perfect subtrees, left to right, largest first; 32 bytes each. */
  hashes: Uint8Array[]
}

/** The hash of the perfect subtree `index` at `level`: over the leaves index·2^level up to (index + 1)·2^level. */
export type NodeSource = (level: number, index: number) => Uint8Array

/** Told of each subtree that an appended leaf completes, leaf first. */
export type NodeSink = (level: number, index: number, hash: Uint8Array) => void

export const emptyRange: CompactRange = { size: 0, hashes: [] }

/** SHA-256(0x00 ‖ data). */
export function leafHash(data: Uint8Array): Uint8Array {
  return sha256(LEAF_PREFIX, data)
}

/** SHA-256(0x01 ‖ left ‖ right). Throws PROOF_INVALID unless both have 32 bytes. */
export function nodeHash(left: Uint8Array, right: Uint8Array): Uint8Array {
  if (!isHash(left) || !isHash(right)) throw invalid('a hash has not 32 bytes')
  nodeRoom.set(left, 1)
  nodeRoom.set(right, 33)
  return sha256(nodeRoom)
}

/** 0x01 and room for two hashes: trees are most of what a log hashes. */
const nodeRoom = Uint8Array.of(1, ...new Uint8Array(64))

/** The range with one leaf more; `range` stays as it is. Throws PROOF_INVALID unless `leaf` has 32 bytes. */
export function appendLeaf(range: CompactRange, leaf: Uint8Array, onNode?: NodeSink): CompactRange {
  if (!isHash(leaf)) throw invalid('a leaf hash has not 32 bytes')
  if (range.size >= Number.MAX_SAFE_INTEGER) throw invalid('the tree is full')
  const hashes = range.hashes.slice()
  let [level, index, hash] = [0, range.size, leaf]
  onNode?.(level, index, hash)
  while (isOdd(index)) {
    hash = nodeHash(hashes.pop()!, hash)
    level++
    index = half(index)
    onNode?.(level, index, hash)
  }
  hashes.push(hash)
  return { size: range.size + 1, hashes }
}

/** The root of the tree with this range. */
export function rootOf(range: CompactRange): Uint8Array {
  return range.hashes.length === 0
    ? EMPTY_ROOT
    : range.hashes.reduceRight((right, left) => nodeHash(left, right))
}

/** The root over leaf hashes in order. */
export function treeRoot(leafHashes: Uint8Array[]): Uint8Array {
  return rootOf(leafHashes.reduce((range, leaf) => appendLeaf(range, leaf), emptyRange))
}

/**
 * The proof that leaf `index` is in the tree of `size`, from the leaf upwards (RFC 6962 section 2.1.1). Asks `node` for
 * O(log size) subtrees. Throws PROOF_INVALID unless 0 <= index < size.
 */
export function inclusionPath(index: number, size: number, node: NodeSource): Uint8Array[] {
  if (!isSize(index) || !isSize(size) || index >= size) throw invalid(`no leaf ${index} in a tree of ${size}`)
  const path: Uint8Array[] = []
  let [from, to] = [0, size]
  while (to - from > 1) {
    const middle = from + split(to - from)
    if (index < middle) {
      path.push(rangeRoot(middle, to, node))
      to = middle
    } else {
      path.push(rangeRoot(from, middle, node))
      from = middle
    }
  }
  return path.reverse()
}

/**
 * The proof that the tree of `oldSize` is a prefix of the tree of `size` (RFC 6962 section 2.1.2). Throws PROOF_INVALID
 * unless 0 < oldSize <= size: every tree extends the empty one, so there is nothing to prove.
 */
export function consistencyPath(oldSize: number, size: number, node: NodeSource): Uint8Array[] {
  if (!isSize(oldSize) || !isSize(size) || oldSize === 0 || oldSize > size)
    throw invalid(`no proof from size ${oldSize} to ${size}`)
  const path: Uint8Array[] = []
  let [from, to] = [0, size]
  while (oldSize !== to) {
    const middle = from + split(to - from)
    if (oldSize <= middle) {
      path.push(rangeRoot(middle, to, node))
      to = middle
    } else {
      path.push(rangeRoot(from, middle, node))
      from = middle
    }
  }
  // The verifier knows the old root, so it is left out where it is a subtree of its own.
  if (from > 0) path.push(rangeRoot(from, to, node))
  return path.reverse()
}

/** RFC 9162 section 2.1.3.2. `size` must come from a signed head: one proof fits several sizes. Never throws. */
export function verifyInclusion(proof: {
  leaf: Uint8Array
  index: number
  size: number
  path: Uint8Array[]
  root: Uint8Array
}): boolean {
  const { leaf, index, size, path, root } = proof
  if (!isSize(index) || !isSize(size) || index >= size) return false
  if (!isHash(leaf) || !isHash(root) || !isPath(path)) return false
  let [at, last, hash] = [index, size - 1, leaf]
  for (const sibling of path) {
    if (last === 0) return false
    if (isOdd(at) || at === last) {
      hash = nodeHash(sibling, hash)
      while (!isOdd(at) && at > 0) [at, last] = [half(at), half(last)]
    } else {
      hash = nodeHash(hash, sibling)
    }
    ;[at, last] = [half(at), half(last)]
  }
  return last === 0 && equal(hash, root)
}

/**
 * RFC 9162 section 2.1.4.2: whether the tree of (size, root) extends that of (oldSize, oldRoot). False for oldSize 0:
 * first contact is a decision of its own and not a proof. Never throws.
 */
export function verifyConsistency(proof: {
  oldSize: number
  oldRoot: Uint8Array
  size: number
  root: Uint8Array
  path: Uint8Array[]
}): boolean {
  const { oldSize, oldRoot, size, root, path } = proof
  if (!isSize(oldSize) || !isSize(size) || oldSize === 0 || oldSize > size) return false
  if (!isHash(oldRoot) || !isHash(root) || !isPath(path)) return false
  if (oldSize === size) return path.length === 0 && equal(oldRoot, root)
  return path.length > 0 && consistencyHolds(oldSize, oldRoot, size, root, path)
}

function consistencyHolds(
  oldSize: number,
  oldRoot: Uint8Array,
  size: number,
  root: Uint8Array,
  path: Uint8Array[],
): boolean {
  let [at, last] = [oldSize - 1, size - 1]
  while (isOdd(at)) [at, last] = [half(at), half(last)]
  // Step 1: where the old tree is one perfect subtree (at = 0), its root is the first hash and not sent.
  const [first, ...rest] = at === 0 ? [oldRoot, ...path] : path
  let [oldHash, hash] = [first!, first!]
  for (const sibling of rest) {
    if (last === 0) return false
    if (isOdd(at) || at === last) {
      oldHash = nodeHash(sibling, oldHash)
      hash = nodeHash(sibling, hash)
      while (!isOdd(at) && at > 0) [at, last] = [half(at), half(last)]
    } else {
      hash = nodeHash(hash, sibling)
    }
    ;[at, last] = [half(at), half(last)]
  }
  return last === 0 && equal(oldHash, oldRoot) && equal(hash, root)
}

/** The root over leaves from..to, where `from` is a multiple of the largest power of two below. */
function rangeRoot(from: number, to: number, node: NodeSource): Uint8Array {
  const count = to - from
  const left = split(count)
  if (left * 2 === count || count === 1) return node(Math.log2(count), from / count)
  return nodeHash(rangeRoot(from, from + left, node), rangeRoot(from + left, to, node))
}

/** The largest power of two smaller than `count` (RFC 6962 section 2.1); 0.5 for 1, which has no halves. */
function split(count: number): number {
  let power = 0.5
  while (power * 2 < count) power *= 2
  return power
}

function isOdd(n: number): boolean {
  return n % 2 === 1
}

function half(n: number): number {
  return Math.floor(n / 2)
}

function isSize(n: number): boolean {
  return Number.isSafeInteger(n) && n >= 0
}

function isHash(bytes: Uint8Array): boolean {
  return bytes.length === HASH_BYTES
}

function isPath(path: Uint8Array[]): boolean {
  return path.length <= MAX_PATH && path.every(isHash)
}

function invalid(why: string): CryptoError {
  return new CryptoError('PROOF_INVALID', why)
}
