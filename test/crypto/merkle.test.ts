import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import * as assert from 'uvu/assert'
import { concat, fromHex, toHex, utf8 } from '../../crypto/bytes.ts'
import { sha256 } from '../../crypto/hash.ts'
import {
  appendLeaf,
  type CompactRange,
  consistencyPath,
  EMPTY_ROOT,
  emptyRange,
  inclusionPath,
  leafHash,
  nodeHash,
  rootOf,
  treeRoot,
  verifyConsistency,
  verifyInclusion,
} from '../../crypto/merkle.ts'
import { SHARED, sameBytes, suite, throwsCode } from '../harness.ts'

const test = suite('crypto/merkle')
const TESTDATA = join(SHARED, 'vectors', 'merkle-testdata', 'testdata')
const MAX = 200

/** A tree of `MAX` leaves with every completed node, and its roots at each size. */
const leaves = Array.from({ length: MAX }, (_, i) => leafHash(utf8(`leaf ${i}`)))
const nodes = new Map<string, Uint8Array>()
const roots: Uint8Array[] = [EMPTY_ROOT]
const ranges: CompactRange[] = [emptyRange]
for (const leaf of leaves) {
  ranges.push(appendLeaf(ranges.at(-1)!, leaf, (level, index, hash) => nodes.set(`${level}/${index}`, hash)))
  roots.push(rootOf(ranges.at(-1)!))
}
const node = (level: number, index: number): Uint8Array => {
  const hash = nodes.get(`${level}/${index}`)
  if (!hash) throw new Error(`node ${level}/${index} was never complete`)
  return hash
}

/** RFC 6962 section 2.1, word by word. */
function plainRoot(data: Uint8Array[]): Uint8Array {
  if (data.length === 0) return sha256()
  if (data.length === 1) return sha256(Uint8Array.of(0), data[0]!)
  let k = 1
  while (2 * k < data.length) k *= 2
  return sha256(Uint8Array.of(1), plainRoot(data.slice(0, k)), plainRoot(data.slice(k)))
}

const flipped = (hash: Uint8Array, bit: number): Uint8Array => {
  const copy = hash.slice()
  copy[(bit >> 3) % copy.length]! ^= 1 << (bit & 7)
  return copy
}

test('roots of the RFC 6962 reference tree', () => {
  // The eight inputs that the Certificate Transparency implementations share, and their roots at each size.
  const inputs = [
    '',
    '00',
    '10',
    '2021',
    '3031',
    '40414243',
    '5051525354555657',
    '606162636465666768696a6b6c6d6e6f',
  ]
  const expected = [
    'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
    '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
    'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
    'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
    'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
    '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
    '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
    'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
    '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
  ]
  const data = inputs.map(hex => fromHex(hex)!)
  expected.forEach((root, size) => {
    assert.is(toHex(treeRoot(data.slice(0, size).map(leafHash))), root, `size ${size}`)
    assert.is(toHex(plainRoot(data.slice(0, size))), root, `size ${size}`)
  })
})

test('RFC 6962 section 2.1.3: the paths and proofs of the tree with seven leaves', () => {
  // Names are those of the RFC's figure: d0 to d6 are inputs, a to f and j their leaves, g to i, k and l nodes.
  const inputs = [0, 1, 2, 3, 4, 5, 6].map(i => utf8(`d${i}`))
  const [a, b, c, d, e, f, j] = inputs.map(leafHash) as Uint8Array[]
  const [g, h, i] = [nodeHash(a!, b!), nodeHash(c!, d!), nodeHash(e!, f!)]
  const k = nodeHash(g, h)
  const l = nodeHash(i, j!)
  const hash = nodeHash(k, l)
  sameBytes(treeRoot([a, b, c, d, e, f, j] as Uint8Array[]), hash)
  const tree: Record<string, Uint8Array> = { '1/0': g, '1/1': h, '1/2': i, '2/0': k }
  for (const [at, leaf] of [a, b, c, d, e, f, j].entries()) tree[`0/${at}`] = leaf!
  const nodeAt = (level: number, index: number): Uint8Array => tree[`${level}/${index}`]!
  const inclusion: [index: number, path: Uint8Array[]][] = [
    [0, [b!, h, l]],
    [3, [c!, g, l]],
    [4, [f!, j!, k]],
    [6, [i, k]],
  ]
  for (const [index, path] of inclusion) {
    assert.equal(inclusionPath(index, 7, nodeAt).map(toHex), path.map(toHex), `PATH(${index}, D[7])`)
    assert.ok(verifyInclusion({ leaf: nodeAt(0, index), index, size: 7, path, root: hash }))
  }
  const old = { 3: nodeHash(g, c!), 4: k, 6: nodeHash(k, i) }
  const consistency: [oldSize: 3 | 4 | 6, path: Uint8Array[]][] = [
    [3, [c!, d!, g, l]],
    [4, [l]],
    [6, [i, j!, k]],
  ]
  for (const [oldSize, path] of consistency) {
    assert.equal(consistencyPath(oldSize, 7, nodeAt).map(toHex), path.map(toHex), `PROOF(${oldSize}, D[7])`)
    assert.ok(verifyConsistency({ oldSize, oldRoot: old[oldSize], size: 7, root: hash, path }))
  }
})

