import { tampering } from './tamper.suite.ts'

/** Every 32nd of all changes; the slow run takes all. */
tampering(32)
