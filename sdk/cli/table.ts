/** Columns without borders, so that a pipe gets the same lines as a terminal. */
import Table from 'cli-table3'
import prettyBytes from 'pretty-bytes'

const NO_BORDERS = Object.fromEntries(
  ['top', 'bottom', 'left', 'right', 'mid'].flatMap(side =>
    [side, `${side}-mid`, `${side}-left`, `${side}-right`, `mid-${side}`].map(name => [name, '']),
  ),
)

/** Rows under their headings; columns are as wide as their widest cell. */
export function table(headings: string[], rows: string[][]): string {
  const made = new Table({
    head: headings,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
    chars: { ...NO_BORDERS, middle: '  ' },
  })
  made.push(...rows)
  return made
    .toString()
    .split('\n')
    .map(line => line.trimEnd())
    .join('\n')
}

export const size = (bytes: number): string => prettyBytes(bytes)
