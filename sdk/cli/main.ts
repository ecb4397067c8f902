#!/usr/bin/env node
/** The command `waybill`. Only commander and the table of commands are loaded before a command runs. */
import type { Command, CommanderError } from 'commander'
import { Cli, type GlobalOptions } from './cli.ts'
import { EXIT } from './exit.ts'
import { problemOf, usage } from './problem.ts'
import { build } from './program.ts'

process.stdout.on('error', endOfPipe)
process.exitCode = await main(process.argv.slice(2))

async function main(args: string[]): Promise<number> {
  const interrupt = new AbortController()
  const onInterrupt = () => {
    if (interrupt.signal.aborted) process.exit(EXIT.interrupted)
    interrupt.abort(new DOMException('interrupted', 'AbortError'))
  }
  process.on('SIGINT', onInterrupt)
  let cli = new Cli(roughOptions(args), '', interrupt.signal)
  const program = build(interrupt.signal, made => {
    cli = made
  })
  try {
    await program.parseAsync(args.length === 0 ? ['--help'] : args, { from: 'user' })
  } catch (error) {
    if (isCommander(error) && error.exitCode === 0) return EXIT.ok
    if (process.env.WAYBILL_TRACE) process.stderr.write(`${(error as Error).stack}\n`)
    cli.fail(problemOf(isCommander(error) ? usageOf(error, commandIn(args, program)) : error))
  } finally {
    process.off('SIGINT', onInterrupt)
  }
  return cli.exit
}

/** Options that shape an error, for one that comes before the arguments were understood. */
function roughOptions(args: string[]): GlobalOptions {
  const own = args.includes('--') ? args.slice(0, args.indexOf('--')) : args
  const never =
    own.includes('--color=never') || own.some((each, i) => each === 'never' && own[i - 1] === '--color')
  return { json: own.includes('--json'), color: never ? 'never' : 'auto' }
}

function isCommander(error: unknown): error is CommanderError {
  const { code } = (error ?? {}) as { code?: unknown }
  return typeof code === 'string' && code.startsWith('commander.')
}

/** Commander's message, and what to do next: its "did you mean", or what an argument that is missing may be. */
function usageOf({ code, message }: CommanderError, { help, wanted }: ReturnType<typeof commandIn>): Error {
  if (code === 'commander.help') return usage('a command is missing', help)
  if (code === 'commander.missingArgument') return usage(message.replace(/^error: /, ''), wanted)
  const [what, ...rest] = message.replace(/^error: /, '').split('\n')
  const suggestion = rest.join(' ').replace(/^\(|\)$/g, '')
  return usage(what!, suggestion || help)
}

/** Where to read how the command is used, and its arguments. */
function commandIn(args: string[], program: Command): { help: string; wanted: string } {
  let [command, path] = [program, 'waybill']
  for (const arg of args) {
    const inner = command.commands.find(each => each.name() === arg)
    if (!inner) continue
    command = inner
    path += ` ${arg}`
  }
  const given = command.registeredArguments.map(each => {
    const name = `${each.name().toUpperCase()}${each.variadic ? '...' : ''}`
    return each.description ? `${name} (${each.description})` : name
  })
  return { help: `${path} --help`, wanted: [path, ...given].join(' ') }
}

/** A reader that closed the pipe has seen enough. */
function endOfPipe(error: NodeJS.ErrnoException): void {
  if (error.code === 'EPIPE') process.exit(process.exitCode ?? 0)
  throw error
}
