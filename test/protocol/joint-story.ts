/** Joint ownership as a test plays it: three register an asset together, and so many of them sign what becomes of it. */
import type { CID } from '../../crypto/cid.ts'
import type { Shared } from '../../protocol/drafting.ts'
import { Ownership, ordered } from './ownership-story.ts'
import type { Member } from './world.ts'

const PASSES = { agreements: true, duties: true, keys: true, blocks: true }

/** Acme owns with Jost and Kern, and Bolt may buy. */
export class Joint extends Ownership {
  readonly jost: Member
  readonly kern: Member
  /** The last order of each who wrote one. */
  readonly wrote = new Map<Member, CID>()

  constructor() {
    super()
    const { world } = this
    const others = [world.add('Jost AG'), world.add('Kern KG')] as const
    ;[this.jost, this.kern] = others
    world.pair(this.jost, this.kern)
    for (const owner of others)
      for (const each of [this.acme, this.bolt, ...this.seats]) world.pair(owner, each)
    world.run(5_000)
  }

  get all(): Member[] {
    return [this.acme, this.jost, this.kern]
  }

  /** Acme registers it for itself and these; the others are asked. */
  ask(k: number, others: Member[] = [this.jost, this.kern], ref = 'press 4'): this {
    if (!this.asset) this.begin()
    const what = { asset: this.asset, committee: this.jury, ref, content: new Uint8Array(32) }
    const joint = { others: others.map(({ env }) => env.self.id), k }
    this.wrote.set(this.acme, ordered(this.acme.input({ type: 'register', ...what, title: 'made', joint })))
    this.world.run()
    return this
  }

  /** Registered for all three, `k` of whom sign what follows. */
  joint(k = 2): this {
    return this.ask(k).yes(this.acme, this.jost).yes(this.acme, this.kern)
  }

  sell(by: Member, to: Member = this.bolt, joint?: Shared): this {
    const what = { asset: this.asset, to: to.env.self.id, passes: PASSES, ...(joint ? { joint } : {}) }
    this.wrote.set(by, ordered(by.input({ type: 'hand-over', ...what })))
    this.world.run()
    return this
  }

  /** This one says yes to what another wrote. */
  yes(writer: Member, by: Member, ms?: number): this {
    const certified = this.seats.map(({ env }) => env.self.id)
    by.input({ type: 'take-over', order: this.wrote.get(writer)!, certified, mode: 'byzantine' })
    this.world.run(ms)
    return this
  }

  no(writer: Member, by: Member): this {
    by.input({ type: 'leave', order: this.wrote.get(writer)!, reason: 'no' })
    this.world.run()
    return this
  }

  stateAt(member: Member, writer: Member = this.acme): string {
    this.order = this.wrote.get(writer)!
    return this.state(member)
  }

  votes(): number {
    return this.sent('vote/ask').length
  }

  verdict(by: Member): string[] {
    return this.steps(by).filter(step => !step.startsWith('freshness '))
  }
}
