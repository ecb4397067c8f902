/** What tests share: a suite whose tests have a timeout, assertions that name the expected error, a temporary folder. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite as uvuSuite } from 'uvu'
import * as assert from 'uvu/assert'

const TEST_TIMEOUT_MS = 30_000

/** Why something was skipped in this file, as printed. */
export const reasons: string[] = []

type Body = () => void | Promise<void>
export interface Suite {
  (name: string, body: Body, timeoutMs?: number): void
  only(name: string, body: Body, timeoutMs?: number): void
  /** Skips one test and prints the reason. */
  skip(name: string, reason: string): void
  after(body: Body): void
  before(body: Body): void
  run(): void
}

/** A uvu suite whose tests fail by name when they do not settle in time. */
export function suite(name: string): Suite {
  const inner = uvuSuite(name)
  const add = (title: string, body: Body, timeoutMs = TEST_TIMEOUT_MS) =>
    inner(title, () => timed(title, body, timeoutMs))
  const only = (title: string, body: Body, timeoutMs = TEST_TIMEOUT_MS) => {
    if (process.env.CI) throw new Error(`test.only('${title}') must not reach CI`)
    inner.only(title, () => timed(title, body, timeoutMs))
  }
  const skip = (title: string, reason: string) => {
    reasons.push(reason)
    console.log(`SKIP ${title}: ${reason}`)
    inner.skip(title, () => {})
  }
  return Object.assign(add, {
    only,
    skip,
    after: (body: Body) => inner.after(body),
    before: (body: Body) => inner.before(body),
    run: () => inner.run(),
  })
}

async function timed(title: string, body: Body, timeoutMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`'${title}' ran past ${timeoutMs} ms`)), timeoutMs)
  })
  try {
    await Promise.race([Promise.resolve().then(body), late])
  } finally {
    clearTimeout(timer)
  }
}

/** Asserts that `body` throws an error with this `code`, and returns the error. */
export function throwsCode(body: () => unknown, code: string, message?: string): Error & { code: string } {
  try {
    body()
  } catch (error) {
    assert.is((error as { code?: string }).code, code, message ?? String((error as Error).stack))
    return error as Error & { code: string }
  }
  assert.unreachable(message ?? `expected ${code}, nothing was thrown`)
  throw new Error('unreachable')
}

/** Asserts that `promise` rejects with an error with this `code`, and returns the error. */
export async function rejectsCode(
  promise: Promise<unknown>,
  code: string,
): Promise<Error & { code: string }> {
  try {
    await promise
  } catch (error) {
    assert.is((error as { code?: string }).code, code, String((error as Error).stack))
    return error as Error & { code: string }
  }
  assert.unreachable(`expected ${code}, nothing was rejected`)
  throw new Error('unreachable')
}

/** Asserts equal bytes; uvu's own differ cannot compare a Buffer with a Uint8Array. */
export function sameBytes(actual: Uint8Array, expected: Uint8Array, message?: string): void {
  assert.is(Buffer.from(actual).toString('hex'), Buffer.from(expected).toString('hex'), message)
}

/** A temporary folder that is removed at the end of the scope: `using dir = temporary()`. */
export function temporary(): { path: string; [Symbol.dispose](): void } {
  const path = mkdtempSync(join(tmpdir(), 'waybill-'))
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) }
}

/** The folder of shared vectors and data beside the checkout; tests that use it say how many cases they ran. */
export const SHARED: string = join(import.meta.dirname, '..', '..', 'shared')
