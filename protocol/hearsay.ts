/**
 * What a partner tells of a third organisation that both know: a head of its log, and its identity events where the key under
 * the head is not known here. A key that nobody names is a forger's; one that its owner has not told of yet is no breach.
 *
 *     partner                                       another
 *                -- gossip/head {note} -->          by no key that is known here:
 *                <-- identity/ask {of, last} --     whose it is
 *                -- identity/known {of, events, note} -->   takes the events as from their owner, then the head
 */
import { digestOf } from '../crypto/cid.ts'
import { type Gossip, knows } from './gossip.ts'
import * as heads from './heads.ts'
import { chainAt, eventsOf, further, isRefused } from './identity-chain.ts'
import { convict } from './identity-fork.ts'
import { changed } from './introduction.ts'
import { type Context, type Partner, say, violation } from './machine.ts'
import type { MessageOf } from './message.ts'
import { watched } from './other-logs.ts'
import { join, nothing, type Output } from './output.ts'

export const UNNAMED_KEY = 'no key that the identity names has signed this head'

/** A head of a third log that a partner saw. */
export function rumoured(
  from: string,
  { t, note }: MessageOf<'gossip/head'>,
  gossip: Gossip,
  context: Context,
): Output {
  const heard = heads.rumoured(from, t, note, context)
  if (!heard) return nothing()
  const { org, step } = heard
  // It knows the log; that this node does too it may not know yet.
  if (knows(gossip, from, org)) gossip.grown.add(org)
  if (step) return watched(org, step, context)
  const { id, chain } = context.partner(org)!
  return say(undefined, from, { t: 'identity/ask', last: chain.last, of: id }).output
}

/** What is known here of a third organisation, for who knows its identity up to an event that is known here. */
export function tell(from: string, { of, last }: Asked, context: Context): Output {
  const org = of.toString()
  const about = context.partner(org)
  if (!about || org === from || !chainAt(about.chain, digestOf(last))) return nothing()
  const [head] = heads.rumours([org], context)
  const note = head?.message.t === 'gossip/head' ? { note: head.message.note } : {}
  return say(undefined, from, { t: 'identity/known', of, events: eventsOf(about.chain), ...note }).output
}
type Asked = { of: Partner['id'] } & MessageOf<'identity/ask'>

/** What a partner knows of a third organisation: events that go on from what is known here are as good as from their owner. */
export function learned(
  from: string,
  { t, of, events }: Known,
  context: Context,
): { output: Output; chain?: Partner['chain'] } {
  const about = context.partner(of.toString())
  if (!about || about.org === from) return { output: nothing() }
  const chain = further(about.chain, events)
  if (!isRefused(chain)) return { output: changed(about, { chain }, context), chain }
  const proven = convict(about.chain, events, context)
  // Who was told another event of that number by its owner breaks nothing.
  const isHonest = chain.code === 'IDENTITY_FORKED'
  return { output: isHonest ? proven : join(violation(from, t, chain.code, chain.reason).output, proven) }
}
type Known = { of: Partner['id'] } & MessageOf<'identity/known'>

/** The head that comes with the events. Who tells all that is known here, and a head that none of it covers, shows a forged one. */
export function shown(
  from: string,
  { t, of, events, note }: Known,
  chain: Partner['chain'],
  before: Context,
): Output {
  if (!note) return nothing()
  const org = of.toString()
  const about = { ...before.partner(org)!, chain }
  const partner: Context['partner'] = each => (each === org ? about : before.partner(each))
  const context = Object.create(before, { partner: { value: partner } }) as Context
  const heard = heads.rumoured(from, t, note, context)
  if (!heard) return nothing()
  if (heard.step) return watched(heard.org, heard.step, context)
  return events.length < chain.events.length
    ? nothing()
    : violation(from, t, 'HEAD_INVALID', UNNAMED_KEY).output
}
