/**
 * Succession (RULES C2, D1, D4): a log that was forked or lost is closed, and the organisation goes on with the next one. The
 * delegate event that names it is all that partners need; its first entry says where the closed log ended.
 */
import { text, u64, utf8 } from '../crypto/bytes.ts'
import { decode, encode } from '../crypto/cbor.ts'
import { parseCheckpoint } from '../crypto/checkpoint.ts'
import { parseNote } from '../crypto/note.ts'
import { bestHead } from './heads.ts'
import type { Chain } from './identity-chain.ts'
import { KEY } from './layout.ts'
import { emptyLedger, type Ledger, record } from './ledger.ts'
import { KIND, logDigest, originHash, originOf, ZERO_HASH } from './log.ts'
import { genesisAfter } from './log-genesis.ts'
import { logNumber } from './log-number.ts'
import { type Context, type Partner, signed } from './machine.ts'
import type { Write } from './output.ts'
import type { Stored } from './record.ts'

/** The log that the chain names now, with its first entry; nothing of the closed one is touched. */
export function begin(chain: Chain, context: Context): { ledger: Ledger; writes: Write[] } {
  const number = chain.logs.length - 1
  const payload = genesisAfter(chain.genesis, chain.logs.slice(0, -1))
  const genesis = signed(payload, [context.sign(payload, 'admin', 'admin')]) as unknown as Stored
  const { wallMs } = context.now
  const before = logNumber(context.get)
  // Where the log before this one was begun elsewhere, its end is not known here.
  const end = before === number - 1 ? endOf(context) : [ZERO_HASH, ZERO_HASH]
  const begun = record({ ...emptyLedger(), number }, [genesis], wallMs, context.slots, {
    kind: KIND.genesis,
    control: [logDigest(chain), ...end],
  })
  const writes = [{ key: KEY.logNumber, value: u64(number) }, ...begun.writes]
  return { ledger: begun.ledger, writes: [...writes, ...setAside(context.self.org, before, context)] }
}

/** Root and size of the closed log, as its best head has them. */
function endOf(context: Context): Uint8Array[] {
  const head = bestHead(context, 0)
  if (!head) return [ZERO_HASH, ZERO_HASH]
  const { root, size } = parseCheckpoint(parseNote(text(head.note)).body)
  const padded = new Uint8Array(32)
  padded.set(u64(size), 24)
  return [root, padded]
}

/** What is held of a partner's log begins anew with its successor; the proof that closed the old one is kept beside it. */
export function followed(partner: Partner, chain: Chain, context: Context): Write[] {
  const before = partner.chain.logs.length
  if (chain.logs.length === before) return []
  const { org } = partner
  return [
    { key: KEY.watch(org) },
    { key: KEY.cosigned(org) },
    { key: KEY.seat(org) },
    { key: KEY.origin(originHash(originOf(chain))), value: utf8(org) },
    ...setAside(org, before - 1, context),
  ]
}

function setAside(org: string, number: number, { get }: Pick<Context, 'get'>): Write[] {
  const proof = get(KEY.fork(org))
  if (!proof) return []
  const closed = `${org}/${number}`
  const stored = get(KEY.forks)!
  const known = (decode(stored, stored.length) as string[]).map(each => (each === org ? closed : each))
  return [
    { key: KEY.fork(org) },
    { key: KEY.fork(closed), value: proof },
    { key: KEY.forks, value: encode(known) },
  ]
}
