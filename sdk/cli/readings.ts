/** Readings of the machine that this runs on, as files to share: real values, a row each quarter of a second. */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { cpus, freemem, loadavg, networkInterfaces, totalmem, uptime } from 'node:os'
import { join } from 'node:path'

const INTERVAL_MS = 250

/** Samples for `durationMs` and writes one CSV for each source that this system has; returns their paths. */
export async function sampleHost(folder: string, durationMs: number): Promise<string[]> {
  await mkdir(folder, { recursive: true })
  const tables: Record<string, string[]> = {
    cpu: ['time_ms,core,user_ms,system_ms,idle_ms'],
    memory: ['time_ms,free_bytes,total_bytes,load_1min,uptime_s'],
    disk: ['time_ms,device,reads,sectors_read,writes,sectors_written'],
    network: ['time_ms,interface,received_bytes,received_packets,sent_bytes,sent_packets'],
  }
  const end = Date.now() + durationMs
  do {
    await sample(tables)
    await new Promise(done => setTimeout(done, INTERVAL_MS))
  } while (Date.now() < end)
  const paths: string[] = []
  for (const [name, rows] of Object.entries(tables)) {
    if (rows.length === 1) continue // this system does not tell
    const path = join(folder, `${name}.csv`)
    await writeFile(path, `${rows.join('\n')}\n`)
    paths.push(path)
  }
  return paths
}

async function sample(tables: Record<string, string[]>): Promise<void> {
  const now = Date.now()
  for (const [core, { times }] of cpus().entries())
    tables.cpu!.push([now, core, times.user, times.sys, times.idle].join())
  tables.memory!.push([now, freemem(), totalmem(), loadavg()[0]!.toFixed(2), Math.floor(uptime())].join())
  for (const line of await lines('/proc/diskstats')) {
    const [, , device, reads, , sectorsRead, , writes, , sectorsWritten] = line.split(/\s+/)
    if (device && !/^(loop|ram)/.test(device))
      tables.disk!.push([now, device, reads, sectorsRead, writes, sectorsWritten].join())
  }
  const counted = await lines('/proc/net/dev')
  for (const line of counted.slice(2)) {
    const [name, received, packets, , , , , , , sent, sentPackets] = line.split(/[\s:]+/)
    tables.network!.push([now, name, received, packets, sent, sentPackets].join())
  }
  if (counted.length === 0)
    for (const name of Object.keys(networkInterfaces()))
      tables.network!.push([now, name, '', '', '', ''].join())
}

/** Lines of a file of counters; none where the system has no such file. */
async function lines(path: string): Promise<string[]> {
  const text = await readFile(path, 'utf8').catch(() => '')
  return text
    .trim()
    .split('\n')
    .map(line => line.trim())
    .filter(line => line !== '')
}
