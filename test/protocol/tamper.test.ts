import { tampering } from './tamper.suite.ts'

/** Every eighth of all changes; the slow run takes all. */
tampering(8)
