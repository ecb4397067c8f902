/** The demo over files as people have them. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { suite, temporary } from '../harness.ts'
import { assertWell, runDemo } from './run-demo.ts'

const test = suite('demo of odd files')
const LIMIT_MS = 120_000

test(
  'odd files come through: empty, tiny, odd names, equal names, another encoding, several blocks',
  async () => {
    using folder = temporary()
    const made: Record<string, string | Buffer> = {
      'empty.csv': '',
      'one-byte': Buffer.of(0),
      'utf16.csv': Buffer.from('\ufeffZeit;Wert\r\n1;2\r\n', 'utf16le'),
      'no-newline.txt': 'a line without an end',
      'with blanks in it.csv': 'a,b\n',
      '-dash.csv': 'a,b\n',
      '产线能耗.csv': '时间,千瓦时\n',
      'line1/readings.csv': 'line,1\n',
      'line2/readings.csv': 'line,2\n',
      'large.bin': Buffer.alloc(3.5 * 1024 * 1024, 'waybill'),
    }
    const paths = Object.entries(made).map(([name, content]) => {
      const path = join(folder.path, name)
      mkdirSync(dirname(path), { recursive: true })
      writeFileSync(path, content)
      return path
    })
    const summary = await runDemo(paths, LIMIT_MS)
    console.log(`demo of odd files: ${summary.ms} ms`)
    assertWell(summary, paths.length)
  },
  LIMIT_MS,
)

test.run()
