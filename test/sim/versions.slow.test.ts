import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import * as assert from 'uvu/assert'
import { suite } from '../harness.ts'

const test = suite('sim/versions, slow')
const run = promisify(execFile)
const sim = join(import.meta.dirname, '../../sim/main.ts')
const SEEDS = 50
const LONG_MS = 900_000

/** Programs called node that read this code: the one that runs, those on PATH, and those that WAYBILL_NODES names. */
async function versions(): Promise<Map<string, string>> {
  const folders = (process.env.PATH ?? '').split(delimiter).map(folder => join(folder, 'node'))
  const named = (process.env.WAYBILL_NODES ?? '').split(delimiter).filter(Boolean)
  const found = new Map<string, string>()
  for (const path of [process.execPath, ...named, ...folders]) {
    if (!existsSync(path)) continue
    const version = await run(path, ['-p', 'process.features.typescript && process.version']).then(
      ({ stdout }) => stdout.trim(),
      () => '',
    )
    if (version.startsWith('v') && !found.has(version)) found.set(version, path)
  }
  return found
}

/** Also of a run that breaks a promise (exit code 1): whether one does is for other tests to say. */
async function hash(node: string, args: string[]): Promise<string> {
  const { stdout } = await run(node, [sim, ...args], { maxBuffer: 2 ** 26 }).catch(failed => {
    if (failed.code === 1) return failed as { stdout: string }
    throw failed
  })
  return /(?:"traceHash":"|traces )([0-9a-f]{64})/.exec(stdout)![1]!
}

test(
  `${SEEDS} seeds and a world give the same hashes again, on every Node that is here`,
  async () => {
    const nodes = await versions()
    console.log(`on Node ${[...nodes.keys()].join(', ')}`)
    const twice = nodes.size > 1 ? [...nodes.values()] : [process.execPath, process.execPath]
    const cases = [
      ['--seed', '1', '--seeds', String(SEEDS)],
      ['--nodes', '8', '--minutes', '2', '--seed', '1', '--json'],
    ]
    for (const args of cases) {
      const hashes = await Promise.all(twice.map(node => hash(node, args)))
      assert.is(new Set(hashes).size, 1, args.join(' '))
    }
  },
  LONG_MS,
)

test.run()
