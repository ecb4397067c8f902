/**
 * Gossip: what connected partners are told of heads, and what they need not be told.
 *
 *     log's owner                                   partner
 *                -- head/show, head/proof -->       heads.ts: from the head on that it was told last
 *
 *     partner                                       another partner
 *                -- gossip/logs {logs} -->          at a connect: hashes of the origins of its partners' logs
 *                <-- gossip/head {note} --          of those that it knows too: holds it against what it has seen
 */
import { fromHex, text, toHex } from '../crypto/bytes.ts'
import type { Command } from './command.ts'
import * as heads from './heads.ts'
import { KEY } from './layout.ts'
import type { Ledger } from './ledger.ts'
import { MAX_LOGS_TOLD, MAX_RUMOURS } from './limits.ts'
import { originHash, originOf } from './log.ts'
import type { Context } from './machine.ts'
import type { Message, MessageOf } from './message.ts'
import { nothing, type Output, type Send } from './output.ts'

/** In memory only: a node that starts meets everybody anew. Handed from step to step, never shared. */
export interface Gossip {
  /** Size of the head of the own log of this number that each partner was told last. */
  log: number
  shown: Map<string, number>
  /** Partners whose log was seen to grow since the others were told. */
  grown: Set<string>
  /** By the owner of a log: the partners that know it too. */
  common: Map<string, Set<string>>
}

export const noGossip = (): Gossip => ({ log: 0, shown: new Map(), grown: new Set(), common: new Map() })

/** At a connect: whose logs are known here, so that nobody is told of a log that he does not know. */
function tellLogs(to: string[], about: string[], context: Context): Send[] {
  const sends: Send[] = []
  for (let at = 0; at < about.length; at += MAX_LOGS_TOLD) {
    const logs = about.slice(at, at + MAX_LOGS_TOLD).flatMap(org => {
      const partner = context.partner(org)
      return partner ? [fromHex(originHash(originOf(partner.chain)))!] : []
    })
    const message: Message = { t: 'gossip/logs', logs }
    if (logs.length > 0) sends.push(...to.map(each => ({ to: each, message })))
  }
  return sends
}

/** Logs that a partner knows: of those that are known here too it is told the newest heads, now and from here on. */
export function toldLogs(
  gossip: Gossip,
  from: string,
  { logs }: MessageOf<'gossip/logs'>,
  context: Context,
): Output {
  const owners = logs.flatMap(log => {
    const org = context.get(KEY.origin(toHex(log)))
    return org ? [text(org)] : []
  })
  const output = nothing()
  for (const org of owners) {
    if (org === from) continue
    knows(gossip, from, org)
    if (output.sends.length < MAX_RUMOURS)
      output.sends.push(...heads.rumours([org], context).map(({ message }) => ({ to: from, message })))
  }
  return output
}

/** Notes that a partner knows the log of another one; false where that was known. */
export function knows({ common }: Gossip, partner: string, org: string): boolean {
  const known = common.get(org)
  if (!known) common.set(org, new Set([partner]))
  return !known || (!known.has(partner) && known.add(partner).size > 0)
}

/** The log of a partner was seen to grow. */
export function seen({ grown, common }: Gossip, org: string): void {
  if (common.has(org)) grown.add(org)
}

/** Whether a round has something to tell these partners. */
export function isDue(
  { gossip, ledger }: { gossip: Gossip; ledger: Ledger },
  orgs: string[],
  get: Context['get'],
): boolean {
  if (gossip.grown.size > 0) return true
  const size = heads.publicHead(get)?.size ?? 0
  return orgs.some(org => lastShown(gossip, org, ledger) < size)
}

/** A round: to each of these partners what it was not told yet. At a connect, `about` whose logs are known here. */
export function tell(
  gossip: Gossip,
  { orgs, about, forks }: Extract<Command, { type: 'gossip' }>,
  ledger: Ledger,
  context: Context,
): Output {
  const proofs = forks ? heads.tellForks(context) : []
  const sends = [
    ...ownHead(gossip, orgs, ledger, context),
    ...orgs.flatMap(to => proofs.map(message => ({ to, message }))),
    ...(about ? tellLogs(orgs, about, context) : rumours(gossip, orgs, context)),
  ]
  return { ...nothing(), sends }
}

/** The newest head that anybody may see, as an extension of the one that the partner was told last. */
function ownHead(gossip: Gossip, orgs: string[], ledger: Ledger, context: Context): Send[] {
  const head = heads.publicHead(context.get)
  if (!head) return []
  const made = new Map<number, Message>()
  return orgs.flatMap(to => {
    const before = lastShown(gossip, to, ledger)
    if (before >= head.size) return []
    gossip.shown.set(to, head.size)
    const message = made.get(before) ?? heads.tell(head, before, ledger, context)
    made.set(before, message)
    return [{ to, message }]
  })
}

/** Size of the head of the active log that a partner was told last; 0 before the first. */
function lastShown(gossip: Gossip, org: string, { number }: Ledger): number {
  if (gossip.log !== number) {
    gossip.log = number
    gossip.shown.clear()
  }
  return gossip.shown.get(org) ?? 0
}

/** A partner was just shown the newest head. */
export function met(gossip: Gossip, org: string, ledger: Ledger, context: Context): void {
  lastShown(gossip, org, ledger)
  const head = heads.publicHead(context.get)
  if (head) gossip.shown.set(org, head.size)
}

/** Of logs that have grown, the newest heads to those who know them too; the rest waits for the next round. */
function rumours({ grown, common }: Gossip, orgs: string[], context: Context): Send[] {
  const here = new Set(orgs)
  const sends: Send[] = []
  let told = 0
  for (const org of grown) {
    if (told === MAX_RUMOURS) break
    grown.delete(org)
    const to = [...(common.get(org) ?? [])].filter(each => here.has(each))
    const [rumour] = to.length > 0 ? heads.rumours([org], context) : []
    if (!rumour) continue
    told++
    sends.push(...to.map(each => ({ to: each, message: rumour.message })))
  }
  return sends
}
