/**
 * Promise before signature, kept in books of its own: no head is signed before so many members as the committee on the disk
 * asks for have answered that they hold it, or what extends it (RULES D1). So none is while fewer can be reached.
 */
import { equal, text } from '../crypto/bytes.ts'
import { parseCheckpoint } from '../crypto/checkpoint.ts'
import { parseNote } from '../crypto/note.ts'
import { readSeating } from '../protocol/committee.ts'
import { KEY } from '../protocol/layout.ts'
import { rootAt } from '../protocol/ledger.ts'
import type { Message } from '../protocol/message.ts'
import type { Write } from '../protocol/output.ts'
import type { Checker, Cluster } from './cluster.ts'
import type { SimNode } from './node.ts'
import { ruleOf } from './suspects.ts'

/** What a member said that it holds: also one that refuses says it. */
interface Given {
  org: string
  size: number
  root: Uint8Array
}

export class PromiseChecker implements Checker {
  readonly #cluster: Cluster
  readonly #given = new Map<SimNode, Given[]>()

  constructor(cluster: Cluster) {
    this.#cluster = cluster
  }

  arrived(to: SimNode, from: string, message: Message): void {
    if (message.t !== 'promise/given' && message.t !== 'promise/refused') return
    const { size, root } = message
    if (!root) return // holds nothing
    const given = this.#given.get(to) ?? []
    const isKnown = given.some(each => each.org === from && each.size === size && equal(each.root, root))
    if (!isKnown) this.#given.set(to, [...given, { org: from, size, root }])
  }

  queued(node: SimNode, _seq: number, writes: Write[]): void {
    for (const { key, value, if: condition } of writes)
      if (value && condition === 'absent' && key.includes(KEY.heads)) this.#signed(node, value)
  }

  #signed(node: SimNode, note: Uint8Array): void {
    const { size, root } = parseCheckpoint(parseNote(text(note)).body)
    const { now, next } = readSeating(node.env.get)
    const due = now ? [ruleOf(now)] : []
    if (next && size > next.index) {
      const coming = ruleOf(next.record)
      // The first committee is in force when all of it has cosigned (RULES D2).
      due.push(now ? coming : { ...coming, q: coming.seats.length })
    }
    const holders = new Set(this.#holders(node, size, root))
    for (const { seats, q } of due) {
      const held = seats.filter(seat => holders.has(seat)).length
      if (held < q)
        this.#cluster.report(
          'promise 3',
          node.name,
          `a head of ${size} is signed with ${held} promises of ${q}`,
        )
    }
  }

  #holders(node: SimNode, size: number, root: Uint8Array): string[] {
    const { ledger } = node.state
    const isOf = (given: Given) =>
      given.size === size
        ? equal(given.root, root)
        : given.size > size &&
          given.size <= ledger.tail.range.size &&
          equal(given.root, rootAt(ledger, node.env.get, given.size))
    return (this.#given.get(node) ?? []).filter(isOf).map(({ org }) => org)
  }
}
