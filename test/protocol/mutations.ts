/**
 * Every change of one place of a value, walked along the definition of its record: each field altered, left out and added
 * to, each optional field that is not there put in, lists cut, grown and turned. Where a definition says no more than
 * "a text" or "32 bytes", the value itself says what there is to change.
 */
import { concat } from '../../crypto/bytes.ts'
import type { Value } from '../../crypto/cbor.ts'
import { asCid, type CID, cidOf } from '../../crypto/cid.ts'
import { agreement, offer } from '../../protocol/agreement.ts'
import { asset, packet } from '../../protocol/asset.ts'
import { committee } from '../../protocol/committee-record.ts'
import {
  type CommitteePart,
  committeePart,
  type EntryPart,
  entryPart,
  PARTS,
  type PartName,
  rootShape,
  type StaplePart,
  staplePart,
} from '../../protocol/evidence.ts'
import { identityGenesis } from '../../protocol/identity.ts'
import { delegate } from '../../protocol/identity-chain.ts'
import { entryShape } from '../../protocol/log.ts'
import { opened, received, release } from '../../protocol/receipt.ts'
import { blob, bytes, list, object, type Shape, text, uint } from '../../protocol/shape.ts'

type Tree = { [key: string]: Value }
type Definition = Shape<unknown>

export interface Mutation {
  path: string
  value: Value
}

const signature = object({ k: bytes(32), a: uint, r: text(32), s: blob(4096) })
const signed = (type: { shape: Definition }): Definition => object({ p: type.shape, s: list(signature, 64) })
const TYPES: Partial<Record<PartName, { shape: Definition }>> = {
  provider: identityGenesis,
  consumer: identityGenesis,
  asset,
  packet,
  offer,
  agreement,
  received,
  release,
  opened,
}

/** Parts that are records, whose ids other parts name. */
export const RECORDS = PARTS.filter(name => TYPES[name])

/** What a record, an entry, what an evidence file says of an entry, and the root of such a file are made of. */
export const DEFINITIONS = {
  ...(Object.fromEntries(RECORDS.map(name => [name, signed(TYPES[name]!)])) as Record<PartName, Definition>),
  witness: signed(identityGenesis),
  entry: entryShape as Definition,
  entryPart: entryPart as Shape<EntryPart> as Definition,
  staple: staplePart as Shape<StaplePart> as Definition,
  event: signed(delegate),
  committeePart: committeePart as Shape<CommitteePart> as Definition,
  committee: signed(committee),
  claim: rootShape as Definition,
}

/** Changes of a value of this definition. `others` are links that stand for something else somewhere. */
export function* mutations(value: Value, others: CID[] = [], definition?: Definition): Generator<Mutation> {
  for (const [at, changed] of changes(value, others, '', definition))
    yield { path: at.trim(), value: changed }
}

/** Where a definition has fields, at any depth: `.p.policy.permissions[].action`. */
export function* placesOf(definition: Definition, path = ''): Generator<string> {
  if (definition.item) yield* placesOf(definition.item, `${path}[]`)
  for (const [key, shape] of Object.entries(definition.fields ?? {})) {
    yield `${path}.${key}`
    yield* placesOf(shape, `${path}.${key}`)
  }
}

/** The place of a definition that a mutation is about. */
export const placeOf = (path: string): string => path.split(' ')[0]!.replaceAll(/\[\d+\]/g, '[]')

type Change = [path: string, value: Value]

function* changes(value: Value, others: CID[], path: string, definition?: Definition): Generator<Change> {
  const link = asCid(value)
  if (link) yield* linkChanges(link, others, path)
  else if (typeof value === 'number') {
    yield [`${path} + 1`, value + 1]
    if (value > 0) yield [`${path} = 0`, 0]
    yield [`${path} = -1`, -1]
  } else if (typeof value === 'string') {
    yield [`${path} longer`, `${value}x`]
    yield [`${path} empty`, '']
    if (/\/1$/.test(value)) yield [`${path} next version`, value.replace(/1$/, '2')]
  } else if (typeof value === 'boolean') yield [`${path} negated`, !value]
  else if (value instanceof Uint8Array) yield* bytesChanges(value, path)
  else if (Array.isArray(value)) yield* listChanges(value, others, path, definition)
  else if (value !== null) yield* mapChanges(value as Tree, others, path, definition)
}

