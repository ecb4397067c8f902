/**
 * The shipped daemon with a witness that breaks its word, as a program of its own: `WITNESS=lie` promises and cosigns all
 * that it is asked, whatever it signed before; `WITNESS=mute` promises and never cosigns. Takes the arguments of `waybill`.
 */
import { utf8 } from '../../crypto/bytes.ts'
import { cosign, parseCheckpoint } from '../../crypto/checkpoint.ts'
import { formatLine, parseNote } from '../../crypto/note.ts'
import { Driver, type DriverInput } from '../../node/driver.ts'
import { Partners } from '../../node/partners.ts'
import { ownChain } from '../../protocol/context.ts'
import { cosignerOf } from '../../protocol/identity-chain.ts'
import type { Message } from '../../protocol/message.ts'

let partners: Partners | undefined
const { open } = Partners.prototype
Partners.prototype.open = function (this: Partners, ...args) {
  partners = this
  return open.apply(this, args)
}

const { submit } = Driver.prototype
Driver.prototype.submit = function (this: Driver, input: DriverInput, ...rest) {
  const answer = input.type === 'message' ? lie(this, input.message) : undefined
  if (input.type !== 'message' || answer === undefined) return submit.call(this, input, ...rest)
  if (answer !== 'nothing') partners!.send(input.from, answer)
  return Promise.resolve(undefined)
}

function lie({ env }: Driver, message: Message): Message | 'nothing' | undefined {
  if (message.t === 'promise/ask' && process.env.WITNESS === 'lie') {
    const { size, root } = message
    return { t: 'promise/given', size, root }
  }
  if (message.t !== 'witness/add') return undefined
  if (process.env.WITNESS === 'mute') return 'nothing'
  const { body } = parseNote(new TextDecoder().decode(message.note))
  const { name } = cosignerOf(ownChain(env))!
  const line = cosign(body, Math.floor(Date.now() / 1_000), name, env.keys.witness)
  return { t: 'witness/cosigned', size: parseCheckpoint(body).size, line: utf8(formatLine(line)) }
}

await import('../../sdk/cli/main.ts')