test('a range holds one hash per binary one, and appending leaves the old range as it is', () => {
  for (let size = 0; size <= MAX; size++) {
    const range = ranges[size]!
    assert.is(range.size, size)
    assert.is(range.hashes.length, size.toString(2).replaceAll('0', '').length)
    sameBytes(rootOf(range), plainRoot(leaves.slice(0, size).map((_, i) => utf8(`leaf ${i}`))))
  }
  assert.equal(emptyRange, { size: 0, hashes: [] })
  sameBytes(treeRoot(leaves), roots[MAX]!)
})

test('inclusion of every leaf in every tree', () => {
  let ran = 0
  for (let size = 1; size <= MAX; size++)
    for (let index = 0; index < size; index++) {
      const path = inclusionPath(index, size, node)
      const proof = { leaf: leaves[index]!, index, size, path, root: roots[size]! }
      assert.ok(verifyInclusion(proof), `${index} of ${size}`)
      ran++
      if (ran % 7 > 0) continue
      assert.not(verifyInclusion({ ...proof, root: flipped(proof.root, ran) }))
      assert.not(verifyInclusion({ ...proof, leaf: flipped(proof.leaf, ran) }))
      assert.not(verifyInclusion({ ...proof, path: [...path, roots[1]!] }))
      assert.not(verifyInclusion({ ...proof, index: index + 1 }))
      if (path.length === 0) continue
      assert.not(verifyInclusion({ ...proof, path: path.slice(1) }))
      assert.not(
        verifyInclusion({
          ...proof,
          path: path.with(ran % path.length, flipped(path[ran % path.length]!, ran)),
        }),
      )
    }
  console.log(`inclusion proofs: ${ran}`)
})

test('consistency of every pair of trees', () => {
  let ran = 0
  for (let size = 1; size <= MAX; size++)
    for (let oldSize = 1; oldSize <= size; oldSize++) {
      const path = consistencyPath(oldSize, size, node)
      const proof = { oldSize, oldRoot: roots[oldSize]!, size, root: roots[size]!, path }
      assert.ok(verifyConsistency(proof), `${oldSize} to ${size}`)
      ran++
      if (ran % 7 > 0) continue
      assert.not(verifyConsistency({ ...proof, root: flipped(proof.root, ran) }))
      assert.not(verifyConsistency({ ...proof, oldRoot: flipped(proof.oldRoot, ran) }))
      assert.not(verifyConsistency({ ...proof, path: [...path, roots[1]!] }))
      if (path.length === 0) continue
      assert.not(verifyConsistency({ ...proof, oldSize: size, size: oldSize }))
      assert.not(verifyConsistency({ ...proof, path: path.slice(1) }))
      assert.not(
        verifyConsistency({
          ...proof,
          path: path.with(ran % path.length, flipped(path[ran % path.length]!, ran)),
        }),
      )
    }
  console.log(`consistency proofs: ${ran}`)
})

test('a tree of more than 2^31 leaves proves like any other', () => {
  const same = (level: number): Uint8Array => {
    while (uniform.length <= level) uniform.push(nodeHash(uniform.at(-1)!, uniform.at(-1)!))
    return uniform[level]!
  }
  const uniform = [leaves[0]!]
  const rangeOf = (size: number): CompactRange => {
    const levels = Array.from(size.toString(2)).flatMap((bit, i, all) =>
      bit === '1' ? [all.length - 1 - i] : [],
    )
    return { size, hashes: levels.map(same) }
  }
  const size = 2 ** 40 + 2 ** 33 + 5
  const root = rootOf(rangeOf(size))
  for (const index of [0, 2 ** 31, 2 ** 32 + 1, 2 ** 40, size - 1]) {
    const path = inclusionPath(index, size, same)
    assert.ok(verifyInclusion({ leaf: leaves[0]!, index, size, path, root }), String(index))
    assert.not(verifyInclusion({ leaf: leaves[1]!, index, size, path, root }))
  }
  for (const oldSize of [1, 2 ** 31 + 1, 2 ** 40, size - 1]) {
    const path = consistencyPath(oldSize, size, same)
    assert.ok(verifyConsistency({ oldSize, oldRoot: rootOf(rangeOf(oldSize)), size, root, path }))
  }
  assert.equal(appendLeaf(rangeOf(size), leaves[0]!), rangeOf(size + 1))
})

