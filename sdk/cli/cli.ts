/** One run of the command line: its streams, its settings, and the single answer it gives on stdout. */
import { styleText } from 'node:util'
import type { Waybill } from '../connect.ts'
import { EXIT } from './exit.ts'
import { type ProblemDocument, problemLines } from './problem.ts'
import { CONTROLS, plain, plainDeep } from './words.ts'

/** Options that every command takes. */
export interface GlobalOptions {
  home?: string
  json?: boolean
  quiet?: boolean
  input?: boolean
  yes?: boolean
  color?: 'auto' | 'always' | 'never'
}

/** What a command answers: a document for programs, and its text for people. */
export interface Answer<T extends object = object> {
  /** `waybill.<name>/1` is put before the document's fields, unless it says so itself. */
  schema: string
  data: T
  text(data: T): string
  /** What to run next, for people. */
  next?: string | undefined
  exit?: number
}

export const answer = <T extends object>(made: Answer<T>): Answer => made as unknown as Answer

type Style = 'ok' | 'fail' | 'dim' | 'bold'
const STYLES = { ok: 'green', fail: 'red', dim: 'dim', bold: 'bold' } as const

export class Cli {
  readonly options: GlobalOptions
  readonly home: string
  readonly json: boolean
  readonly yes: boolean
  readonly signal: AbortSignal
  exit: number = EXIT.ok
  #progress = false
  #answered = false

  constructor(options: GlobalOptions, home: string, signal: AbortSignal) {
    this.options = options
    this.home = home
    this.json = options.json === true
    this.yes = options.yes === true
    this.signal = signal
  }

  /** Whether a person can be asked. */
  get canAsk(): boolean {
    const { input } = this.options
    return (
      input !== false &&
      !this.json &&
      !process.env.CI &&
      process.stdin.isTTY === true &&
      process.stderr.isTTY === true
    )
  }

  async connect(): Promise<Waybill> {
    const { connect } = await import('../connect.ts')
    return connect({ home: this.home, signal: this.signal })
  }

  /** Prints the answer; a run has one. */
  give(made: Answer): void {
    if (this.#answered) throw new Error('a command answers once')
    this.#answered = true
    this.progress('')
    const { schema, data, text, next, exit } = made
    this.exit = exit ?? EXIT.ok
    process.stdout.write(this.json ? jsonLine({ schema, ...data }) : withNewline(text(plainDeep(data))))
    if (next) this.note(`next  ${next}`)
  }

  /** Prints what went wrong: four lines on stderr, or one document on stdout. */
  fail(problem: ProblemDocument): void {
    this.progress('')
    this.exit = problem.exit
    if (this.json && !this.#answered) process.stdout.write(jsonLine(problem))
    if (this.json) return
    const [what, ...rest] = problemLines(plainDeep(problem))
    process.stderr.write(
      `${this.paint('fail', '✗', 2)} ${what}\n${rest.map(line => `  ${this.paint('dim', line, 2)}\n`).join('')}`,
    )
  }

  /** A hint on stderr. */
  note(line: string): void {
    if (!this.options.quiet && !this.json) process.stderr.write(`  ${this.paint('dim', plain(line), 2)}\n`)
  }

  /** Something that went less well, on stderr. */
  warn(line: string): void {
    this.progress('')
    if (!this.options.quiet) process.stderr.write(`${this.paint('fail', '!', 2)} ${plain(line)}\n`)
  }

  /** What is going on, on a terminal only: one line that is written over. */
  progress(line: string): void {
    if (!process.stderr.isTTY || this.options.quiet || this.json || (!line && !this.#progress)) return
    const width = process.stderr.columns || 80
    process.stderr.write(`\r\u001b[K${plain(line).slice(0, width - 1)}`)
    this.#progress = line !== ''
  }

  /** Text in a style, where the stream shows styles (NO_COLOR, FORCE_COLOR, TERM, --color). */
  paint(style: Style, text: string, fd: 1 | 2 = 1): string {
    const { color } = this.options
    if (color === 'never') return text
    const stream = fd === 1 ? process.stdout : process.stderr
    return styleText(STYLES[style], text, { stream, validateStream: color !== 'always' })
  }
}

const withNewline = (text: string): string => (text.endsWith('\n') ? text : `${text}\n`)

/** JSON on one line. What JSON leaves as it is and a terminal may act on is escaped, which means the same. */
const jsonLine = (document: object): string => `${JSON.stringify(document).replace(CONTROLS, escapeUnit)}\n`

const escapeUnit = (char: string): string => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`
