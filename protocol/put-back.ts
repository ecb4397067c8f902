/**
 * The mark of a store that was put back or copied, for what it witnesses: which heads were promised and cosigned since the
 * copy was made is not known here, nor of which logs. So every seat in a log ends that is not newer than the mark, as those
 * in committees of assets do (RULES D1, E3). It lies outside of what is kept of any one log: a log that was forgotten with
 * its promises comes back as one that is new.
 */
import { type Chain, standingOf } from './identity-chain.ts'
import { KEY } from './layout.ts'
import { type Context, decodeState, encodeState } from './machine.ts'
import type { Write } from './output.ts'

interface PutBack {
  /** When it was noticed. */
  atMs: number
  /** Epoch of the witness key that stood then. */
  epoch: number
}

export const LOST_TEXT =
  'the store of this witness was put back: it signs nothing in a log from before that was noticed, only in a successor'

/** Before this witness cosigns logs of other kinds again. */
export const FOREIGN_LOST_TEXT =
  'the store of this witness was put back: it cosigns again under another witness key'

/** The newest mark stands: what was begun after an older one may have been forgotten too. */
export const putBack = ({ self, now }: Pick<Context, 'self' | 'now'>): Write => {
  const mark: PutBack = { atMs: now.wallMs, epoch: epochOf(self.chain) }
  return { key: KEY.putBack, value: encodeState(mark) }
}

/**
 * Whether this store may have forgotten what it signed in the active log of a partner. One that is dated ahead of the mark
 * passes for newer: no date is a reason to refuse it before (RULES A5).
 */
export function isLost({ chain }: { chain: Chain }, { get }: Pick<Context, 'get'>): boolean {
  const mark = read(get)
  return mark !== undefined && begunMs(chain) <= mark.atMs
}

/** The same of the logs of other kinds: whether the key that cosigns them is the one of before. */
export function isForeignLost({ get, self }: Pick<Context, 'get' | 'self'>): boolean {
  return read(get)?.epoch === epochOf(self.chain)
}

function read(get: Context['get']): PutBack | undefined {
  const stored = get(KEY.putBack)
  return stored && decodeState(stored)
}

const epochOf = (chain: Chain): number => standingOf(chain, 'witness')?.epoch ?? 0

/** The date that the admin key gave the event by which the active log began. */
function begunMs({ genesis, events }: Chain): number {
  const succession = events.findLast(({ payload }) => payload.t === 'delegate/1' && 'log' in payload)
  return succession?.payload.made ?? genesis.payload.made
}
