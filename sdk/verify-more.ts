/** What only some evidence is verified with, loaded when it is: one file, because each costs every page its seams. */
export { readKnownForks } from '../protocol/known-forks.ts'
export { verifyProof } from '../protocol/proof.ts'
export { verifyFork } from '../protocol/verify-fork.ts'
export { rest } from '../protocol/verify-rest.ts'
export { judgeTitle } from '../protocol/verify-title.ts'
export { digestFor, withContent } from './content.ts'
