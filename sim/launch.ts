/**
 * Starts a run in a process of its own: with the heap that it needs, and with the charged back ends under crypto/, which
 * never get into the process that asked.
 */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { readRequest, type Typed } from './request.ts'

const here = (file: string) => fileURLToPath(new URL(file, import.meta.url))
const MIB = 2 ** 20
const LEAST_HEAP_MIB = 2_048
/** What is not live any more may take so much beside what is. */
const HEADROOM = 1.2
/** Young objects live long here: a small nursery would copy them again and again. */
const NURSERY_MIB = 64

/** The exit code of the run. Throws the codes of SimError before it starts. */
export function launch(typed: Typed): Promise<number> {
  const { seed, memory } = readRequest(typed)
  const heap = Math.ceil(Math.max(LEAST_HEAP_MIB, (HEADROOM * memory) / MIB))
  const flags = [
    `--max-old-space-size=${heap}`,
    `--max-semi-space-size=${NURSERY_MIB}`,
    '--import',
    here('./charge.ts'),
  ]
  const child = spawn(
    process.execPath,
    [...flags, here('./world-main.ts'), JSON.stringify({ ...typed, seed: String(seed) })],
    { stdio: 'inherit' },
  )
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('exit', code => resolve(code ?? 1))
  })
}
