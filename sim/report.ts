/**
 * A report as one HTML file: figures in a table, lines in plots, nothing loaded from elsewhere, so that it can be mailed and
 * still opens in ten years.
 */

export interface Plot {
  title: string
  x: Axis
  y: Axis
  lines: { name: string; points: readonly (readonly [x: number, y: number])[] }[]
}

export interface Axis {
  label: string
  /** Powers of ten at equal distances; what is not above 0 is left out. */
  log?: boolean
}

export interface Report {
  title: string
  /** What has to be known to believe it: seed, profile, what was charged and what was real. */
  said: string[]
  tables: { title: string; head: string[]; rows: (string | number)[][] }[]
  plots: Plot[]
}

export function reportHtml({ title, said, tables, plots }: Report): string {
  return [
    `<!doctype html><html lang="en"><meta charset="utf-8"><title>${escaped(title)}</title><style>${STYLE}</style>`,
    `<h1>${escaped(title)}</h1>`,
    ...said.map(each => `<p>${escaped(each)}</p>`),
    ...tables.map(tableHtml),
    ...plots.map(plotSvg),
    '</html>\n',
  ].join('\n')
}

const STYLE =
  'body{font:15px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem;color:#1b1f24}' +
  'table{border-collapse:collapse;margin:1rem 0}td,th{padding:.2rem .8rem;border-bottom:1px solid #d0d7de;text-align:left}' +
  'td.n{text-align:right;font-variant-numeric:tabular-nums}svg{width:100%;height:auto;margin:1rem 0}text{font:12px system-ui}'

const tableHtml = ({ title, head, rows }: Report['tables'][number]): string =>
  `<h2>${escaped(title)}</h2><table><tr>${head.map(each => `<th>${escaped(each)}</th>`).join('')}</tr>` +
  `${rows.map(row => `<tr>${row.map(cellHtml).join('')}</tr>`).join('')}</table>`

const cellHtml = (value: string | number): string =>
  typeof value === 'number' ? `<td class="n">${shown(value)}</td>` : `<td>${escaped(value)}</td>`

/** Of the drawing, in its own units. */
const [WIDTH, HEIGHT] = [800, 360]
const MARGIN = { left: 70, right: 20, top: 30, bottom: 45 }
const TICKS = 5
/** Told apart by those who see no red or no green too (Okabe and Ito 2008). */
const COLOURS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#000000']

function plotSvg({ title, x, y, lines }: Plot): string {
  const drawn = lines.map(({ name, points }) => ({
    name,
    points: points.filter(point => isShown(point[0], x) && isShown(point[1], y)),
  }))
  const all = drawn.flatMap(({ points }) => points)
  if (all.length === 0) return `<h2>${escaped(title)}</h2><p>Nothing to show.</p>`
  const across = scale(
    all.map(point => point[0]),
    x,
    MARGIN.left,
    WIDTH - MARGIN.right,
  )
  const up = scale(
    all.map(point => point[1]),
    y,
    HEIGHT - MARGIN.bottom,
    MARGIN.top,
  )
  const grid = [
    ...across.ticks.map(tick => {
      const at = across.at(tick)
      return `${line(at, MARGIN.top, at, HEIGHT - MARGIN.bottom)}${label(at, HEIGHT - MARGIN.bottom + 16, 'middle', shown(tick))}`
    }),
    ...up.ticks.map(tick => {
      const at = up.at(tick)
      return `${line(MARGIN.left, at, WIDTH - MARGIN.right, at)}${label(MARGIN.left - 6, at + 4, 'end', shown(tick))}`
    }),
    label((MARGIN.left + WIDTH) / 2, HEIGHT - 8, 'middle', x.label),
    label(MARGIN.left, MARGIN.top - 12, 'start', y.label),
  ]
  const curves = drawn.map(({ name, points }, i) => {
    const colour = COLOURS[i % COLOURS.length]!
    const path = points.map(point => `${round(across.at(point[0]))},${round(up.at(point[1]))}`).join(' ')
    const dots = points.map(
      point => `<circle cx="${round(across.at(point[0]))}" cy="${round(up.at(point[1]))}" r="3"/>`,
    )
    return (
      `<g fill="${colour}"><polyline points="${path}" fill="none" stroke="${colour}" stroke-width="2"/>${dots.join('')}` +
      `${label(WIDTH - MARGIN.right - 4, MARGIN.top + 16 * (i + 1), 'end', name)}</g>`
    )
  })
  return (
    `<h2>${escaped(title)}</h2><svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escaped(title)}">` +
    `${grid.join('')}${curves.join('')}</svg>`
  )
}

const isShown = (value: number, { log }: Axis): boolean => Number.isFinite(value) && (!log || value > 0)

interface Scale {
  ticks: number[]
  at(value: number): number
}

/** Where a value stands between two ends of the drawing, and where the lines of the grid go. */
function scale(values: number[], { log }: Axis, from: number, to: number): Scale {
  const place = (value: number) => (log ? Math.log10(value) : value)
  const [least, most] = [Math.min(...values), Math.max(...values)]
  const ticks = log ? powers(least, most) : evenly(Math.min(0, least), most)
  const [low, high] = [place(ticks[0]!), place(ticks.at(-1)!)]
  return { ticks, at: value => from + ((place(value) - low) / (high - low)) * (to - from) }
}

function powers(least: number, most: number): number[] {
  const [first, last] = [Math.floor(Math.log10(least)), Math.ceil(Math.log10(most))]
  return Array.from({ length: Math.max(2, last - first + 1) }, (_, i) => 10 ** (first + i))
}

/** Round numbers over the whole range: 1, 2 or 5 times a power of ten apart. */
function evenly(least: number, most: number): number[] {
  const rough = (most - least || Math.abs(most) || 1) / TICKS
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = power * ([1, 2, 5].find(times => times * power >= rough) ?? 10)
  const first = Math.floor(least / step)
  const count = Math.max(1, Math.ceil(most / step) - first)
  return Array.from({ length: count + 1 }, (_, i) => (first + i) * step)
}

const line = (x1: number, y1: number, x2: number, y2: number): string =>
  `<line x1="${round(x1)}" y1="${round(y1)}" x2="${round(x2)}" y2="${round(y2)}" stroke="#d0d7de"/>`
const label = (x: number, y: number, anchor: string, what: string): string =>
  `<text x="${round(x)}" y="${round(y)}" text-anchor="${anchor}">${escaped(what)}</text>`
const round = (value: number): number => Math.round(value * 10) / 10

/** Three significant digits, and thousands apart. */
const shown = (value: number): string =>
  value.toLocaleString('en', { maximumSignificantDigits: Math.abs(value) >= 1_000 ? 6 : 3 })

const escaped = (what: string): string =>
  what.replace(/[&<>"]/g, char => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[char]!)
