import { tampering } from './tamper.suite.ts'

tampering(1)
