/**
 * The own head: when it is due, what is appended before it, and how it is made.
 *
 *     entry appended -> (a beat, or somebody asks) -> padding and a state entry, durable
 *                    -> leaves read back from the disk, MAX_LEAVES at a time -> promised by members (promise.ts) -> signed
 */
import { equal, u64, utf8 } from '../crypto/bytes.ts'
import { digestOf } from '../crypto/cid.ts'
import { rootOf } from '../crypto/merkle.ts'
import { formatNote, signNote } from '../crypto/note.ts'
import { committeeDigest } from './committee.ts'
import { isExpired } from './identity-chain.ts'
import { KEY } from './layout.ts'
import { close, type DraftHead, type Ledger, rootAt } from './ledger.ts'
import { HEAD_BEAT_MS, MAX_LEAVES } from './limits.ts'
import { checkpointOf, originOf, readBack } from './log.ts'
import type { Context } from './machine.ts'
import { join, type Now, nothing, type Output, type Write } from './output.ts'
import type { State } from './state.ts'

interface Beat {
  ledger: Ledger
  output: Output
}

/** The machine under whose name the driver keeps the deadline. */
const MACHINE = 'log'

/** Asks for a head on the beat, unless one is due or being made already. */
export function due(ledger: Ledger, context: Context): Beat {
  if (isUnderWay(ledger) || isCovered(ledger) || ledger.dueMs < Number.POSITIVE_INFINITY)
    return { ledger, output: nothing() }
  const [jitter] = context.random('beat', 1)
  return arm(ledger, context.now.monoMs + Math.round(HEAD_BEAT_MS * (0.5 + jitter! / 256)))
}

/** Asks for a head now, or `gapMs` after the last one. While one is being made, whoever asked asks again. */
export function demand(ledger: Ledger, gapMs: number, now: Now): Beat {
  const atMs = Math.max(now.monoMs, ledger.madeMs + gapMs)
  if (isUnderWay(ledger) || isCovered(ledger) || ledger.dueMs <= atMs) return { ledger, output: nothing() }
  return arm(ledger, atMs)
}

/** Leaves are being read back, or what was read waits for promises. */
const isUnderWay = ({ reading, draft }: Ledger): boolean => reading !== undefined || draft !== undefined

const isCovered = ({ tail, signed }: Ledger): boolean => tail.range.size === signed.range.size

function arm(ledger: Ledger, atMs: number): Beat {
  return {
    ledger: { ...ledger, dueMs: atMs },
    output: { ...nothing(), deadlines: [{ machine: MACHINE, atMs }] },
  }
}

/** A head is due: closes the log for it, unless that is done already, and asks for the leaves that no head covers. */
export function beat(before: Ledger, context: Context): Beat {
  const done = arm(before, Number.POSITIVE_INFINITY)
  if (before.reading || isCovered(before)) return done
  // Entries wait for another log key, and so for a head.
  if (isExpired(context.self.chain, 'log', context.now.wallMs)) return done
  const { tail, stated, signed } = before
  const { wallMs } = context.now
  const closed =
    stated === tail.range.size
      ? { ledger: done.ledger, writes: [] }
      : close(done.ledger, stateNow(context), wallMs, context.random('padding', 32), context.pad)
  const to = closed.ledger.tail.range.size
  const { draft: _, ...ledger } = closed.ledger
  return {
    ledger: { ...ledger, reading: { to, tail: signed } },
    output: { ...done.output, writes: closed.writes, events: [askLeaves(ledger, signed.range.size, to)] },
  }
}

/** What holds now, as the own store has it. */
const stateNow = (context: Pick<Context, 'self' | 'get'>): Pick<State, 'identity' | 'committee'> => ({
  identity: digestOf(context.self.chain.last),
  committee: committeeDigest(context.get),
})

/** The state that holds now as an entry; before it the one that held until now, if anything was logged under that. */
export function state(
  ledger: Ledger,
  before: Context,
  context: Context,
): Pick<Beat, 'ledger'> & { writes: Write[] } {
  const closed = (from: Ledger, of: Context, label: string) =>
    close(from, stateNow(of), context.now.wallMs, context.random(label, 32), context.pad)
  if (ledger.stated === ledger.tail.range.size) return closed(ledger, context, 'state')
  const first = closed(ledger, before, 'state before')
  const second = closed(first.ledger, context, 'state')
  return { ledger: second.ledger, writes: join(writesOf(first.writes), writesOf(second.writes)).writes }
}

const writesOf = (writes: Write[]): Output => ({ ...nothing(), writes })

const chunkEnd = (from: number, to: number): number => Math.min(to, from + MAX_LEAVES)

/** Whether these leaves are wanted: a log that was closed or cut since wants others. */
export const isRead = ({ number, reading }: Ledger, log: number, from: number): boolean =>
  number === log && reading?.tail.range.size === from

const askLeaves = ({ number }: Ledger, from: number, to: number): Output['events'][number] => ({
  type: 'ask-leaves',
  log: number,
  from,
  to: chunkEnd(from, to),
})

/**
 * The next head over leaves that were read back from the store after their commit (RULES A4): they must continue the last
 * signed head. Returns why not, which is a damaged store.
 */
export function draftHead(
  ledger: Ledger,
  { log, from, entries }: { log: number; from: number; entries: Uint8Array[] },
  { get }: Context,
): Beat | { damaged: string } {
  // Asked for before a restart, or of a log that is closed.
  if (!isRead(ledger, log, from)) return { ledger, output: nothing() }
  const { to, tail: before } = ledger.reading!
  const tail = readBack(before, entries)
  if ('reason' in tail) return { damaged: tail.reason }
  const { size } = tail.range
  if (size !== chunkEnd(from, to)) return { damaged: `${size} entries read back of ${chunkEnd(from, to)}` }
  if (size < to)
    return {
      ledger: { ...ledger, reading: { to, tail } },
      output: { ...nothing(), events: [askLeaves(ledger, size, to)] },
    }
  if (!equal(rootAt(ledger, get, size), rootOf(tail.range)))
    return { damaged: 'entries read back give another root' }
  const { reading: _, ...rest } = ledger
  return { ledger: { ...rest, draft: { tail, given: [], again: [], sent: 0 } }, output: nothing() }
}

/** Signs the draft: as many members as it takes have promised it (RULES D1). */
export function signHead(ledger: Ledger, { tail }: DraftHead, context: Context): Beat {
  const { size } = tail.range
  const origin = originOf(context.self.chain)
  const body = checkpointOf(origin, tail)
  const note = formatNote({ body, lines: [signNote(body, origin, context.noteKey('log'))] })
  const { draft: _, ...rest } = ledger
  const output: Output = {
    ...nothing(),
    writes: [
      { key: KEY.head(size), value: utf8(note), if: 'absent' },
      { key: KEY.newestHead, value: u64(size) },
      // As it was: what was written long ago takes a start longer to find, and what is absent longest.
      { key: KEY.logNumber, value: u64(ledger.number) },
    ],
    events: [{ type: 'head', size }],
  }
  return { ledger: { ...rest, signed: tail, madeMs: context.now.monoMs }, output }
}
