import { LossyDisk } from './lossy-store.ts'
import { type Rig, storeSuite } from './store.suite.ts'

storeSuite('on a disk that forgets', async () => {
  const disk = new LossyDisk()
  const failures: Error[] = []
  const open = () => disk.open(error => failures.push(error))
  const rig: Rig = {
    store: open(),
    failures,
    flush: async () => disk.flush(),
    fail: async () => disk.fail(),
    cut: async () => {
      disk.cut()
      rig.store = open()
    },
    [Symbol.asyncDispose]: async () => disk.flush(),
  }
  return rig
})
