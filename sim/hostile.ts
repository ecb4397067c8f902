/**
 * A partner that is admitted and hostile: from time to time it sends what no sound node would, over its own connections. It
 * has its own keys and nobody else's. Whatever it sends passes the codec: what does not is refused before the core sees it.
 */
import { text, utf8 } from '../crypto/bytes.ts'
import { cidFromDigest } from '../crypto/cid.ts'
import { readWatch } from '../protocol/heads.ts'
import { KEY } from '../protocol/layout.ts'
import { decodeMessage, encodeMessage, type Message } from '../protocol/message.ts'
import type { Cluster } from './cluster.ts'
import type { SimNode } from './node.ts'
import type { Prng } from './prng.ts'
import type { Suspects } from './suspects.ts'

const S_US = 1_000_000
/** What it keeps of its own messages, and how many it sends at a time. */
const KEPT = 64
const AT_A_TIME = 3
const FLOOD = 100

export const HOSTILITIES = ['forges', 'replays', 'floods', 'withholds'] as const
export type Hostility = (typeof HOSTILITIES)[number]

/** What comes back ends it. */
export function turnHostile(
  node: SimNode,
  how: Hostility,
  cluster: Cluster,
  prng: Prng,
  suspects: Suspects,
): () => void {
  suspects.hostile.add(node.org)
  if (how === 'withholds') {
    node.withholds = true
    return () => {}
  }
  const said: Message[] = []
  cluster.checkers.push({
    sent: ({ from, message }) => {
      if (from !== node) return
      said.push(message)
      if (said.length > KEPT) said.splice(prng.below(KEPT), 1)
    },
  })
  let over = false
  const act = () => {
    if (over) return
    cluster.timeline.after(prng.between(1, 4) * S_US, act)
    if (!node.up || node.admitted.size === 0) return
    for (const { to, message } of ACTS[how](node, said, prng)) cluster.forge({ from: node, to, message })
  }
  cluster.timeline.after(5 * S_US, act)
  return () => {
    over = true
  }
}

interface Said {
  to: string
  message: Message
}

const ACTS: Record<
  Exclude<Hostility, 'withholds'>,
  (node: SimNode, said: Message[], prng: Prng) => Said[]
> = {
  /** Real messages with a field changed, and heads of others with a size that they were not signed with. */
  forges: (node, said, prng) => {
    const to = () => prng.pick([...node.admitted])
    const altered = said.length > 0 ? times(AT_A_TIME, () => alter(prng.pick(said), prng)) : []
    return [...altered.flatMap(message => (message ? [{ to: to(), message }] : [])), ...resized(node, prng)]
  },
  /** What it said before, to whomever. */
  replays: (node, said, prng) =>
    said.length === 0
      ? []
      : times(AT_A_TIME, () => ({ to: prng.pick([...node.admitted]), message: prng.pick(said) })),
  /** Requests without end, each a new one. */
  floods: (node, _said, prng) => {
    const to = prng.pick([...node.admitted])
    return times(FLOOD, () => ({ to, message: request(prng) }))
  },
}

const times = <T>(count: number, make: () => T): T[] => Array.from({ length: count }, make)

function request(prng: Prng): Message {
  const id = prng.bytes(16)
  const link = () => cidFromDigest(prng.bytes(32), 'dag-cbor')
  switch (prng.below(5)) {
    case 0:
      return { t: 'negotiation/request', id, offer: link(), action: 'use', purpose: 'any', state: link() }
    case 1:
      return { t: 'transfer/request', id, agreement: link() }
    case 2:
      return { t: 'seat/ask', id, n: 4, f: 1, q: 3 }
    case 3:
      return { t: 'head/show', note: prng.bytes(200) }
    default:
      return { t: 'catalog/request', id }
  }
}

/** Tells each of the heads of another that it has seen, each with one size more. */
function resized(node: SimNode, prng: Prng): Said[] {
  return [...node.admitted].flatMap(org => {
    const seen = readWatch(node.onDisk(KEY.watch(org)))
    const to = prng.pick([...node.admitted])
    if (!seen || to === org) return []
    const [origin, size, ...rest] = text(seen.note).split('\n')
    const note = utf8([origin, String(Number(size) + 1), ...rest].join('\n'))
    return [{ to, message: { t: 'gossip/head' as const, note } }]
  })
}

/** One field of a message, somewhere in it, is another; nothing if the codec would not take it. */
function alter(message: Message, prng: Prng): Message | undefined {
  const altered = changed(message, prng) as Message
  const read = decodeMessage(encodeMessage({ ...altered, t: message.t } as Message))
  return typeof read === 'string' ? undefined : read
}

function changed(value: unknown, prng: Prng): unknown {
  if (typeof value === 'number') return prng.pick([0, value + 1, Math.max(0, value - 1), 2 ** 40])
  if (value instanceof Uint8Array) {
    const bytes = value.slice()
    if (bytes.length > 0) bytes[prng.below(bytes.length)]! ^= 1 << prng.below(8)
    return bytes
  }
  if (Array.isArray(value)) {
    if (value.length === 0) return value
    const at = prng.below(value.length)
    return prng.chance(300_000)
      ? value.filter((_, i) => i !== at)
      : value.map((each, i) => (i === at ? changed(each, prng) : each))
  }
  if (typeof value !== 'object' || value === null || 'multihash' in value) return value
  const names = Object.keys(value).filter(name => name !== 't')
  if (names.length === 0) return value
  const name = prng.pick(names)
  return { ...value, [name]: changed((value as Record<string, unknown>)[name], prng) }
}
