/** Writes to a store until it is killed, or until the disk is full, and tells which keys were acknowledged. */
import { openStore, type StoreError } from '../../node/store.ts'

const [dir, round = '0'] = process.argv.slice(2)
const value = new Uint8Array(1000)
const failures: string[] = []
const acknowledged: string[] = []
const failed = Promise.withResolvers<void>()
const store = await openStore(dir!, {
  create: true,
  onFailure: error => {
    failures.push((error as StoreError).code)
    failed.resolve()
  },
})

for (let i = 0; failures.length === 0; i += 1) {
  const key = `k/${round}/${i}`
  const released = Promise.withResolvers<void>()
  store.commit([{ key, value }], () => {
    acknowledged.push(key)
    process.send?.(key)
    released.resolve()
  })
  if (i % 7 === 6) await Promise.race([released.promise, failed.promise])
}

let later = 'taken'
try {
  store.commit([], () => {})
} catch (error) {
  later = (error as StoreError).code
}
console.log(JSON.stringify({ failures, acknowledged, later }))
