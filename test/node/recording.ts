/** The shipped daemon as a program of its own that writes down every message which its core takes in. Arguments of `waybill`. */
import { appendFileSync } from 'node:fs'
import { Driver, type DriverInput } from '../../node/driver.ts'
import { encodeMessage } from '../../protocol/message.ts'

const { submit } = Driver.prototype
Driver.prototype.submit = function (this: Driver, input: DriverInput, ...rest) {
  if (input.type === 'message') {
    const message = Buffer.from(encodeMessage(input.message)).toString('hex')
    appendFileSync(process.env.RECORD!, `${input.from} ${message}\n`)
  }
  return submit.call(this, input, ...rest)
}

await import('../../sdk/cli/main.ts')
