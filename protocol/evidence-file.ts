/** Writing an evidence file. Apart from reading it, because a verifier writes none: evidence.ts says what stands in one. */
import * as CarBufferWriter from '@ipld/car/buffer-writer'
import { encode, type Value } from '../crypto/cbor.ts'
import { type CID, type Codec, cidOf } from '../crypto/cid.ts'
import { codecOf, type Evidence, type EvidenceRoot, PARTS } from './evidence.ts'

/** The file's bytes: root block first, then the parts in the order of the table. */
export function formatEvidence(evidence: Evidence): Uint8Array {
  const blocks: { cid: CID; bytes: Uint8Array }[] = []
  const add = (blockBytes: Uint8Array, codec: Codec): CID => {
    const cid = cidOf(blockBytes, codec)
    if (!blocks.some(block => block.cid.equals(cid))) blocks.push({ cid, bytes: blockBytes })
    return cid
  }
  const named = PARTS.flatMap(name => (evidence.parts[name] ? [[name, evidence.parts[name]] as const] : []))
  const root: EvidenceRoot = {
    t: 'evidence/1',
    claim: evidence.claim,
    parts: Object.fromEntries(named.map(([name, part]) => [name, add(part, codecOf(name))])),
    witnesses: evidence.witnesses.map(each => add(each, 'dag-cbor')),
    events: evidence.events.map(each => add(each, 'dag-cbor')),
    entries: evidence.entries.map(each => add(encode(each as unknown as Value), 'dag-cbor')),
    ...(evidence.redactions ? { redactions: evidence.redactions.map(each => add(each, 'dag-cbor')) } : {}),
    staples: evidence.staples.map(each => add(encode(each as unknown as Value), 'dag-cbor')),
    renewals: evidence.renewals.map(each => add(encode(each as unknown as Value), 'dag-cbor')),
    ...(evidence.committees
      ? { committees: evidence.committees.map(each => add(encode(each as unknown as Value), 'dag-cbor')) }
      : {}),
    ...(evidence.history ? { history: evidence.history } : {}),
  }
  const rootBytes = encode(root as unknown as Value)
  return writeCar([{ cid: cidOf(rootBytes, 'dag-cbor'), bytes: rootBytes }, ...blocks])
}

function writeCar(blocks: { cid: CID; bytes: Uint8Array }[]): Uint8Array {
  const roots = [blocks[0]!.cid]
  const size = blocks.reduce(
    (sum, block) => sum + CarBufferWriter.blockLength(block),
    CarBufferWriter.headerLength({ roots }),
  )
  const writer = CarBufferWriter.createWriter(new ArrayBuffer(size), { roots })
  for (const block of blocks) writer.write(block)
  return writer.close()
}
