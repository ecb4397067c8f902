/**
 * The noise channel under every connection, as libp2p defines it, at twice the speed of its defaults for bulk: the
 * cipher's keys are imported once, and a frame leaves in one system call.
 */
import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject } from 'node:crypto'
import type { Socket } from 'node:net'
import { type ICryptoInterface, type NoiseComponents, noise } from '@chainsafe/libp2p-noise'
import { defaultCrypto } from '@chainsafe/libp2p-noise/crypto'
import type { ConnectionEncrypter, MessageStream } from '@libp2p/interface'
import type { Uint8ArrayList } from 'uint8arraylist'
import { giveBack } from '../crypto/bytes.ts'

const CIPHER = 'chacha20-poly1305'
const TAG_BYTES = 16
const OPTIONS = { authTagLength: TAG_BYTES }

/** For libp2p's `connectionEncrypters`. */
export function secureChannel(components: NoiseComponents): ConnectionEncrypter {
  const channel = noise({ crypto: { ...defaultCrypto, chaCha20Poly1305Encrypt, chaCha20Poly1305Decrypt } })(
    components,
  )
  const { secureInbound, secureOutbound } = channel
  return Object.assign(channel, {
    secureInbound: (async (connection, options) =>
      lean(await secureInbound.call(channel, corked(connection), options))) as typeof secureInbound,
    secureOutbound: (async (connection, options) =>
      lean(await secureOutbound.call(channel, corked(connection), options))) as typeof secureOutbound,
  })
}

/** What a secured connection has, of which its type tells nothing. */
interface NoiseStream {
  decoder?: { lengthDecoder(buffer: Uint8ArrayList): number }
}

/** After each piece from the socket noise asks for the length of a frame that is not there yet: one error serves all. */
const tooShort = new RangeError('the length of a frame is not there yet')

/** As it is, without a new error and its stack trace for each piece: with short messages one or two of 100 of a node's time. */
function lean<T extends { connection: object }>(secured: T): T {
  const { decoder } = secured.connection as NoiseStream
  if (decoder)
    decoder.lengthDecoder = buffer => {
      if (buffer.byteLength < 2) throw tooShort
      return (buffer.get(0) << 8) | buffer.get(1)
    }
  return secured
}

/** By the array of a key, which noise keeps for the life of a connection. Importing a key costs ten times its use. */
const keys = new WeakMap<Uint8Array, KeyObject>()

function keyObject(raw: Uint8Array): KeyObject {
  const known = keys.get(raw)
  if (known) return known
  const made = createSecretKey(raw)
  keys.set(raw, made)
  return made
}

const chaCha20Poly1305Encrypt: ICryptoInterface['chaCha20Poly1305Encrypt'] = (plain, nonce, ad, key) => {
  const cipher = createCipheriv(CIPHER, keyObject(key), nonce, OPTIONS)
  if (ad.length > 0) cipher.setAAD(ad, { plaintextLength: plain.byteLength })
  const sealed = Buffer.allocUnsafe(plain.byteLength + TAG_BYTES)
  let at = 0
  for (const piece of pieces(plain)) {
    const bytes = cipher.update(piece)
    sealed.set(bytes, at)
    giveBack(bytes)
    at += piece.length
  }
  cipher.final() // a stream cipher holds nothing back
  sealed.set(cipher.getAuthTag(), at)
  return sealed
}

/**
 * Throws where the tag does not fit. `joined` is the ciphertext without its tag in one piece, which is made for the plain
 * bytes to be written over it: nobody looks at it any more.
 */
const chaCha20Poly1305Decrypt: ICryptoInterface['chaCha20Poly1305Decrypt'] = (
  sealed,
  nonce,
  ad,
  key,
  joined,
) => {
  const length = sealed.byteLength - TAG_BYTES
  const decipher = createDecipheriv(CIPHER, keyObject(key), nonce, OPTIONS)
  if (ad.length > 0) decipher.setAAD(ad, { plaintextLength: length })
  decipher.setAuthTag(sealed.subarray(length))
  const plain = decipher.update(joined ?? sealed.subarray(0, length))
  if (joined) giveBack(joined)
  decipher.final()
  return plain
}

function pieces(bytes: Uint8Array | Iterable<Uint8Array>): Iterable<Uint8Array> {
  return bytes instanceof Uint8Array ? [bytes] : bytes
}

/** What the tcp transport's connection has, of which its type tells nothing. */
interface TcpConnection {
  socket?: Socket
  sendData(data: Iterable<Uint8Array> & { byteLength: number }): { sentBytes: number; canSendMore: boolean }
}

/** One system call for what is sent at once: the transport makes one, and a packet, for each piece of a frame. */
function corked<T extends MessageStream>(connection: T): T {
  const tcp = connection as unknown as TcpConnection
  const { socket } = tcp
  if (!socket) return connection
  tcp.sendData = data => {
    socket.cork()
    for (const piece of data) socket.write(piece)
    socket.uncork()
    // the socket says 'drain' only if it was asked for more than it takes, and then also when all has left already
    return {
      sentBytes: data.byteLength,
      canSendMore: socket.writableLength === 0 || !socket.writableNeedDrain,
    }
  }
  return connection
}
