import * as assert from 'uvu/assert'
import { type Plot, type Report, reportHtml } from '../../sim/report.ts'
import { suite } from '../harness.ts'

const test = suite('sim/report')

const plot: Plot = {
  title: 'latency',
  x: { label: 'participants', log: true },
  y: { label: 'ms' },
  lines: [
    {
      name: 'p50',
      points: [
        [10, 3],
        [100, 12],
        [1_000, 47],
      ],
    },
    {
      name: 'p99',
      points: [
        [10, 9],
        [100, 30],
        [1_000, 96],
      ],
    },
  ],
}
const report = (more: Partial<Report> = {}): string =>
  reportHtml({ title: 'A mesh', said: ['seed 1'], tables: [], plots: [plot], ...more })
const matches = (html: string, pattern: RegExp) => [...html.matchAll(pattern)]

test('a point stands where its value is: more to the right and higher up for more', () => {
  const html = report()
  const lines = matches(html, /<polyline points="([^"]+)"/g).map(([, points]) =>
    points!.split(' ').map(point => point.split(',').map(Number) as [number, number]),
  )
  assert.is(lines.length, 2)
  for (const points of lines) {
    assert.is(points.length, 3)
    // powers of ten are equally far apart
    assert.ok(Math.abs(points[1]![0] - points[0]![0] - (points[2]![0] - points[1]![0])) < 0.2)
    assert.ok(points[0]![1] > points[1]![1] && points[1]![1] > points[2]![1])
  }
  // 0 to 100: 96 is twice as high as 47 and a bit
  const bottom = 360 - 45
  const height = (y: number) => bottom - y
  assert.ok(Math.abs(height(lines[1]![2]![1]) / height(lines[0]![2]![1]) - 96 / 47) < 0.02)
  for (const tick of ['0', '20', '100', '1,000']) assert.match(html, `>${tick}</text>`)
})

test('it needs nothing from elsewhere, and what is said in it cannot become markup', () => {
  const html = report({
    title: '<script>alert(1)</script>',
    said: ['a & b'],
    tables: [{ title: 'figures', head: ['what', 'value'], rows: [['<b>', 1_234.5678]] }],
  })
  assert.not.match(html, /<script|<b>|https?:|src=|href=|@import|url\(/)
  assert.match(html, '&lt;script&gt;')
  assert.match(html, 'a &amp; b')
  assert.match(html, '<td class="n">1,234.57</td>')
})

test('one point, equal values and nothing at all are no trouble', () => {
  const of = (points: [number, number][], log = false) =>
    report({ plots: [{ ...plot, y: { label: 'y', log }, lines: [{ name: 'a', points }] }] })
  for (const html of [
    of([[10, 5]]),
    of([[10, 5]], true),
    of([
      [10, 0],
      [20, 0],
    ]),
    of(
      [
        [10, 7],
        [20, 7],
      ],
      true,
    ),
  ]) {
    assert.not.match(html, /NaN|Infinity/)
    assert.is(matches(html, /<circle/g).length > 0, true)
  }
  assert.match(of([]), 'Nothing to show.')
  assert.match(of([[0, 1]]), 'Nothing to show.', 'a logarithm of 0 is none')
})

test.run()
