/** Whatever a node holds of another's log, as seen, mirrored or cosigned, is a head that the log's owner has signed (promise 3). */
import { text, toHex } from '../crypto/bytes.ts'
import { parseCheckpoint } from '../crypto/checkpoint.ts'
import { parseNote } from '../crypto/note.ts'
import { readWatch } from '../protocol/heads.ts'
import { KEY } from '../protocol/layout.ts'
import type { Write } from '../protocol/output.ts'
import type { Checker, Cluster } from './cluster.ts'
import { isHead } from './history.ts'
import type { SimNode } from './node.ts'
import type { Suspects } from './suspects.ts'

export class SeenChecker implements Checker {
  readonly #cluster: Cluster
  readonly #suspects: Suspects
  /** Origin, size and root of every head that was signed. */
  readonly #signed = new Set<string>()

  constructor(cluster: Cluster, suspects: Suspects) {
    this.#cluster = cluster
    this.#suspects = suspects
  }

  queued(node: SimNode, _seq: number, writes: Write[]): void {
    for (const { key, value } of writes) {
      if (!value) continue
      if (isHead(key)) this.#signed.add(nameOf(value))
      else if (key.startsWith(KEY.watch(''))) this.#seen(node, key.slice(KEY.watch('').length), value)
    }
  }

  #seen(node: SimNode, org: string, value: Uint8Array): void {
    if (this.#suspects.has(org) || this.#suspects.has(node.org)) return
    const { note, rumour } = readWatch(value)!
    if (this.#signed.has(nameOf(note)) && (!rumour || this.#signed.has(nameOf(rumour.note)))) return
    this.#cluster.report('promise 3', node.name, `holds a head of ${org} that was never signed`)
  }
}

function nameOf(note: Uint8Array): string {
  const { origin, size, root } = parseCheckpoint(parseNote(text(note)).body)
  return `${origin} ${size} ${toHex(root)}`
}
