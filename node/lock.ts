/**
 * The single-instance lock of a home: a file `lock` that names its holder.
 *
 * Level has a lock of its own, which is the backstop where files do not suffice (two processes that take over a stale lock
 * at the same moment, process ids of different containers). It cannot be the first one: it does not say who holds it, and
 * a second open, or a mere read of level's file LOCK by this process, drops it without notice (reference: LevelDB's
 * fcntl lock). So this lock is taken first, and nothing here touches level's.
 */
import {
  closeSync,
  fsyncSync,
  linkSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { temporaryName } from './file.ts'

/** Who holds a home. `start` and `boot` tell a process from a later one with the same id, where the system has them. */
interface Holder {
  pid: number
  /** Clock ticks from the start of the system to the start of the process. */
  start?: string
  boot?: string
  /** Where the holder's local API listens. */
  api?: string
  /** When it was taken, ISO 8601. */
  since: string
}

/** The home is held by the process `pid`, which is reached at `api`, since `since` (ISO 8601). */
export class LockError extends Error {
  override name = 'LockError'
  readonly code = 'HOME_LOCKED'
  readonly pid: number
  readonly api: string | undefined
  readonly since: string
  constructor(home: string, holder: Holder) {
    const at = holder.api === undefined ? '' : `, at ${holder.api}`
    super(`${home} is in use by process ${holder.pid} since ${holder.since}${at}`)
    this.pid = holder.pid
    this.api = holder.api
    this.since = holder.since
  }
}

export interface LockInfo {
  api?: string
}

export interface Lock extends Disposable {
  /** Tells what is known only after the start, such as where the API listens. */
  update(info: LockInfo): void
  release(): void
}

/** Takes the lock of a home, or throws HOME_LOCKED with its holder. A lock whose process is gone is taken over. */
export function acquireLock(home: string, info: LockInfo = {}): Lock {
  const path = join(home, 'lock')
  let holder: Holder = { ...currentProcess(), ...info, since: new Date().toISOString() }
  while (!create(path, holder)) {
    const seen = read(path)
    if (seen && isAlive(seen)) throw new LockError(home, seen)
    if (seen !== undefined) discard(path, seen)
  }
  const release = () => {
    if (isSame(read(path), holder)) rmSync(path, { force: true })
  }
  return {
    update: added => {
      const changed = { ...holder, ...added }
      if (isSame(read(path), holder)) replace(path, changed)
      holder = changed
    },
    release,
    [Symbol.dispose]: release,
  }
}

/** Writes the lock under a name of its own, then links it: the lock appears whole or not at all. False if there is one. */
function create(path: string, holder: Holder): boolean {
  const own = write(path, holder)
  try {
    linkSync(own, path)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  } finally {
    rmSync(own, { force: true })
  }
}

function replace(path: string, holder: Holder): void {
  renameSync(write(path, holder), path)
}

/** Writes the holder to a file beside the lock and returns its name. Synced: an empty lock after a power cut names nobody. */
function write(path: string, holder: Holder): string {
  const own = temporaryName(path)
  const file = openSync(own, 'wx', 0o600)
  try {
    writeSync(file, `${JSON.stringify(holder)}\n`)
    fsyncSync(file)
  } catch (error) {
    rmSync(own, { force: true })
    throw error
  } finally {
    closeSync(file)
  }
  return own
}

/** The holder; null if the file names none, undefined if there is no file. */
function read(path: string): Holder | null | undefined {
  try {
    const holder = JSON.parse(readFileSync(path, 'utf8')) as Holder | null
    return Number.isSafeInteger(holder?.pid) && holder!.pid > 0 ? holder : null
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    if (error instanceof SyntaxError) return null
    throw error
  }
}

/**
 * Takes a stale lock away. Of several processes that saw it one moves it; another may then have moved the new lock that
 * the first one made, notices by its content, and links it back.
 */
function discard(path: string, stale: Holder | null): void {
  const aside = temporaryName(path)
  try {
    renameSync(path, aside)
    if (!isSame(read(aside), stale)) linkSync(aside, path)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'ENOENT' && code !== 'EEXIST') throw error
  } finally {
    rmSync(aside, { force: true })
  }
}

function isSame(a: Holder | null | undefined, b: Holder | null): boolean {
  return a?.pid === b?.pid && a?.start === b?.start && a?.boot === b?.boot && a?.since === b?.since
}

function isAlive(holder: Holder): boolean {
  if (holder.boot !== undefined && holder.boot !== bootId()) return false
  try {
    process.kill(holder.pid, 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
  }
  return holder.start === undefined || startTicks(holder.pid) === holder.start
}

function currentProcess(): Pick<Holder, 'pid' | 'start' | 'boot'> {
  const [start, boot] = [startTicks(process.pid), bootId()]
  return {
    pid: process.pid,
    ...(start === undefined ? {} : { start }),
    ...(boot === undefined ? {} : { boot }),
  }
}

/** Field 22 of /proc/PID/stat; the name of the program before it may itself hold blanks and brackets. */
function startTicks(pid: number): string | undefined {
  const stat = readSystemFile(`/proc/${pid}/stat`)
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
}

function bootId(): string | undefined {
  return readSystemFile('/proc/sys/kernel/random/boot_id')?.trim()
}

function readSystemFile(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}
