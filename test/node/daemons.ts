/** Daemons for tests: each a process of its own on a home in a temporary folder, killed and started again at will. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { connect, type Waybill } from '../../sdk/connect.ts'
import { isWaybillError } from '../../sdk/error.ts'

const MAIN = join(import.meta.dirname, '..', '..', 'sdk', 'cli', 'main.ts')
export const ANY_PORT = '/ip4/127.0.0.1/tcp/0'
const READY_MS = 30_000
const CALL_MS = 60_000

/** What `waybill up --json` says. */
export interface Ready {
  id: string
  name: string
  home: string
  pid: number
  api: string
  addresses: string[]
  created: boolean
}

export interface Ended {
  code: number | null
  stderr: string
  ms: number
}

export class TestDaemon implements AsyncDisposable {
  readonly name: string
  readonly home: string
  client!: Waybill
  ready!: Ready
  /** From the start of the process to its answer, ms. */
  readyMs = 0
  /** What the process that ran last wrote to stderr. */
  stderr = ''
  /** Where it listens: after the first start the port that it got, so that partners find it again. */
  listen: string = ANY_PORT
  /** The program that runs it, and what it finds in its environment. */
  program: string = MAIN
  env: NodeJS.ProcessEnv = {}
  /** Another user of the system to run as. */
  uid: number | undefined
  #process: ChildProcess | undefined

  constructor(name: string, folder: string) {
    this.name = name
    this.home = join(folder, name.split(' ')[0]!.toLowerCase())
  }

  static async start(name: string, folder: string): Promise<TestDaemon> {
    const daemon = new TestDaemon(name, folder)
    await daemon.up()
    return daemon
  }

  get running(): boolean {
    return this.#process !== undefined && this.#process.exitCode === null && this.#process.signalCode === null
  }

  /** The exit code of the process that has ended. */
  get code(): number | null {
    return this.#process?.exitCode ?? null
  }

  /** Starts the process on the home, where the one before listened. */
  async up(): Promise<void> {
    const startedMs = performance.now()
    const args = ['--home', this.home, '--json', 'up', '--name', this.name, '--api', '0', '--listen']
    const child = spawn(process.execPath, [this.program, ...args, this.listen], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...this.env },
      ...(this.uid === undefined ? {} : { uid: this.uid }),
    })
    this.#process = child
    this.stderr = ''
    child.stderr.setEncoding('utf8').on('data', text => {
      this.stderr += text
    })
    this.ready = JSON.parse(await this.#firstLine(child)) as Ready
    this.readyMs = performance.now() - startedMs
    this.listen = this.ready.addresses[0]!.replace(/\/p2p\/.*/, '')
    this.client = await connect({ home: this.home })
  }

  async kill(): Promise<void> {
    this.client.close()
    await this.end('SIGKILL')
  }

  async restart(): Promise<void> {
    await this.kill()
    await this.up()
  }

  /** Sends a signal and waits for the end of the process. */
  async end(signal: NodeJS.Signals): Promise<Ended> {
    const startedMs = performance.now()
    this.#process!.kill(signal)
    await this.ended()
    return { code: this.#process!.exitCode, stderr: this.stderr, ms: performance.now() - startedMs }
  }

  async ended(): Promise<void> {
    if (this.running) await once(this.#process!, 'close')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.running) await this.kill()
  }

  #firstLine(child: ChildProcess): Promise<string> {
    const { promise, resolve, reject } = Promise.withResolvers<string>()
    const timer = setTimeout(() => reject(new Error(`${this.name} is not ready: ${this.stderr}`)), READY_MS)
    let stdout = ''
    child.stdout!.setEncoding('utf8').on('data', text => {
      stdout += text
      if (stdout.includes('\n')) resolve(stdout.slice(0, stdout.indexOf('\n')))
    })
    child.on('close', code => reject(new Error(`${this.name} ended with ${code}: ${stdout}${this.stderr}`)))
    return promise.finally(() => clearTimeout(timer))
  }
}

/** Three daemons in one folder: a provider and a consumer who are paired, and the witness of both. */
export class Mesh implements AsyncDisposable {
  readonly acme: TestDaemon
  readonly bolt: TestDaemon
  readonly cole: TestDaemon

  private constructor(acme: TestDaemon, bolt: TestDaemon, cole: TestDaemon) {
    this.acme = acme
    this.bolt = bolt
    this.cole = cole
  }

  static async start(folder: string): Promise<Mesh> {
    await using undo = new AsyncDisposableStack()
    const started = await Promise.allSettled(
      ['Acme Steel', 'Bolt GmbH', 'Cole Logistics'].map(name => TestDaemon.start(name, folder)),
    )
    for (const each of started) if (each.status === 'fulfilled') undo.use(each.value)
    const [acme, bolt, cole] = started.map(each => {
      if (each.status === 'rejected') throw each.reason
      return each.value
    }) as [TestDaemon, TestDaemon, TestDaemon]
    await pair(acme, cole)
    await pair(bolt, cole)
    await pair(acme, bolt)
    for (const daemon of [acme, bolt]) await daemon.client.partners.witness(cole.ready.id)
    undo.move()
    return new Mesh(acme, bolt, cole)
  }

  get all(): TestDaemon[] {
    return [this.acme, this.bolt, this.cole]
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const daemon of this.all) await daemon[Symbol.asyncDispose]()
  }
}

export async function pair(inviter: TestDaemon, joiner: TestDaemon): Promise<void> {
  const { ticket } = await inviter.client.partners.invite({
    for: joiner.name,
    expiresMs: Date.now() + 600_000,
  })
  await joiner.client.partners.join(ticket)
}

/** Makes a call again while the daemon that it goes to is away. */
export async function calling<T>(daemon: TestDaemon, call: (client: Waybill) => Promise<T>): Promise<T> {
  const deadline = performance.now() + CALL_MS
  for (;;)
    try {
      return await call(daemon.client)
    } catch (error) {
      const isAway = ['DAEMON_UNREACHABLE', 'CLOSED', 'STOPPED'].some(code => isWaybillError(error, code))
      if (!isAway || performance.now() > deadline) throw error
      await new Promise(done => setTimeout(done, 50))
    }
}

/** Asks until an answer is there. */
export async function eventually<T>(
  what: string,
  ask: () => Promise<T | undefined>,
  withinMs = 60_000,
): Promise<T> {
  const deadline = performance.now() + withinMs
  for (;;) {
    const found = await ask()
    if (found !== undefined) return found
    if (performance.now() > deadline) throw new Error(`not within ${withinMs} ms: ${what}`)
    await new Promise(done => setTimeout(done, 50))
  }
}
