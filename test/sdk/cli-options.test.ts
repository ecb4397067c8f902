/** Every command, asked what it does not know: an unknown option, one argument too many, a choice that is none. */
import type { Command } from 'commander'
import * as assert from 'uvu/assert'
import { build } from '../../sdk/cli/program.ts'
import { temporary } from '../harness.ts'
import { fourLines, run, spawning } from './run-cli.ts'

const test = spawning('cli options')
const PARALLEL = 4

/** Words of every command that does something, with as many arguments and the options that it needs. */
function commands(
  parent: Command,
  words: string[] = [],
): { words: string[]; args: string[]; takesMore: boolean }[] {
  return parent.commands.flatMap(command => {
    const named = [...words, command.name()]
    if (command.commands.length > 0) return commands(command, named)
    const { registeredArguments: taken } = command
    const needed = command.options.filter(({ mandatory }) => mandatory).flatMap(({ long }) => [long!, 'x'])
    const args = [...taken.map((_, i) => `argument${i}`), ...needed]
    return [{ words: named, args, takesMore: taken.some(({ variadic }) => variadic) }]
  })
}

test('an unknown option and an argument too many are named, and nothing is done', async () => {
  using dir = temporary()
  const all = commands(build(new AbortController().signal, () => {}))
  assert.ok(all.length > 20)
  const cases = all.flatMap(({ words, args, takesMore }) => {
    const good = [...words, ...args]
    return [
      { given: [...good, '--no-such-thing'], named: /--no-such-thing/ },
      ...(takesMore ? [] : [{ given: [...good, 'onemore'], named: /too many arguments/ }]),
    ]
  })
  const check = async ({ given, named }: (typeof cases)[number]) => {
    const [what] = fourLines(await run(['--home', dir.path, ...given]), 2, 'USAGE')
    assert.match(what!, named, given.join(' '))
  }
  for (let i = 0; i < cases.length; i += PARALLEL) await Promise.all(cases.slice(i, i + PARALLEL).map(check))
  console.log(`${cases.length} runs of ${all.length} commands`)
})

test('options of one command are unknown to another, before and behind it', async () => {
  using dir = temporary()
  for (const given of [
    ['status', '--output', 'x'],
    ['--limit', '3', 'log'],
    ['offers', '--to', 'bolt'],
    ['--colour', 'never', 'status'],
    ['offers', '-Z'],
  ])
    fourLines(await run(['--home', dir.path, ...given]), 2, 'USAGE')
})

test.run()
