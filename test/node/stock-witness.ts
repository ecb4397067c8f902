/**
 * A C2SP witness written from the text of C2SP and RFC 9162 alone (signed-note, tlog-checkpoint, tlog-cosignature,
 * tlog-witness): it shares no code with the log that it cosigns.
 */
import { createHash, createPublicKey, generateKeyPairSync, sign, verify } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'

const sha256 = (...parts: Uint8Array[]) =>
  parts.reduce((hash, part) => hash.update(part), createHash('sha256')).digest()
const node = (left: Uint8Array, right: Uint8Array) => sha256(Uint8Array.of(1), left, right)
const rawKey = (key: ReturnType<typeof createPublicKey>) =>
  key.export({ format: 'der', type: 'spki' }).subarray(-32)
const keyId = (name: string, type: number, key: Uint8Array) =>
  sha256(Buffer.from(`${name}\n`), Uint8Array.of(type), key).subarray(0, 4)

/** RFC 9162 section 2.1.4.2. */
function isConsistent(
  first: number,
  firstRoot: Buffer,
  second: number,
  root: Buffer,
  proof: Buffer[],
): boolean {
  if (first === second) return proof.length === 0 && firstRoot.equals(root)
  const path = [...proof]
  if (Number.isInteger(Math.log2(first))) path.unshift(firstRoot)
  let [fn, sn] = [first - 1, second - 1]
  while (fn % 2 === 1) [fn, sn] = [Math.floor(fn / 2), Math.floor(sn / 2)]
  const start = path.shift()
  if (!start) return false
  let [fr, sr] = [start, start]
  for (const c of path) {
    if (sn === 0) return false
    if (fn % 2 === 1 || fn === sn) {
      ;[fr, sr] = [node(c, fr), node(c, sr)]
      while (fn % 2 === 0 && fn !== 0) [fn, sn] = [Math.floor(fn / 2), Math.floor(sn / 2)]
    } else sr = node(sr, c)
    ;[fn, sn] = [Math.floor(fn / 2), Math.floor(sn / 2)]
  }
  return fr.equals(firstRoot) && sr.equals(root) && sn === 0
}

export class ForeignWitness implements AsyncDisposable {
  readonly name = 'witness.example/w1'
  readonly #keys = generateKeyPairSync('ed25519')
  readonly #server: Server
  readonly #logs = new Map<string, { key: Buffer; size: number; root?: Buffer }>()
  /** Status numbers that were answered, in order, and the signature lines that came with each request. */
  readonly answered: number[] = []
  readonly seen: string[][] = []
  /** Answers with this instead, while it is set. */
  fault: { status: number; type?: string; body: string } | undefined

  constructor() {
    this.#server = createServer(async (request, response) => {
      const { status, type = 'text/plain', body } = this.fault ?? this.#add(await whole(request))
      this.answered.push(status)
      response.writeHead(status, { 'content-type': type }).end(body)
    })
  }

  async listen(): Promise<string> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  get key(): string {
    const key = rawKey(this.#keys.publicKey)
    return `${this.name}+${keyId(this.name, 4, key).toString('hex')}+${Buffer.concat([Uint8Array.of(4), key]).toString('base64')}`
  }

  /** Enters a log by its verifier key; its origin is the key's name. */
  enter(verifierKey: string, size = 0): void {
    const [name, , base64] = verifierKey.split('+') as [string, string, string]
    const blob = Buffer.from(verifierKey.slice(name.length + 10), 'base64')
    if (blob[0] !== 1 || !base64) throw new Error(`${verifierKey} is no key of a log`)
    this.#logs.set(name, { key: blob.subarray(1), size })
  }

  sizeOf(verifierKey: string): number {
    return this.#logs.get(verifierKey.split('+')[0]!)!.size
  }

  /** Forgets what it cosigned. */
  forget(verifierKey: string): void {
    this.enter(verifierKey)
  }

  #add(request: string): { status: number; type?: string; body: string } {
    const at = request.indexOf('\n\n')
    const [first, ...proof] = request.slice(0, at).split('\n')
    const note = request.slice(at + 2)
    const end = note.lastIndexOf('\n\n')
    const body = note.slice(0, end + 1)
    const lines = note
      .slice(end + 2)
      .trimEnd()
      .split('\n')
    this.seen.push(lines.map(line => line.split(' ')[1]!))
    const [origin, size, root] = body.split('\n') as [string, string, string]
    const log = this.#logs.get(origin)
    if (!log) return { status: 404, body: 'unknown origin\n' }
    const own = lines.find(line => line.startsWith(`— ${origin} `))
    if (!own || !this.#signed(own, origin, log.key, body)) return { status: 403, body: 'signature\n' }
    const old = Number(first!.replace(/^old /, ''))
    if (old > Number(size)) return { status: 400, body: 'old\n' }
    if (old !== log.size) return { status: 409, type: 'text/x.tlog.size', body: `${log.size}\n` }
    const now = Buffer.from(root, 'base64')
    const path = proof.map(line => Buffer.from(line, 'base64'))
    const holds = old === 0 ? path.length === 0 : isConsistent(old, log.root!, Number(size), now, path)
    if (!holds) return { status: 422, body: 'proof\n' }
    Object.assign(log, { size: Number(size), root: now })
    return { status: 200, body: this.#cosign(body) }
  }

  #signed(line: string, origin: string, key: Buffer, body: string): boolean {
    const blob = Buffer.from(line.split(' ')[2]!, 'base64')
    const der = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), key])
    const object = createPublicKey({ key: der, format: 'der', type: 'spki' })
    const isKey = blob.subarray(0, 4).equals(keyId(origin, 1, key))
    return isKey && verify(null, Buffer.from(body), object, blob.subarray(4))
  }

  #cosign(body: string): string {
    const time = Math.floor(Date.now() / 1000)
    const signature = sign(null, Buffer.from(`cosignature/v1\ntime ${time}\n${body}`), this.#keys.privateKey)
    const stamp = Buffer.alloc(8)
    stamp.writeBigUInt64BE(BigInt(time))
    const id = keyId(this.name, 4, rawKey(this.#keys.publicKey))
    return `— ${this.name} ${Buffer.concat([id, stamp, signature]).toString('base64')}\n`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }
}

async function whole(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = []
  for await (const part of request) parts.push(part)
  return Buffer.concat(parts).toString()
}
