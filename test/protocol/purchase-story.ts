/** A purchase as a test plays it: Bolt buys what Acme made, and registers it again as its own, before seats that know nobody of before. */
import type { CID } from '../../crypto/cid.ts'
import type { Answer } from '../../protocol/command.ts'
import type { OwnershipCommand } from '../../protocol/owning.ts'
import { Ownership, ordered } from './ownership-story.ts'
import type { Member } from './world.ts'

const SEATS = ['Jarl AB', 'Kern GmbH', 'Lund Works', 'Moss Ltd']

type Published = Extract<Answer, { type: 'published' }>

export class Purchase extends Ownership {
  /** The hand-over by which Bolt bought it. */
  readonly sale: CID
  readonly bought: CID
  readonly others: Member[]
  readonly second: CID

  /** `names`: who sits in the second committee, beside the members that do already. */
  constructor(names = SEATS, rule?: { f: number; q: number }) {
    super()
    this.jury = this.assemble(this.seats, this.acme, rule)
    this.play()
    this.sale = this.order
    this.bought = this.asset
    this.others = names.map(name => {
      const seat = this.world.add(name)
      this.world.pair(this.bolt, seat)
      return seat
    })
    this.second = this.assemble(this.others, this.bolt)
  }

  /** Bolt registers what it published again, as bought by this. */
  registerBought(
    of: CID = this.sale,
    more: Partial<Extract<OwnershipCommand, { type: 'register' }>> = {},
    by: Member = this.bolt,
  ): this {
    const committee = more.committee ?? this.second
    const what = { title: 'press 4, bought', domain: 'production', level: 'general', committee } as const
    this.asset = (by.input({ type: 'publish', ...what, packets: [] }) as Published).asset
    const about = {
      ref: 'press 4, bought',
      content: new Uint8Array(32),
      title: 'bought',
      bought: of,
    } as const
    const answer = by.input({ type: 'register', asset: this.asset, ...about, committee, ...more })
    this.order = ordered(answer)
    this.world.run()
    return this
  }
}
