/** Every bound of the protocol, with its unit and its reason. */

const KIB = 1024
const MIB = 1024 * KIB

/** Plain bytes of a block, by size of content: small enough to resume and to hold in memory, few enough to list. */
export const BLOCK_SIZES: readonly number[] = [256 * KIB, MIB, 4 * MIB]
/** Blocks of one packet: their digests, 32 bytes each, take 2 MiB and stay in memory during a transfer. */
export const MAX_BLOCKS = 65_536
/** A root header, encoded: it takes 130 bytes, and more for the largest sizes. */
export const MAX_ROOT_BYTES = 256
