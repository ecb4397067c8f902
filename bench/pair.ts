/** Two nodes, or two ends of a stock stream, each in a process of its own. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { env as parent } from 'node:process'
import { connect, type Waybill } from '../sdk/connect.ts'

export interface Child {
  process: ChildProcess
  /** Sends an order and gives the answer. */
  ask<T>(order: object): Promise<T>
}

export async function start<T>(
  file: string,
  args: string[] = [],
  env: NodeJS.ProcessEnv = {},
): Promise<{ child: Child; hello: T }> {
  const process = fork(join(import.meta.dirname, file), args, { env: { ...parent, ...env } })
  const [hello] = (await once(process, 'message')) as [T]
  const ask = async <A>(order: object): Promise<A> => {
    process.send(order)
    const [answer] = (await once(process, 'message')) as [A]
    return answer
  }
  return { child: { process, ask }, hello }
}

export async function stop(child: Child): Promise<void> {
  const ended = once(child.process, 'exit')
  child.process.disconnect()
  await ended
}

export interface RawPair extends AsyncDisposable {
  sender: Child
  receiver: Child
  /** Address of the receiver. */
  to: string
}

/** Two processes with stock libp2p: tcp, noise, yamux, no setting changed. */
export async function rawPair(): Promise<RawPair> {
  const [receiver, sender] = await Promise.all([
    start<{ addresses: string[] }>('child.ts'),
    start<{ addresses: string[] }>('child.ts'),
  ])
  return {
    sender: sender.child,
    receiver: receiver.child,
    to: receiver.hello.addresses[0]!,
    [Symbol.asyncDispose]: async () => {
      await Promise.all([stop(sender.child), stop(receiver.child)])
    },
  }
}

export interface NodeUnderTest {
  child: Child
  api: Waybill
  id: string
  home: string
}

export interface NodePair extends AsyncDisposable {
  provider: NodeUnderTest
  consumer: NodeUnderTest
  folder: string
}

/** Two paired nodes without witnesses. */
export async function nodePair(): Promise<NodePair> {
  const mesh = await nodeMesh(['provider', 'consumer'])
  const [provider, consumer] = mesh.nodes as [NodeUnderTest, NodeUnderTest]
  return Object.assign(mesh, { provider, consumer })
}

export interface NodeMesh extends AsyncDisposable {
  nodes: NodeUnderTest[]
  folder: string
}

/** Nodes without witnesses, each paired with each, or only with the next and the first with the last. */
export async function nodeMesh(names: string[], shape: 'all' | 'ring' = 'all'): Promise<NodeMesh> {
  const folder = await mkdtemp(join(tmpdir(), 'waybill-bench-'))
  const open = async (name: string): Promise<NodeUnderTest> => {
    const home = join(folder, name)
    const { child, hello } = await start<{ url: string }>('peer.ts', [home, name], {
      XDG_STATE_HOME: join(folder, 'state'),
    })
    const api = await connect({ url: hello.url, token: await readFile(join(home, 'token'), 'utf8') })
    return { child, api, id: (await api.status()).id, home }
  }
  const nodes = await Promise.all(names.map(open))
  const earlier = (i: number) =>
    shape === 'all'
      ? nodes.slice(0, i)
      : nodes.filter((_, at) => at === i - 1 || (at === 0 && i > 1 && i === nodes.length - 1))
  for (const [i, node] of nodes.entries())
    for (const other of earlier(i)) {
      const { ticket } = await other.api.partners.invite({ expiresMs: Date.now() + 3_600_000 })
      await node.api.partners.join(ticket)
    }
  return {
    nodes,
    folder,
    [Symbol.asyncDispose]: async () => {
      await Promise.all(nodes.map(({ child }) => stop(child)))
      await rm(folder, { recursive: true, force: true })
    },
  }
}
