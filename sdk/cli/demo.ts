/**
 * `npm run demo [-- FILE...] [--json]`: three companies on this machine, each a daemon of its own, exchange files under a
 * signed agreement; then a stranger verifies it offline. Every command is one that a person could type, and is printed.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { createReadStream } from 'node:fs'
import { copyFile, mkdir, mkdtemp, open, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { parseNote } from '../../crypto/note.ts'
import { decodeSigned } from '../../crypto/statement.ts'
import { readEvidence } from '../../protocol/evidence.ts'
import { sampleHost } from './readings.ts'

const MAIN = join(import.meta.dirname, 'main.ts')
const SAMPLE_MS = 2_500
/** Names of one command line: the system bounds their total length. */
const FILES_PER_CALL = 200
/** Words of a command that are printed. */
const SHOWN_WORDS = 14

const args = process.argv.slice(2)
const separator = args.indexOf('--')
const json = args.includes('--json')
const files = (separator < 0 ? args.filter(arg => arg !== '--json') : args.slice(separator + 1)).map(each =>
  resolve(each),
)

/** One company or person: a home, and the commands it runs. */
class Actor {
  readonly name: string
  readonly home: string
  daemon: ChildProcess | undefined

  constructor(name: string, home: string) {
    this.name = name
    this.home = home
  }

