/**
 * Every bound of the network, with its unit and its reason. What a hostile peer can make this node hold follows from
 * them: an admitted one 4 message streams x 8 MiB (read, and arriving while paused), 16 bulk streams x (1 MiB or two
 * blocks, read ahead, and 1 MiB) and 4 MiB of queue; strangers together 16 connections x 24 streams x 128 KiB.
 */
const KIB = 1024
const MIB = 1024 * KIB

/** One message: the largest record is 64 KiB, and a message carries at most a few of them with their proofs. */
export const MAX_FRAME_BYTES: number = 256 * KIB
/** A hello or its answer: an identity with its events, a ticket and protocol lists; of strangers one at a time each. */
export const MAX_HELLO_BYTES: number = 64 * KIB
/** A request for bulk bytes: a root and ranges or CIDs of blocks. */
export const MAX_BULK_REQUEST_BYTES: number = 64 * KIB
/** One data frame of a bulk stream. Its header goes out as a write of its own: 256 KiB frames cost a tenth of the speed. */
export const BULK_FRAME_BYTES: number = MIB
/** Chunks below this are joined before they are sent: the cipher's cost per frame is fixed (about 20 us). */
export const BULK_JOIN_BYTES: number = 64 * KIB
/** Bulk bytes sent but not yet consumed by the reader. 1 MiB costs a fifth of the speed, more than 4 MiB gains none. */
export const BULK_CREDIT_BYTES: number = 4 * MIB
/** A stream that nobody reads yet holds at most this much: the largest first message and its protocol names. */
export const UNREAD_BYTES: number = 128 * KIB
/** yamux window. Not above a stream's read buffer, or `pause()` resets the stream instead of slowing its sender. */
export const STREAM_WINDOW_BYTES: number = 4 * MIB
/** Messages joined into one write: the cost of a write is per call, not per byte. */
export const WRITE_BATCH_BYTES: number = 64 * KIB
/** Messages and bytes that wait for one peer; a burst of one group commit is below, an hour of resends is not kept. */
export const QUEUE_FRAMES = 4096
export const QUEUE_BYTES: number = 4 * MIB
/** Bytes that wait for all peers together: a thousand absent partners must not cost gigabytes. */
export const QUEUE_TOTAL_BYTES: number = 64 * MIB

/** Both sides may dial at the same time; a third connection replaces the oldest. */
export const CONNECTIONS_PER_PEER = 2
/** Connections of peers that are not admitted: newcomers are rare, and each lives at most 15 s. */
export const STRANGER_CONNECTIONS = 16
/** A mesh of hundreds of partners with two connections each; libp2p's 300 would cut healthy ones. */
export const MAX_CONNECTIONS = 2048
/** Handshakes in progress: a restarted hub is dialled by all its partners at once. */
export const PENDING_CONNECTIONS = 64
/** New connections per second from one IP address: a factory's nodes share one behind NAT (libp2p's default is 5). */
export const CONNECTIONS_PER_HOST_PER_S = 50
/** A message stream and the one that replaces it while its end is still on the way. */
export const MESSAGE_STREAMS = 2
/** Parallel requests of one peer; its idle streams count too. */
export const BULK_STREAMS = 16
/** Opened streams that a requester keeps for its next requests: a new one costs up to 2 ms. */
export const IDLE_BULK_STREAMS = 4
/** Streams of one connection: the above, one hello, and a few in protocol negotiation. */
export const STREAMS_PER_CONNECTION: number = MESSAGE_STREAMS + BULK_STREAMS + 6
/** Addresses kept for one peer. */
export const MAX_ADDRESSES = 16

/** From the first byte of a hello to the last of its answer. */
export const HELLO_MS = 10_000
/** How long a stranger may stay connected without a hello. */
export const STRANGER_IDLE_MS = 15_000
/** Dial, handshake and stream opening, over a slow mobile link. */
export const OPEN_MS = 10_000
/** A bulk reader that grants nothing for this long holds our file open for nothing. */
export const BULK_STALL_MS = 120_000
/** First and last pause between dials of an absent peer. */
export const BACKOFF_MIN_MS = 250
export const BACKOFF_MAX_MS = 15_000
/** TCP notices a vanished peer only after minutes; a busy peer may need seconds to answer. */
export const ALIVE_INTERVAL_MS = 10_000
export const ALIVE_TIMEOUT_MS = 20_000
/** What `stop` waits for writes to leave, and for libp2p as a whole. */
export const FLUSH_MS = 500
export const STOP_MS = 5_000
