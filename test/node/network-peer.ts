/** A peer in a process of its own that admits everybody and answers bulk requests without end, to be killed. */
import { open } from './network-harness.ts'

const peer = await open(9, {
  admitted: () => true,
  onBulk: async function* () {
    const chunk = Buffer.alloc(1024 * 1024)
    while (true) yield chunk
  },
})
process.send!({ peerId: peer.peerId, addresses: peer.network.addresses() })
process.on('disconnect', () => process.exit())
