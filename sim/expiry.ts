/** The log key of the first node runs out in the middle of a run; its operator puts another in its place too late. */
import { digestOf } from '../crypto/cid.ts'
import { expand } from '../crypto/hash.ts'
import { keyFromSeed } from '../crypto/key.ts'
import { privateKey } from '../protocol/context.ts'
import { makeDelegate } from '../protocol/identity-chain.ts'
import type { Cluster } from './cluster.ts'
import type { SimNode } from './node.ts'
import type { Prng } from './prng.ts'

const S_US = 1_000_000
const YEAR_MS = 31_536_000_000
/** How long the short delegation lasts, and after how long the operator notices that it is over, s. */
const SHORT_S = 8
const NOTICED_S = [10, 20] as const

export function letExpire(cluster: Cluster, faultyS: number, prng: Prng): void {
  const [owner] = cluster.nodes as [SimNode]
  const { timeline } = cluster
  const noticedS = SHORT_S + prng.between(...NOTICED_S)
  timeline.after(prng.between(10, Math.max(10, faultyS - noticedS)) * S_US, () =>
    delegate(cluster, owner, SHORT_S * 1_000),
  )
  timeline.after((faultyS + noticedS) * S_US, () => delegate(cluster, owner, YEAR_MS))
}

/** A node that is down is told when it is up again. */
function delegate(cluster: Cluster, owner: SimNode, forMs: number): void {
  if (!owner.up) {
    cluster.timeline.after(S_US, () => delegate(cluster, owner, forMs))
    return
  }
  const { chain, env } = owner
  const { wallMs } = owner.now()
  const key = keyFromSeed(expand(digestOf(chain.last), 'log'))
  env.drawn!.push(key)
  const keys = { log: { key, untilMs: wallMs + forMs } }
  const event = makeDelegate(chain, privateKey(chain, 'admin', env), { keys }, wallMs)
  owner.submit({ type: 'identity', event, orgs: [...owner.admitted] }, [], (_, refused) => {
    if (refused) cluster.timeline.after(S_US, () => delegate(cluster, owner, forMs))
  })
}