function* linkChanges(link: CID, others: CID[], path: string): Generator<Change> {
  yield [`${path} other digest`, cidOf(link.bytes, 'dag-cbor')]
  const other = others.find(each => !each.equals(link))
  if (other) yield [`${path} other link`, other]
}

function* bytesChanges(value: Uint8Array, path: string): Generator<Change> {
  const flip = (i: number) => value.map((byte, at) => (at === i ? byte ^ 1 : byte))
  yield [`${path} first byte`, flip(0)]
  yield [`${path} last byte`, flip(value.length - 1)]
  yield [`${path} shorter`, value.slice(0, -1)]
  yield [`${path} longer`, concat(value, Uint8Array.of(0))]
}

function* listChanges(
  value: Value[],
  others: CID[],
  path: string,
  definition?: Definition,
): Generator<Change> {
  if (value.length > 0) yield [`${path} without last`, value.slice(0, -1)]
  if (value.length > 0) yield [`${path} last twice`, [...value, value.at(-1)!]]
  if (value.length > 1) yield [`${path} turned`, value.toReversed()]
  const { item } = definition ?? {}
  if (item && value.length === 0)
    for (const [at, sample] of samples(item, others, `${path}[]`)) yield [`${at} put in`, [sample]]
  for (const [i, each] of value.entries())
    for (const [at, changed] of changes(each, others, `${path}[${i}]`, item))
      yield [at, value.with(i, changed)]
}

function* mapChanges(value: Tree, others: CID[], path: string, definition?: Definition): Generator<Change> {
  const fields = definition?.fields
  yield [`${path} with more`, { ...value, zz: 1 }]
  for (const [key, each] of Object.entries(value)) {
    if (fields && !fields[key]) throw new Error(`${path}.${key} is not defined`)
    const { [key]: _, ...rest } = value
    yield [`${path}.${key} left out`, rest]
    for (const [at, changed] of changes(each, others, `${path}.${key}`, fields?.[key]))
      yield [at, { ...value, [key]: changed }]
  }
  for (const [key, shape] of Object.entries(fields ?? {}))
    if (!Object.hasOwn(value, key))
      for (const [at, sample] of samples(shape, others, `${path}.${key}`))
        yield [`${at} put in`, { ...value, [key]: sample }]
}

/** Values that fit a definition: one with what it must have, and one for each place below that it may have. */
function* samples(definition: Definition, others: CID[], path: string): Generator<Change> {
  const { fields, item } = definition
  if (item) {
    yield [path, []]
    for (const [at, sample] of samples(item, others, `${path}[]`)) yield [at, [sample]]
  } else if (fields) {
    const names = Object.keys(fields).filter(key => !fields[key]!.optional)
    const least = Object.fromEntries(names.map(key => [key, sampleOf(fields[key]!, others)]))
    yield [path, least]
    for (const [key, shape] of Object.entries(fields))
      for (const [at, sample] of samples(shape, others, `${path}.${key}`))
        yield [at, { ...least, [key]: sample }]
  } else yield [path, sampleOf(definition, others)]
}

function sampleOf(definition: Definition, others: CID[]): Value {
  const { fields, item } = definition
  if (fields || item) return samples(definition, others, '').next().value[1]
  const candidates = [
    7,
    'x',
    true,
    ...others.slice(0, 1),
    new Uint8Array(32),
    new Uint8Array(16),
    [],
  ] as Value[]
  const fitting = candidates.find(each => definition.check(each, '') === undefined)
  if (fitting === undefined) throw new Error(`nothing fits: ${definition.check('x', 'it')}`)
  return fitting
}
