/**
 * Whether a home is where it was, and as new as it was (RULES D1). Two marks tell:
 *
 *     HOME/place                    the number (inode) of this very file: a copy of it has another
 *     STATE/waybill/ORG/mark.json   outside of the home: which place this machine ran last, and how long its log was
 *
 * A restart, a crash, a reboot and a move within a disk change neither. A copied folder, a home put back from an archive
 * and an old store under the new mark are noticed. Beside the mark stand the words by which records were redacted, so that
 * a store put back on this machine does not bring them back.
 */
import {
  appendFileSync,
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { Restored } from '../protocol/restored.ts'
import { temporaryName } from './file.ts'

/**
 * How far a home has come: the number of its log, the entries of that, how often its seats all ended, votes cast on assets,
 * own identity events. Marks of before the last three were counted have none.
 */
interface Extent {
  log: number
  size: number
  ended?: number
  votes?: number
  events?: number
}

interface Mark extends Extent {
  /** The place that ran last on this machine. */
  place: string
  /**
   * A mark before this one was lost when this home had been given so many seats: nothing shows that their votes are all
   * in the store. Marks of before do not say how many.
   */
  unproven?: true | number
}

/** Of votes that were cast before all seats ended none is missed. */
const lacksVotes = (one: Extent, other: Extent): boolean =>
  (one.ended ?? 0) < (other.ended ?? 0) ||
  ((one.ended ?? 0) === (other.ended ?? 0) && (one.votes ?? 0) < (other.votes ?? 0))

const lacksEntries = (one: Extent, other: Extent): boolean =>
  one.log < other.log || (one.log === other.log && one.size < other.size)

const isShort = (one: Extent, other: Extent): boolean =>
  lacksEntries(one, other) || lacksVotes(one, other) || (one.events ?? 0) < (other.events ?? 0)

/** What either has come to, each by itself. */
function furthest(one: Extent, other: Extent): Extent {
  const { log, size } = lacksEntries(one, other) ? other : one
  const { ended = 0, votes = 0 } = lacksVotes(one, other) ? other : one
  return { log, size, ended, votes, events: Math.max(one.events ?? 0, other.events ?? 0) }
}

/** From one write of the mark to the next. */
const PAUSE_MS = 100

const STATE = (): string => process.env.XDG_STATE_HOME || join(homedir(), '.local', 'state')

export class Place {
  readonly #home: string
  readonly #dir: string
  #mark: Mark | undefined
  #pause: NodeJS.Timeout | undefined
  /** How far the store has come, for the next write of the mark. */
  #waiting: (() => Extent | undefined) | undefined
  #closed = false

  constructor(home: string, org: string) {
    this.#home = home
    this.#dir = join(STATE(), 'waybill', org)
    this.#mark = readJson<Mark>(join(this.#dir, 'mark.json'))
  }

  /** Why the store cannot be taken for the one that ran here last; `begun` says that it has run before. */
  doubt(extent: Extent, begun: boolean): Restored['why'] | undefined {
    if (existsSync(join(this.#home, RESTORED))) return 'restored'
    if (this.#mark && isShort(extent, this.#mark)) return 'older'
    const place = this.#known()
    if (begun && place !== undefined && place !== this.#actual()) return 'copied'
    return this.#mark && place !== undefined && this.#mark.place !== place ? 'copied' : undefined
  }

  /** This store is the one that runs here from now on; `seats` were given in it. */
  settle(extent: Extent, seats: number): void {
    if (this.#known() === undefined || this.#known() !== this.#actual()) this.#writePlace()
    rmSync(join(this.#home, RESTORED), { force: true })
    const before = this.#mark ? this.#mark.unproven : true
    const unproven = before === true ? seats : before
    const shown = unproven ? { unproven } : {}
    const reached = this.#mark ? furthest(this.#mark, extent) : extent
    this.#writeMark({ place: this.#known()!, ...reached, ...shown })
  }

  /** Own identity events of the home that this machine has seen. */
  get events(): number {
    return this.#mark?.events ?? 0
  }

  /** Own seats from this epoch on have all their votes in this store, as far as anything says (RULES E3). */
  get provenFrom(): number {
    const unproven = this.#mark?.unproven ?? 0
    return unproven === true ? Number.POSITIVE_INFINITY : unproven
  }

  /**
   * The log has grown, or votes were cast: many of these share one write of the mark, and what a kill loses of it makes it
   * milder. `extent` gives nothing where the store cannot be read any more.
   */
  grown(extent: () => Extent | undefined): void {
    if (this.#closed) return
    if (this.#pause) {
      this.#waiting = extent
      return
    }
    this.reached(extent)
    this.#pause = setTimeout(() => {
      this.#pause = undefined
      const next = this.#taken()
      if (next) this.grown(next)
    }, PAUSE_MS)
  }

  /** The same, marked before anything else happens: for what is rare, and not to be done twice. */
  reached(extent: () => Extent | undefined): void {
    const at = this.#closed ? undefined : extent()
    if (at && this.#mark && isShort(this.#mark, at))
      this.#writeMark({ ...this.#mark, ...furthest(this.#mark, at) })
  }

  /** Marks what waits, and nothing after it. */
  close(): void {
    clearTimeout(this.#pause)
    const last = this.#taken()
    if (last) this.reached(last)
    this.#closed = true
  }

  /** The words by which records were redacted in this log, on this machine. */
  redactions(): Uint8Array[] {
    const path = join(this.#dir, 'redactions')
    if (!existsSync(path)) return []
    const lines = readFileSync(path, 'utf8').split('\n').filter(Boolean)
    return lines.map(line => new Uint8Array(Buffer.from(line, 'base64')))
  }

  redacted(word: Uint8Array): void {
    this.#outside(() => {
      const path = join(this.#dir, 'redactions')
      appendFileSync(path, `${Buffer.from(word).toString('base64')}\n`, { mode: 0o600, flush: true })
    })
  }

  #taken(): (() => Extent | undefined) | undefined {
    const next = this.#waiting
    this.#waiting = undefined
    return next
  }

  #known(): string | undefined {
    const path = join(this.#home, 'place')
    return existsSync(path) ? readFileSync(path, 'utf8').trim() : undefined
  }

  #actual(): string {
    return String(statSync(join(this.#home, 'place'), { bigint: true }).ino)
  }

  #writePlace(): void {
    const name = temporaryName(join(this.#home, 'place'))
    const file = openSync(name, 'wx', 0o600)
    writeSync(file, `${fstatSync(file, { bigint: true }).ino}\n`)
    fsyncSync(file)
    closeSync(file)
    renameSync(name, join(this.#home, 'place'))
  }

  #writeMark(mark: Mark): void {
    this.#mark = mark
    this.#outside(() => {
      const path = join(this.#dir, 'mark.json')
      const name = temporaryName(path)
      const file = openSync(name, 'wx', 0o600)
      writeSync(file, JSON.stringify(mark))
      closeSync(file)
      renameSync(name, path)
    })
  }

  /** A machine that gives no room outside of the home has only the mark inside. */
  #outside(write: () => void): void {
    try {
      mkdirSync(this.#dir, { recursive: true, mode: 0o700 })
      write()
    } catch {}
  }
}

/** Left by `waybill restore`: the next start says what it is. */
export const RESTORED = 'restored'

function readJson<T>(path: string): T | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as T
  } catch {
    return undefined
  }
}