  /** Runs a command with `--json` and gives its document; another exit code than expected ends the demo. */
  // biome-ignore lint/suspicious/noExplicitAny: each command has a document of its own.
  async run(command: string[], expected = 0): Promise<any> {
    if (over) throw new Error('the demo is over')
    const child = spawn(process.execPath, [MAIN, '--json', '--home', this.home, ...command], {
      cwd: work,
      env: { ...process.env, XDG_STATE_HOME: join(work, 'state') }, // nothing of these homes stays behind
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    children.add(child)
    say(`\n[${this.name}] $ waybill ${shortened(command)}`)
    let out = ''
    child.stdout!.on('data', data => {
      out += data
    })
    const code = await new Promise<number | null>(done => child.on('close', done))
    children.delete(child)
    if (code !== expected)
      throw new Error(`waybill ${command[0]} ended with ${code}, not ${expected}: ${out}`)
    return JSON.parse(out)
  }

  async up(): Promise<void> {
    const local = ['--api', '0', '--listen', '/ip4/127.0.0.1/tcp/0']
    const starting = this.run(['up', '--detach', '--name', this.name, ...local])
    ups.push(starting)
    const daemon = await starting
    daemons.push(daemon.pid)
    say(`  ${this.name} is ready: ${daemon.id}`)
  }
}

const children = new Set<ChildProcess>()
const daemons: number[] = []
/** Starts under way: what they started is known when they have ended. */
const ups: Promise<unknown>[] = []
let over = false
const work = await mkdtemp(join(tmpdir(), 'waybill-demo-'))
const started = performance.now()

async function story() {
  const [acme, bolt, cole] = ['Acme Steel', 'Bolt GmbH', 'Cole Logistics'].map(
    name => new Actor(name, join(work, basename(name.split(' ')[0]!.toLowerCase()))),
  ) as [Actor, Actor, Actor]
  heading('Three companies start a node each. Cole Logistics will witness the logs of the other two.')
  const [sources] = await Promise.all([sourceFiles(), acme.up(), bolt.up(), cole.up()])
  heading('They pair: one ticket each, over the phone or by mail.')
  await pair(acme, cole)
  await pair(bolt, cole)
  await pair(acme, bolt)
  await acme.run(['witness', 'add', cole.name])
  await bolt.run(['witness', 'add', cole.name])

  heading(`Acme publishes ${sources.length} file(s) and offers them on terms.`)
  const published = await acme.run(['publish', '--title', 'press shop readings', '--', ...sources])
  const terms = [
    '--to',
    bolt.name,
    '--allow',
    'analyse',
    '--purpose',
    'energy-benchmark',
    '--no-redistribution',
  ]
  const offer = await acme.run(['offer', published.asset, ...terms, '--until', '90d'])
  for (const term of offer.terms) say(`  ${term}`)

  heading('Bolt asks for another purpose, and is told why not.')
  await bolt.run(['offers'])
  const received = join(work, 'received')
  const denied = await bolt.run(['get', offer.id, '-o', `${received}/`, '--purpose', 'marketing'], 5)
  say(`  ${denied.code}: ${denied.message} (${denied.clause})`)

  heading(
    'Bolt asks for the purpose offered; a person at Acme approves; content, receipts and evidence follow.',
  )
  const getting = bolt.run(['get', offer.id, '-o', `${received}/`, '--purpose', 'energy-benchmark'])
  await acme.run(['approve', await waitingRequest(acme)])
  const got = await getting
  say(`  ${got.files.length} file(s), ${got.bytes} bytes, under agreement ${got.agreement}`)
  await assertSame(sources, got.files)

  heading('Both sides hold the signed receipts, and both logs have the entries.')
  const receipts = await bolt.run(['receipts'])
  const logs = { acme: await acme.run(['log']), bolt: await bolt.run(['log']) }
  const consentFile = join(work, 'consent.waybill')
  await bolt.run(['export', got.agreement, '-o', consentFile])

  heading(
    'A stranger gets the files, their evidence and a trust file, and verifies: no home, no daemon, no network.',
  )
  const stranger = await auditor(bolt, got.files, consentFile)
  const verified = await verifyAll(stranger)
  heading('One byte of the content is changed.')
  const tampered = await tamper(stranger)
  return {
    schema: 'waybill.demo/1',
    packets: published.packets.length,
    bytes: published.bytes,
    agreementSignatures: await signaturesOf(consentFile),
    consentReceipts: receipts.consents.length,
    receipts: receipts.deliveries
      .flatMap((each: { receipts: { type: string }[] }) => each.receipts)
      .filter(isReceipt).length,
    logEntries: { acme: logs.acme.size, bolt: logs.bolt.size },
    cosignatures: cosignaturesOf(logs.acme.head) + cosignaturesOf(logs.bolt.head),
    verified,
    tamperDetected: tampered,
    ms: Math.round(performance.now() - started),
  }
}

const isReceipt = ({ type }: { type: string }): boolean => type === 'received/1' || type === 'opened/1'
const cosignaturesOf = (head: string): number => parseNote(head).lines.length - 1

async function sourceFiles(): Promise<string[]> {
  if (files.length > 0) return files
  say(
    `  no files given: sharing ${SAMPLE_MS / 1000} s of readings of this machine (real values of its cpu, memory, disk and network)`,
  )
  return sampleHost(join(work, 'readings'), SAMPLE_MS)
}

async function pair(inviter: Actor, joiner: Actor): Promise<void> {
  const { ticket } = await inviter.run(['invite', '--for', joiner.name, '--expires', '1h'])
  await joiner.run(['join', ticket, '--yes'])
}

/** The request that waits for a person, as soon as it is there. */
async function waitingRequest(acme: Actor): Promise<string> {
  for (let tries = 0; tries < 100; tries++) {
    const { items } = await acme.run(['requests'])
    const waiting = items.find((each: { waitsFor: string }) => each.waitsFor === 'you')
    if (waiting) return waiting.id
    await new Promise(done => setTimeout(done, 200))
  }
  throw new Error('no request came')
}

async function assertSame(sources: string[], got: { path: string }[]): Promise<void> {
  if (sources.length !== got.length)
    throw new Error(`${got.length} files came, ${sources.length} were published`)
  for (const [i, source] of sources.entries())
    if (!(await isSame(source, got[i]!.path))) throw new Error(`${got[i]!.path} is not ${source}`)
  say(`  all ${sources.length} byte-identical with what Acme published`)
}

async function isSame(a: string, b: string): Promise<boolean> {
  const other = createReadStream(b)[Symbol.asyncIterator]()
  let rest: Buffer = Buffer.alloc(0)
  for await (let chunk of createReadStream(a) as AsyncIterable<Buffer>)
    while (chunk.length > 0) {
      if (rest.length === 0) rest = ((await other.next()).value as Buffer | undefined) ?? Buffer.alloc(0)
      const length = Math.min(chunk.length, rest.length)
      if (length === 0 || !chunk.subarray(0, length).equals(rest.subarray(0, length))) return false
      chunk = chunk.subarray(length)
      rest = rest.subarray(length)
    }
  return rest.length === 0 && (await other.next()).done === true
}

interface Auditor {
  actor: Actor
  files: string[]
  consent: string
  trust: string
}

/** A fourth party: a folder with what it was handed, and a home that does not exist. */
async function auditor(
  from: Actor,
  got: { path: string; evidence?: string }[],
  consentFile: string,
): Promise<Auditor> {
  const folder = join(work, 'auditor')
  await mkdir(folder)
  const trust = join(folder, 'trust.json')
  await copyFile(join(from.home, 'trust.json'), trust)
  const consent = join(folder, 'consent.waybill')
  await copyFile(consentFile, consent)
  const handed: string[] = []
  for (const [i, { path, evidence }] of got.entries()) {
    if (!evidence) throw new Error(`${path} has no evidence`)
    const copy = join(folder, `${i}-${basename(path)}`)
    await copyFile(path, copy)
    await copyFile(evidence, `${copy}.waybill`)
    handed.push(copy)
  }
  return { actor: new Actor('Stranger', join(folder, 'no-home')), files: handed, consent, trust }
}

async function verifyAll({ actor, files: handed, consent, trust }: Auditor): Promise<boolean> {
  const all = [consent, ...handed]
  let verified = 0
  for (let i = 0; i < all.length; i += FILES_PER_CALL) {
    const reports = reportsOf(
      await actor.run(['verify', '--trust', trust, '--', ...all.slice(i, i + FILES_PER_CALL)]),
    )
    verified += reports.filter(report => report.verdict === 'verified').length
    if (i === 0) for (const { id, detail } of reports.at(-1)!.steps) say(`  ✓ ${id}: ${detail}`)
  }
  say(`  ${verified} of ${all.length} verified`)
  return verified === all.length
}

interface Report {
  verdict: string
  steps: { id: string; status: string; detail: string }[]
}

/** The reports of `verify`, which answers with one alone or with a list. */
const reportsOf = (document: Report | { reports: Report[] }): Report[] =>
  'reports' in document ? document.reports : [document]

/** Flips one bit in the first file that has a byte: the verdict must be FAILED, at the step `content`. */
async function tamper({ actor, files: handed, trust }: Auditor): Promise<boolean> {
  for (const path of handed) {
    const bytes = await readFile(path)
    if (bytes.length === 0) continue
    const file = await open(path, 'r+')
    await file.write(Buffer.of(bytes[bytes.length >> 1]! ^ 1), 0, 1, bytes.length >> 1)
    await file.close()
    const [report] = reportsOf(await actor.run(['verify', '--trust', trust, '--', path], 6))
    const failed = report?.steps.find(step => step.status === 'failed')
    say(`  ✗ ${failed?.id}: ${failed?.detail}`)
    return report?.verdict === 'failed' && failed?.id === 'content'
  }
  throw new Error('every file is empty: there is no byte to change')
}

/** Signatures in the agreement that the consent receipt carries. */
async function signaturesOf(path: string): Promise<number> {
  const evidence = readEvidence(new Uint8Array(await readFile(path)))
  const part = 'claim' in evidence ? evidence.part('agreement') : undefined
  if (part?.is !== 'here') throw new Error('the consent receipt holds no agreement')
  return decodeSigned(part.bytes).s.length
}

async function stopProcess(pid: number): Promise<void> {
  const signal = (name: NodeJS.Signals | 0): boolean => {
    try {
      return process.kill(pid, name)
    } catch {
      return false
    }
  }
  signal('SIGTERM')
  for (let waited = 0; waited < 10_000 && signal(0); waited += 50)
    await new Promise(done => setTimeout(done, 50))
  signal('SIGKILL')
}

function heading(line: string): void {
  say(`\n── ${line}`)
}

/** The story goes to stderr under --json, so that stdout holds the one line. */
function say(line: string): void {
  if (json) process.stderr.write(`${line}\n`)
  else process.stdout.write(`${line}\n`)
}

/** A command as a person would type it; a long list of files is cut. */
function shortened(command: string[]): string {
  const words = command.map(shown)
  return words.length <= SHOWN_WORDS
    ? words.join(' ')
    : `${words.slice(0, SHOWN_WORDS).join(' ')} … and ${words.length - SHOWN_WORDS} more`
}

const shown = (word: string): string =>
  word.length > 60 && word.startsWith('wb1')
    ? `${word.slice(0, 12)}…`
    : /^[\w./:@=,+-]+$/.test(word)
      ? word
      : `'${word}'`

const interrupted = new Promise<never>((_, reject) => {
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => reject(new Error(`the demo was stopped by ${signal}`)))
})
try {
  const summary = await Promise.race([story(), interrupted])
  if (json) console.log(JSON.stringify(summary))
  else
    say(
      `\nDone in ${(summary.ms / 1000).toFixed(1)} s. Everything above ran on this machine and is stopped and removed again.`,
    )
} finally {
  over = true
  await Promise.allSettled(ups)
  for (const child of children) child.kill('SIGKILL')
  await Promise.all(daemons.map(stopProcess))
  await rm(work, { recursive: true, force: true })
}
