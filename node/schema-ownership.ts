/** The part of the local API (schema.ts) that is about who owns an asset: committees that vote on it, registration, hand-overs. */
import { z } from 'zod'
import { count, flag, id, name, org, waitMs } from './schema.ts'

const mode = z.enum(['none', 'all', 'majority', 'byzantine'])
/** Who votes on assets: so many, what their votes are worth in words, and which of them votes no more. */
export const jury = z.object({
  id,
  n: count,
  f: count,
  q: count,
  mode,
  words: z.string(),
  seats: z.array(org.extend({ lost: z.boolean() })),
  /** This node sits in it. */
  own: z.boolean(),
})
export type Jury = z.infer<typeof jury>
/** Committees of assets: those that all seats have signed, those that are being asked for, and seats asked for here. */
export const juries = z.object({
  items: z.array(jury),
  asked: z.array(
    z.object({
      id: z.string(),
      n: count,
      f: count,
      q: count,
      words: z.string(),
      seats: z.array(org),
      signed: z.array(org),
      refused: z.array(org.extend({ text: z.string() })),
    }),
  ),
  seatsOffered: z.array(org.extend({ asked: z.string(), n: count, f: count, q: count })),
})
export type Juries = z.infer<typeof juries>
/** Partners by id or name, none of them for a committee in which nobody votes. */
export const juryRequest = z.strictObject({
  partners: z.array(name).max(32),
  f: count.optional(),
  q: count.optional(),
  /** The committee whose place it takes. */
  replaces: id.optional(),
})
export type JuryRequest = z.infer<typeof juryRequest>
/** Without a committee the one in force goes on, and an order of before, by older keys, follows no more. */
export const reseatRequest = z.strictObject({ committee: id.optional() })
/** Others who own it too, and how many owners sign what becomes of it: all of them unless said. */
const joint = z.strictObject({ others: z.array(name).min(1).max(15), needs: count.optional() })
export const registerRequest = z.strictObject({
  /** The one that the asset names. */
  committee: id.optional(),
  ref: z.string().min(1).max(512).optional(),
  /** The own hand-over by which it was bought, where it was: seats look for its certificate. */
  bought: id.optional(),
  joint: joint.optional(),
})
export type RegisterRequest = z.input<typeof registerRequest>
export const handoverRequest = z.strictObject({
  asset: id,
  to: name,
  joint: joint.optional(),
  /** The committee that follows; needed where the buyer has a seat in the one in force. */
  committee: id.optional(),
  /** What passes with it. */
  passes: z
    .strictObject({ agreements: z.boolean(), duties: z.boolean(), keys: z.boolean(), blocks: z.boolean() })
    .default({ agreements: true, duties: true, keys: true, blocks: true }),
  /** Only says what would be offered, and why this home would not trust it. */
  dryRun: z.boolean().default(false),
})
export type HandoverRequest = z.input<typeof handoverRequest>
export const takeOverRequest = z.strictObject({ mode: mode.optional() })
/** Whether a partner counts as certified here, so that it is trusted to vote on assets. */
export const certifyRequest = z.strictObject({ partner: name, certified: z.boolean().default(true) })
/** Whether these count as under one control here; `orgs` are partners or this home. */
export const controlRequest = z.strictObject({
  orgs: z.array(name).min(1).max(32),
  control: z.boolean().default(true),
})
export const order = z.object({
  id,
  role: z.enum(['owner', 'seller', 'buyer', 'joint']),
  state: z.enum(['OFFERED', 'ACCEPTED', 'VOTING', 'CERTIFIED', 'FROZEN', 'DECLINED', 'WITHDRAWN']),
  asset: id,
  title: z.string(),
  version: count,
  partner: org.optional(),
  committee: jury,
  next: jury.optional(),
  /** Who owns it by this order, and how many of them sign what follows; a change of the committee leaves that as it is. */
  becomes: z.object({ owners: z.array(org), needs: count }).optional(),
  /** Of a hand-over: what passes with it. */
  passes: z
    .object({ agreements: z.boolean(), duties: z.boolean(), keys: z.boolean(), blocks: z.boolean() })
    .optional(),
  /** Why the rule of this node would not take the committee, and the mode by which a person may all the same. */
  weaker: z.object({ mode, text: z.string() }).optional(),
  /** What `verify` will say of its owners by the trust of this home. */
  doubt: z.string().optional(),
  /** Who has signed it, and who has said that it will; empty where nobody else has to. */
  parties: z.array(org.extend({ signed: z.boolean(), agreed: z.boolean() })),
  votes: z.array(org),
  refused: z.array(org.extend({ code: z.string(), text: z.string() })),
  madeMs: count,
  refusal: z.object({ code: z.string(), text: z.string() }).optional(),
})
export type OrderView = z.infer<typeof order>
/** Who owns an asset: the chain that is here, and whether seats say that it is the last. */
export const owner = z.object({
  asset: id,
  title: z.string(),
  version: count,
  owner: org,
  /** All who own it, and how many of them sign what becomes of it. */
  owners: z.array(org),
  needs: count,
  order: id,
  committee: jury,
  /** By the chain alone, which may be an old one. */
  sinceMs: count,
  fresh: z
    .object({
      seats: z.array(org),
      atMs: count.optional(),
      silent: z.array(org.extend({ text: z.string() })),
    })
    .optional(),
  /** Two orders of one version that an owner signed; they stop nobody where one of them is certified. */
  frozen: z
    .object({
      version: count,
      stops: z.boolean(),
      /** Who signed both: of several owners no other is to blame. */
      by: z.array(org),
      orders: z.array(id),
      to: z.array(org),
    })
    .optional(),
})
export type OwnerView = z.infer<typeof owner>
/** What a hand-over would be, before it is offered. */
export interface HandoverDraft {
  dryRun: true
  committee: Jury
  owner: OwnerView
  /** Whether packets of it are published here: from elsewhere none pass, whichever owner has them. */
  content: boolean
  /** What `verify` would hold against it by the trust of this home. */
  doubts: string[]
}
export const ownerQuery = z.strictObject({ fresh: flag.default(false) })
/** Every certified step of an asset, from its registration on. */
export const ownerHistory = z.object({
  items: z.array(
    z.object({
      version: count,
      order: id,
      owner: org,
      /** All who sign for it, where they are several. */
      owners: z.array(org),
      madeMs: count,
      ref: z.string().optional(),
      /** The hand-over by which its first owner had bought it: of whom, and who certified that. */
      bought: z.object({ order: id, of: org, committee: jury }).optional(),
      votes: z.array(org),
      committee: jury,
    }),
  ),
})
export type OwnerHistory = z.infer<typeof ownerHistory>
export const orderQuery = z.strictObject({ waitMs })
