/** Receives content from one home into another and tells how many blocks are here, until it is killed. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { openContentFiles } from '../../node/content.ts'
import type { Root } from '../../protocol/content.ts'

const [from, to, hex] = process.argv.slice(2)
process.once('message', async ({ root: sent }: { root: Root }) => {
  const root: Root = { ...sent, tree: Uint8Array.from(sent.tree), key: Uint8Array.from(sent.key) }
  const source = await openContentFiles(from!)
  const receiver = await (await openContentFiles(to!)).receive(root)
  await receiver.putDigests(readFileSync(join(from!, 'content', `${hex}.index`)))
  for await (const block of source.readBlocks(hex!, root)) {
    await receiver.put(block)
    process.send!(receiver.next)
    await sleep(5)
  }
})
