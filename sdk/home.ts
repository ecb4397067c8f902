/** Where a home is, and how its daemon is reached. The only part of the client that reads files. */
import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { isAbsolute, join, resolve } from 'node:path'
import { WaybillError } from './error.ts'

/** The home that `dir`, else WAYBILL_HOME, else the XDG data folder names. Absolute. */
export function resolveHome(dir?: string, env: NodeJS.ProcessEnv = process.env): string {
  const named = dir || env.WAYBILL_HOME
  if (named) return resolve(named)
  return join(dataFolder(env), 'waybill', 'default')
}

function dataFolder(env: NodeJS.ProcessEnv): string {
  if (process.platform === 'win32' && env.LOCALAPPDATA) return env.LOCALAPPDATA
  // XDG Base Directory: a relative path is invalid and must be ignored.
  const xdg = env.XDG_DATA_HOME
  return xdg && isAbsolute(xdg) ? xdg : join(homedir(), '.local', 'share')
}

/** Files of a home that programs beside the daemon may read. */
export const homePaths = (home: string) => ({
  home,
  config: join(home, 'config.toml'),
  api: join(home, 'api.json'),
  token: join(home, 'token'),
  trust: join(home, 'trust.json'),
  forks: join(home, 'forks.json'),
  log: join(home, 'daemon.log'),
})

/** Address and token of the daemon of a home. Throws DAEMON_UNREACHABLE when none can be running there. */
export function readEndpoint(home: string): { url: string; token: string; pid: number } {
  const paths = homePaths(home)
  const api = parseApi(readText(paths.api), home)
  // After a crash the file stays; the port may be another program's by now, which must not be shown the token.
  if (!isAlive(api.pid)) throw notRunning(home, `its process ${api.pid} has ended`)
  const token = readText(paths.token)?.trim()
  if (!token) throw notRunning(home, `${paths.token} cannot be read`)
  return { ...api, token }
}

function parseApi(text: string | undefined, home: string): { url: string; pid: number } {
  if (text === undefined) throw notRunning(home)
  try {
    const { schema, url, pid } = JSON.parse(text) as { schema?: unknown; url?: unknown; pid?: unknown }
    if (
      schema === 'waybill.api/1' &&
      typeof url === 'string' &&
      Number.isSafeInteger(pid) &&
      (pid as number) > 0
    )
      return { url, pid: pid as number }
  } catch {
    // Falls through: a file that is no JSON is as good as none.
  }
  throw notRunning(home, 'api.json is not readable')
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

function notRunning(home: string, why?: string): WaybillError {
  const message = `no daemon is running for ${home}${why ? `: ${why}` : ''}`
  return new WaybillError('DAEMON_UNREACHABLE', message, { retryable: true })
}
