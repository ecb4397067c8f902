/** Re-checks a whole log from its bundles, wherever they come from: the own daemon, or anybody's HTTP. */
import { utf8 } from '../crypto/bytes.ts'
import { leafHash } from '../crypto/merkle.ts'
import { Audit, type AuditReport } from '../protocol/audit.ts'
import { identityGenesis } from '../protocol/identity.ts'
import { type Chain, isRefused, readChain } from '../protocol/identity-chain.ts'
import { isStored, readRecord } from '../protocol/record.ts'
import { bundles, parseBundle, tilePath } from '../protocol/tiles.ts'
import { WaybillError } from './error.ts'

export type { AuditReport } from '../protocol/audit.ts'

/** A log to be audited. */
export interface LogSource {
  /** Identity and events in base64: of the log's owner, then of those who may cosign. */
  identities: { identity: string; events: string[] }[]
  /** Signed notes, and how many entries are at hand. */
  heads: string[]
  size: number
  tile(path: string): Promise<Uint8Array>
}

/** The verdict, and the proof of a fork where one was found. */
export async function audit(
  source: LogSource,
  onProgress: (done: number) => void = () => {},
): Promise<{ report: AuditReport; fork?: Uint8Array }> {
  const [chain, ...witnesses] = source.identities.map(chainOf)
  if (!chain) throw new WaybillError('NOT_FOUND', 'nobody is named whose log this is')
  const audit = new Audit(chain, source.heads.map(utf8), witnesses)
  for await (const entries of read(source)) {
    if (typeof entries === 'string') audit.missing(entries)
    else audit.take(entries)
    onProgress(audit.size)
  }
  const report = audit.report()
  const proof = audit.isForked ? audit.proof(await leavesOf(source)) : undefined
  return { report, ...(proof ? { fork: proof } : {}) }
}

/** Bundle after bundle, the next one under way while one is checked; a text says why there are no more. */
async function* read({ tile, size }: LogSource): AsyncGenerator<Uint8Array[] | string> {
  const names = [...bundles(0, size)]
  let next = names[0] && tile(tilePath(names[0]))
  for (const [i, name] of names.entries()) {
    const bytes = await next!
    const following = names[i + 1]
    next = following && tile(tilePath(following))
    next?.catch(() => {}) // it is looked at when its turn comes
    const entries = parseBundle(bytes, name.width)
    yield entries ?? `${tilePath(name)} is no bundle of ${name.width} entries`
    if (!entries) return
  }
}

async function leavesOf(source: LogSource): Promise<Uint8Array[]> {
  const leaves: Uint8Array[] = []
  for await (const entries of read(source))
    if (typeof entries !== 'string') leaves.push(...entries.map(leafHash))
  return leaves
}

function chainOf({ identity, events }: LogSource['identities'][number]): Chain {
  const genesis = readRecord(identityGenesis, fromBase64(identity))
  const chain = isStored(genesis) ? readChain(genesis, events.map(fromBase64)) : undefined
  if (!chain || isRefused(chain))
    throw new WaybillError(
      'RECORD_INVALID',
      `an identity does not hold: ${chain ? chain.reason : 'unreadable'}`,
    )
  return chain
}

const fromBase64 = (text: string): Uint8Array => Uint8Array.from(atob(text), char => char.charCodeAt(0))
