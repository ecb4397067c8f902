import { tampering } from './tamper.suite.ts'

/** A third of all changes; the slow run takes all. */
tampering(3)
