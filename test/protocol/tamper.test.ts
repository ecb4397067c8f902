import { tampering } from './tamper.suite.ts'

/** Every sixteenth of all changes; the slow run takes all. */
tampering(16)
