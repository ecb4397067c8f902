/** The daemon: what `waybill init` and `waybill up` call. */

export interface Daemon {
  id: string
  name: string
  peerId: string
  apiUrl: string
  addresses: string[]
  /** The home was made by this start. */
  created: boolean
  stop(): Promise<void>
  /** Resolves when the daemon has stopped, with the error that stopped it where there was one. */
  stopped: Promise<Error | undefined>
}

export interface DaemonOptions {
  name?: string
  listen?: string[]
  apiPort?: number
  passphrase?: string
}

export async function initHome(
  home: string,
  options: { name: string; passphrase?: string },
): Promise<{ id: string; name: string; created: boolean }> {
  throw new Error(`no home can be made in ${home} for ${options.name}`)
}

export async function runDaemon(home: string, _options: DaemonOptions): Promise<Daemon> {
  throw new Error(`no daemon can be run in ${home}`)
}
