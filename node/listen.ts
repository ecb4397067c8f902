/**
 * Where a node listens. Partners know the addresses of the last start, so a port that nobody named (the usual ones, or 0)
 * is taken again at the next start while it is free: two nodes that both come back elsewhere cannot find each other.
 */
import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import { paths } from './config.ts'
import { writeFileDurable } from './file.ts'
import type { Network } from './network.ts'

/** Usual ports of the mesh: the first, and how many are tried. */
const FIRST_PORT = 4101
const USUAL_PORTS = 20
const EVERYWHERE = '/ip4/0.0.0.0/tcp/'
const ANY_PORT = /\/tcp\/0$/

/** Ports of the last start, by the address with port 0 that they stood for. */
const schema = z.record(z.string(), z.number().int().min(1).max(65_535))
type Ports = z.infer<typeof schema>

/**
 * Opens the network at `asked`, with the ports of the last start for those that are 0; without `asked` on every address,
 * at the port of the last start, the usual one or the next that is free. `busy` hears of ports that others have.
 */
export async function openWhereKnown(
  home: string,
  asked: string[] | undefined,
  open: (listen: string[]) => Promise<Network>,
  busy: (listen: string[]) => void,
): Promise<Network> {
  const addresses = asked ?? [`${EVERYWHERE}0`]
  const known = await readPorts(home)
  const network = await openFirst(candidates(addresses, known, asked === undefined), open, busy)
  await keepPorts(home, addresses, known, network).catch(async error => {
    await network.stop()
    throw error
  })
  return network
}

/** What to try, best first; only the last may fail for good. */
function candidates(addresses: string[], known: Ports, usual: boolean): string[][] {
  const remembered = addresses.map(address => withPort(address, known[address] ?? 0))
  const again = remembered.some((address, i) => address !== addresses[i]) ? [remembered] : []
  const ports = usual ? Array.from({ length: USUAL_PORTS }, (_, i) => [`${EVERYWHERE}${FIRST_PORT + i}`]) : []
  return [...again, ...ports, addresses]
}

async function openFirst(
  tries: string[][],
  open: (listen: string[]) => Promise<Network>,
  busy: (listen: string[]) => void,
): Promise<Network> {
  const [listen, ...rest] = tries as [string[], ...string[][]]
  try {
    return await open(listen)
  } catch (error) {
    if ((error as { code?: string }).code !== 'ADDRESS_IN_USE' || rest.length === 0) throw error
    busy(listen)
    return openFirst(rest, open, busy)
  }
}

async function readPorts(home: string): Promise<Ports> {
  try {
    return schema.parse(JSON.parse(await readFile(paths(home).ports, 'utf8')))
  } catch {
    return {} // none yet, or not readable: the next start remembers anew
  }
}

async function keepPorts(home: string, addresses: string[], known: Ports, network: Network): Promise<void> {
  const ports = Object.fromEntries(
    addresses
      .filter(address => ANY_PORT.test(address))
      .map(each => [each, portOf(each, network.addresses())]),
  )
  const merged = { ...known, ...ports }
  if (JSON.stringify(merged) === JSON.stringify(known)) return
  await writeFileDurable(paths(home).ports, new TextEncoder().encode(`${JSON.stringify(merged)}\n`), 0o600)
}

/** The port that stands for 0 in `asked`. An address of every interface is listed once for each of them. */
function portOf(asked: string, listening: string[]): number | undefined {
  const [, family, host] = asked.split('/')
  const isEvery = host === '0.0.0.0' || host === '::'
  const prefix = isEvery ? `/${family}/` : `/${family}/${host}/`
  const port = listening.find(each => each.startsWith(prefix))?.match(/\/tcp\/(\d+)/)?.[1]
  return port === undefined ? undefined : Number(port)
}

const withPort = (address: string, port: number): string => address.replace(ANY_PORT, `/tcp/${port}`)
