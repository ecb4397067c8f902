/** Random bytes for the steps of a node (RULES A3). */
import { randomBytes } from 'node:crypto'

const SEED_BYTES = 32
const POOL_BYTES = 128 * SEED_BYTES

let pool = new Uint8Array(0)

/** 32 bytes that nobody else gets. They are drawn by the hundred, because a draw costs as much as an append to the log. */
export function freshSeed(): Uint8Array {
  if (pool.length === 0) pool = new Uint8Array(randomBytes(POOL_BYTES))
  const seed = pool.slice(0, SEED_BYTES)
  pool.fill(0, 0, SEED_BYTES)
  pool = pool.subarray(SEED_BYTES)
  return seed
}
