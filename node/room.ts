/** Room on the disk of a home: content never takes the last of it, because a node that cannot write its store must stop. */
import { statfs } from 'node:fs/promises'

/** What content leaves free, bytes: a level store needs a few files of 4 MiB to go on. */
const RESERVE_BYTES = 32 * 2 ** 20

export class RoomError extends Error {
  override readonly name = 'RoomError'
  readonly code = 'DISK_FULL'
}

/** Throws DISK_FULL unless `bytes` fit on the disk of `dir` and leave room for the store. */
export async function checkRoom(dir: string, bytes: number): Promise<void> {
  const { bavail, bsize, blocks } = await statfs(dir)
  const free = bavail * bsize
  const isUnknown = blocks === 0 // some network file systems do not say
  if (isUnknown || free - bytes >= RESERVE_BYTES) return
  throw new RoomError(
    `${mib(bytes)} MiB do not fit on the disk of ${dir}: ${mib(free)} MiB are free, ${mib(RESERVE_BYTES)} of them kept for the store`,
  )
}

const mib = (bytes: number): number => Math.ceil(bytes / 2 ** 20)
