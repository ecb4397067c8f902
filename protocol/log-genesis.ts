/** What a log begins with: whose it is, its number, and the log before it. Nothing in it is free but what the identity says. */
import type { CID } from '../crypto/cid.ts'
import { recordId } from '../crypto/statement.ts'
import type { Identity } from './identity.ts'
import { recordType, type Stored } from './record.ts'
import { type Infer, link, object, optional, text, uint } from './shape.ts'

const genesisShape = object({
  t: text(32),
  org: link,
  number: uint,
  prev: optional(link),
  retentionDays: uint,
})
type LogGenesis = Infer<typeof genesisShape>

/** A log's first record, signed by the organisation's admin key (RULES C2). */
export const logGenesis = recordType({
  t: 'log/1',
  shape: genesisShape,
  signers: { admin: { org: 'org', key: 'admin' } },
})

/**
 * The genesis of the log behind these, by their ids: of the first log when there is none. It follows from the identity, so
 * nobody can make a second one, and its id needs no announcement.
 */
export function genesisAfter({ id, payload }: Stored<Identity>, logs: CID[]): LogGenesis {
  const prev = logs.at(-1)
  return {
    t: 'log/1',
    org: id,
    number: logs.length,
    ...(prev ? { prev } : {}),
    retentionDays: payload.log.retentionDays,
  }
}

export const logAfter = (genesis: Stored<Identity>, logs: CID[]): CID => recordId(genesisAfter(genesis, logs))
