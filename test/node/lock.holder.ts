/** Takes the lock of a home, tells how that went, and holds it until it is killed. */
import { acquireLock, type LockError } from '../../node/lock.ts'

let answer = 'taken'
try {
  acquireLock(process.argv[2]!, { api: 'child' })
} catch (error) {
  answer = (error as LockError).code
}
process.send!(answer)
setInterval(() => {}, 1000)
