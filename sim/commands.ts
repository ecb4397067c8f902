/** What `npm run sim -- calibrate | real | sweep | scale` do. What has to be measured is a program of bench/, run as a child. */
import { spawn } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { SimError } from './error.ts'
import { readProfile } from './profile.ts'
import { ProgressBar } from './progress-bar.ts'
import { type Report, reportHtml } from './report.ts'
import { profileFrom } from './request.ts'
import { extrapolate, lookupsAt, type Typed as ScaleTyped, scaleReport, scalingOf } from './scale.ts'
import { type Point, pointsOf, type Reading, readingOf, reportOf, type Typed } from './sweep.ts'

const MEASURED = fileURLToPath(new URL('../bench/belief-main.ts', import.meta.url))
const MOST_DAEMONS = 64

/** The costs of this machine, into a file or to the screen. */
export async function calibrate(file: string | undefined): Promise<number> {
  checkFolder('profile', file)
  const text = await told(['calibrate'])
  if (text === undefined) return 1
  readProfile(text)
  if (file) writeFileSync(file, text)
  else process.stdout.write(text)
  return 0
}

/** So many daemons on this machine. */
export async function real(nodes: string | undefined): Promise<number> {
  const count = Number(nodes)
  if (!Number.isSafeInteger(count) || count < 2 || count > MOST_DAEMONS)
    throw new SimError('REQUEST_INVALID', `--nodes ${nodes}: 2 to ${MOST_DAEMONS} daemons`)
  const text = await told(['real', String(count)])
  process.stdout.write(text ?? '')
  return text === undefined ? 1 : 0
}

type Outputs = { report?: string; json?: boolean }

/** One thing changed, everything else the same. */
export async function sweep(typed: Typed & Outputs): Promise<number> {
  checkFolder('report', typed.report)
  const { over, points } = pointsOf(typed)
  const readings = await readAll(points, 'sweep')
  tell(reportOf({ over, points, readings }), typed)
  if (typed.json) console.log(JSON.stringify({ schema: 'waybill.sim-sweep/1', over, points, readings }))
  return readings.some(({ violation }) => violation !== null) ? 1 : 0
}

/** A mesh that is too large to be simulated. */
export async function scale(typed: ScaleTyped & Outputs): Promise<number> {
  checkFolder('report', typed.report)
  const asked = scalingOf(typed)
  const profile = profileFrom(undefined)
  const readings = await readAll(asked.points, 'scale')
  const found = extrapolate(asked, readings)
  const lookups = lookupsAt(asked, profile)
  tell(scaleReport(asked, found, lookups), typed)
  if (typed.json) {
    const { nodes, points } = asked
    console.log(
      JSON.stringify({
        schema: 'waybill.sim-scale/1',
        nodes,
        points,
        readings,
        extrapolated: found,
        lookups,
      }),
    )
  }
  return readings.some(({ violation }) => violation !== null) ? 1 : 0
}

/** Each a process of its own, one after the other. */
async function readAll(points: Point[], what: string): Promise<Reading[]> {
  const readings: Reading[] = []
  const bar = new ProgressBar(process.stderr)
  for (const [i, point] of points.entries()) {
    bar.show(what, i / points.length)
    readings.push(await readingOf(point))
  }
  bar.end()
  return readings
}

function tell(report: Report, { report: file }: Outputs): void {
  if (file) writeFileSync(file, reportHtml(report))
  for (const text of [report.title, ...report.said]) console.log(text)
  for (const { head, rows } of report.tables) {
    console.log()
    for (const row of [head, head.map(() => '---'), ...rows]) console.log(`| ${row.join(' | ')} |`)
  }
}

function checkFolder(option: string, file: string | undefined): void {
  if (file === undefined || existsSync(dirname(file))) return
  throw new SimError('REQUEST_INVALID', `--${option} ${file}: there is no folder ${dirname(file)}`)
}

/** What the program says; nothing when it failed and has said so itself. */
async function told(args: string[]): Promise<string | undefined> {
  if (!existsSync(MEASURED))
    throw new SimError('REQUEST_INVALID', 'what daemons do is measured from a checkout of the sources only')
  const child = spawn(process.execPath, [MEASURED, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  child.on('error', reject)
  child.on('close', code => resolve(code ?? 1))
  let text = ''
  child.stdout.on('data', chunk => {
    text += chunk
  })
  return (await promise) === 0 ? text : undefined
}