test('what is no hash, no size or no proof is refused', () => {
  const [short, root] = [new Uint8Array(31), roots[1]!]
  throwsCode(() => nodeHash(short, root), 'PROOF_INVALID')
  throwsCode(() => appendLeaf(emptyRange, short), 'PROOF_INVALID')
  for (const [index, size] of [
    [0, 0],
    [3, 3],
    [-1, 3],
    [0.5, 3],
    [0, 2 ** 53],
  ] as const)
    throwsCode(() => inclusionPath(index, size, node), 'PROOF_INVALID', `${index} of ${size}`)
  for (const [old, size] of [
    [0, 3],
    [4, 3],
    [0, 0],
    [1.5, 3],
  ] as const)
    throwsCode(() => consistencyPath(old, size, node), 'PROOF_INVALID', `${old} to ${size}`)
  const inclusion = { leaf: root, index: 0, size: 1, path: [], root }
  assert.ok(verifyInclusion(inclusion))
  const empty = new Uint8Array(0)
  for (const change of [
    { leaf: empty, root: empty },
    { root: short },
    { index: -1 },
    { size: 0 },
    { size: 1.5 },
  ])
    assert.not(verifyInclusion({ ...inclusion, ...change }))
  assert.not(verifyInclusion({ ...inclusion, size: 2, path: [short] }))
  assert.not(verifyInclusion({ ...inclusion, size: 2 ** 52, path: new Array(1000).fill(root) }))
  const same = { oldSize: 1, oldRoot: root, size: 1, root, path: [] }
  assert.ok(verifyConsistency(same))
  assert.not(verifyConsistency({ ...same, oldSize: 0, oldRoot: EMPTY_ROOT }))
  assert.not(verifyConsistency({ ...same, oldSize: 0, oldRoot: EMPTY_ROOT, size: 0, root: EMPTY_ROOT }))
  assert.not(verifyConsistency({ ...same, size: 2 }))
})

test('arbitrary proofs neither verify nor throw', () => {
  const hash = fc.uint8Array({ minLength: 31, maxLength: 33 })
  const size = fc.oneof(fc.nat(20), fc.maxSafeInteger())
  fc.assert(
    fc.property(hash, hash, size, size, fc.array(hash, { maxLength: 8 }), (leaf, root, index, size, path) => {
      if (size !== 1) assert.not(verifyInclusion({ leaf, index, size, path, root }))
      if (size !== index) assert.not(verifyConsistency({ oldSize: index, oldRoot: leaf, size, root, path }))
    }),
  )
})

/** Every JSON file below a folder of the shared vectors. */
function vectors(kind: string): { name: string; data: Record<string, unknown> }[] {
  const root = join(TESTDATA, kind)
  return readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter(name => name.endsWith('.json'))
    .map(name => ({ name: `${kind}/${name}`, data: JSON.parse(readFileSync(join(root, name), 'utf8')) }))
}

const base64 = (text: unknown): Uint8Array =>
  new Uint8Array(Buffer.from((text as string | null) ?? '', 'base64'))
const path = (list: unknown): Uint8Array[] => ((list as string[] | null) ?? []).map(base64)

if (existsSync(TESTDATA))
  test('shared Merkle vectors, right and wrong ones', () => {
    const inclusion = vectors('inclusion')
    for (const { name, data } of inclusion) {
      const { leafIdx, treeSize, root, leafHash, proof, wantErr } = data
      const [index, size] = [Number(leafIdx), Number(treeSize)]
      const ok = verifyInclusion({
        leaf: base64(leafHash),
        index,
        size,
        path: path(proof),
        root: base64(root),
      })
      assert.is(ok, !wantErr, name)
    }
    const consistency = vectors('consistency')
    for (const { name, data } of consistency) {
      const { size1, size2, root1, root2, proof, wantErr } = data
      const [oldRoot, root] = [base64(root1), base64(root2)]
      const ok = verifyConsistency({
        oldSize: Number(size1),
        oldRoot,
        size: Number(size2),
        root,
        path: path(proof),
      })
      // One vector has equal roots that are 12 bytes long, which we refuse as no hashes.
      const hashes = oldRoot.length === 32 && root.length === 32
      assert.is(ok, !wantErr && hashes, name)
    }

    assert.equal([inclusion.length, consistency.length], [46, 52], 'all of them')
    console.log(`merkle-testdata: ${inclusion.length} inclusion, ${consistency.length} consistency`)
  })
else test.skip('shared Merkle vectors', `no ${TESTDATA}`)

test('leaf and node hashes live in different domains', () => {
  const [a, b] = [leaves[0]!, leaves[1]!]
  assert.is.not(toHex(leafHash(concat(a, b))), toHex(nodeHash(a, b)))
})

test.run()
