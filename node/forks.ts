/** Logs and identities that are proven to be forked: as the API lists them, as a person is told, and as a file for verifiers. */
import type { Env } from '../protocol/context.ts'
import { closedLogs, type Fork, readFork } from '../protocol/fork.ts'
import { forkedIdentities, type IdentityFork, readIdentityFork } from '../protocol/identity-fork.ts'
import type { Partner } from '../protocol/machine.ts'
import { paths } from './config.ts'
import { writeFileDurable } from './file.ts'
import type * as schema from './schema.ts'

/** The part of a node that this looks at. */
interface Knowing {
  env: Pick<Env, 'self' | 'get'>
  views: { partner(org: string): Partner | undefined }
}

export const forkViews = (node: Knowing): schema.ForkView[] => [...logForks(node), ...identityForks(node)]

function logForks({ env, views }: Knowing): schema.ForkView[] {
  return closedLogs(env).map(({ org: place, proof, size, alone }) => {
    // That of a log with a successor lies under the number of the log.
    const [org, number] = place.split('/') as [string, string?]
    const name = org === env.self.org ? env.self.identity.name : (views.partner(org)?.name ?? 'unknown')
    const about = { of: 'log', org, name, size, succeeded: number !== undefined } as const
    // Nobody else can tell when a head was signed by a key that has ended.
    if (alone) return { ...about, here: true }
    const { newer } = readFork(proof) as Fork
    return { ...about, newerSize: newer.size, proof: base64(proof) }
  })
}

const identityForks = ({ env }: Knowing): schema.ForkView[] =>
  forkedIdentities(env).map(({ org, proof, size: event }) => {
    const { name } = readIdentityFork(proof) as IdentityFork
    return { of: 'identity', org, name, event, succeeded: false, proof: base64(proof) }
  })

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')

/** What a person should look at. */
export function forkProblems(node: Knowing): schema.Status['problems'] {
  return forkViews(node).flatMap(({ of, name, org, size, event, succeeded, here }) => {
    const isOwn = org === node.env.self.org
    const whose = isOwn ? 'this home' : name
    if (of === 'identity')
      return {
        code: 'IDENTITY_FORKED',
        text: `the identity of ${whose} has two events ${event}: somebody else may hold its keys`,
        hint: 'waybill forks',
      }
    const text = `the log of ${whose} has two histories from size ${size}: it is closed`
    const alone =
      'at this node only, for a key that signed one has been replaced and nobody else can tell when it did'
    return succeeded
      ? []
      : {
          code: 'LOG_FORKED',
          text: here ? `${text} ${alone}` : text,
          hint: isOwn ? 'waybill log succeed' : 'waybill forks',
        }
  })
}

/** Beside the trust file: a verdict takes into account what this home knows. */
export async function saveForks(node: Knowing & { home: string }): Promise<void> {
  const proofs = forkViews(node).flatMap(({ proof }) => proof ?? [])
  const bytes = new TextEncoder().encode(`${JSON.stringify({ schema: 'waybill.forks/1', proofs })}\n`)
  await writeFileDurable(paths(node.home).forks, bytes, 0o600)
}
