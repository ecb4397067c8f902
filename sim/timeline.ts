/** Virtual time: what is to happen, in order of its time, and of two at one time in the order in which they were asked for. */
import { meter } from './meter.ts'

interface Due {
  atUs: number
  seq: number
  work: () => void
}

export class Timeline {
  /** Whole microseconds since the run began. */
  nowUs = 0
  /** A binary heap. */
  readonly #heap: Due[] = []
  #seq = 0

  /** How many works are still to come. */
  get length(): number {
    return this.#heap.length
  }

  at(atUs: number, work: () => void): void {
    const due = { atUs: Math.max(this.nowUs, Math.ceil(atUs)), seq: this.#seq++, work }
    const heap = this.#heap
    let at = heap.length
    heap.push(due)
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (isBefore(heap[parent]!, due)) break
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = due
  }

  /** After so long from the moment to which the work has come that is being done. */
  after(us: number, work: () => void): void {
    this.at(this.nowUs + meter.us + us, work)
  }

  /** Does what is due up to then, in order, and lets the rest of the time pass; stops where `halted` says so. */
  run(untilUs: number, halted: () => boolean): void {
    while (this.#heap.length > 0 && this.#heap[0]!.atUs <= untilUs && !halted()) {
      const due = this.#pop()
      this.nowUs = due.atUs
      due.work()
    }
    if (!halted()) this.nowUs = Math.max(this.nowUs, untilUs)
  }

  #pop(): Due {
    const heap = this.#heap
    const [first, last] = [heap[0]!, heap.pop()!]
    if (heap.length === 0) return first
    let at = 0
    for (let child = 1; child < heap.length; child = 2 * at + 1) {
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++
      if (isBefore(last, heap[child]!)) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = last
    return first
  }
}

const isBefore = (a: Due, b: Due): boolean => a.atUs < b.atUs || (a.atUs === b.atUs && a.seq < b.seq)
