/** The demo as a process of its own, and the one line that it answers with. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import * as assert from 'uvu/assert'

export const DEMO: string = join(import.meta.dirname, '..', '..', 'sdk', 'cli', 'demo.ts')

export interface Summary {
  schema: string
  packets: number
  bytes: number
  agreementSignatures: number
  consentReceipts: number
  receipts: number
  logEntries: { acme: number; bolt: number }
  cosignatures: number
  verified: boolean
  tamperDetected: boolean
  ms: number
}

/** Runs it with these files, or with readings of this machine where there are none. */
export async function runDemo(
  files: string[],
  limitMs: number,
  env: NodeJS.ProcessEnv = {},
): Promise<Summary> {
  const args = [DEMO, '--json', ...(files.length > 0 ? ['--', ...files] : [])]
  const child = spawn(process.execPath, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: limitMs,
    env: { ...process.env, ...env },
  })
  let [stdout, stderr] = ['', '']
  child.stdout.setEncoding('utf8').on('data', text => {
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', text => {
    stderr += text
  })
  const [code] = await once(child, 'close')
  assert.is(code, 0, `${stdout}${stderr.slice(-4_000)}`)
  return JSON.parse(stdout.trimEnd().split('\n').at(-1)!) as Summary
}

/** Every field of the summary says that it went well. */
export function assertWell(summary: Summary, packets: number): void {
  const { bytes, logEntries, cosignatures, ms, receipts, ...rest } = summary
  assert.equal(rest, {
    schema: 'waybill.demo/1',
    packets,
    agreementSignatures: 2,
    consentReceipts: 1,
    verified: true,
    tamperDetected: true,
  })
  assert.is(receipts, 2 * packets, 'one receipt for the ciphertext and one for the content, of each packet')
  assert.ok(bytes > 0 && ms > 0)
  assert.ok(logEntries.acme > 3 * packets && logEntries.bolt > 2 * packets, JSON.stringify(logEntries))
  assert.ok(cosignatures >= 2, 'the witness cosigned both logs')
}
