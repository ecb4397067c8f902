/** Whatever was thrown, as the four lines that a person reads and the document that a program reads. */
import { isWaybillError, WaybillError } from '../error.ts'
import { EXIT, exitOf, nextOf } from './exit.ts'

/** An error as `--json` prints it. */
export interface ProblemDocument {
  schema: 'waybill.error/1'
  code: string
  message: string
  hint?: string
  retryable: boolean
  clause?: string
  asked?: string
  allowed?: string
  exit: number
}

/** Wrong use of the command line; `hint` says what to type. */
export const usage = (message: string, hint?: string): WaybillError =>
  new WaybillError('USAGE', message, { hint })

export function problemOf(error: unknown): ProblemDocument {
  const found = asWaybillError(error)
  const { code, message, retryable, clause, asked, allowed, status } = found
  const hint = found.hint ?? nextOf(code)
  return {
    schema: 'waybill.error/1',
    code,
    message,
    ...(hint ? { hint } : {}),
    retryable,
    ...(clause ? { clause } : {}),
    ...(asked ? { asked } : {}),
    ...(allowed ? { allowed } : {}),
    exit: exitOf(code, status),
  }
}

function asWaybillError(error: unknown): WaybillError {
  if (isWaybillError(error)) return error
  const { name, code, message } = (error ?? {}) as { name?: unknown; code?: unknown; message?: unknown }
  if (name === 'TimeoutError')
    return new WaybillError('TIMED_OUT', 'it took longer than it may', { retryable: true })
  if (name === 'AbortError') return new WaybillError('INTERRUPTED', 'interrupted', { retryable: true })
  const known = typeof code === 'string' && exitOf(code) !== EXIT.unexpected
  const stable = known || (typeof code === 'string' && nextOf(code) !== undefined)
  return new WaybillError(stable ? (code as string) : 'INTERNAL', String(message ?? error))
}

/** What happened, why, what to run next, where to read more. Each is one line. */
export function problemLines(problem: ProblemDocument): string[] {
  const { code, message, hint, clause, asked, allowed, exit } = problem
  const why = [
    code,
    clause && `clause ${clause}`,
    asked !== undefined && `asked ${asked}`,
    allowed !== undefined && `allowed ${allowed}`,
    `exit ${exit}`,
  ]
  return [
    message,
    `why   ${why.filter(Boolean).join(' · ')}`,
    `next  ${hint ?? 'waybill status'}`,
    `docs  waybill explain ${code}`,
  ]
}
