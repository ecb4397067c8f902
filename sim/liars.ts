/** Members of a committee that lie to the owner of a log, and are honest to everybody else. */
import { EMPTY_ROOT } from '../crypto/merkle.ts'
import { KEY } from '../protocol/layout.ts'
import { decodeState, encodeState } from '../protocol/machine.ts'
import type { Message } from '../protocol/message.ts'
import { nothing } from '../protocol/output.ts'
import { step } from '../protocol/peer.ts'
import type { Cosigned } from '../protocol/witness.ts'
import type { Step } from './node.ts'

/** What a liar makes of a request to promise or to cosign. */
const LIES: Record<string, (to: string) => Step> = {
  /** Promises and cosigns whatever it is asked, for whichever copy asks, and keeps nothing. */
  'agrees to all': to => (state, input, now, env) => {
    if (input.type !== 'message') return step(state, input, now, env)
    const get = (key: string) => (key === KEY.fork(to) ? undefined : env.get(key))
    const blind = { ...env, get: (key: string) => (key === KEY.cosigned(to) ? NOTHING_HELD : get(key)) }
    const message = { ...input.message, old: 0, path: [] } as Message
    const next = step(state, { ...input, message }, now, blind)
    const writes = next.output.writes.filter(({ key }) => key !== KEY.cosigned(to))
    return { ...next, output: { ...next.output, writes } }
  },
  /** Checks and holds, and has forgotten every other time. */
  forgets: to => (state, input, now, env) => {
    if (input.seed[0]! % 2 === 0) return step(state, input, now, env)
    const stored = env.get(KEY.cosigned(to))
    const begun = stored && atFirst(decodeState<Cosigned>(stored))
    const forgetful = { ...env, get: (key: string) => (key === KEY.cosigned(to) ? begun : env.get(key)) }
    const next = step(state, input, now, forgetful)
    const writes = next.output.writes.map(({ if: _, ...write }) => write)
    return { ...next, output: { ...next.output, writes } }
  },
  /** Says that it holds a head that there never was. */
  'invents heads': to => (state, input) => {
    const size = input.seed[0]! * 64
    const refusal = { size, root: input.seed, status: 409, text: 'another size is held here' }
    const isPromise = input.type === 'message' && input.message.t === 'promise/ask'
    const message = { t: isPromise ? 'promise/refused' : 'witness/refused', ...refusal } as const
    return { state, output: { ...nothing(), sends: [{ to, message }] } }
  },
  /** Promises a head that is not the one it was asked for, or not at all. */
  'promises another': to => (state, input) => {
    const size = input.type === 'message' && input.message.t === 'promise/ask' ? input.message.size : 64
    const message = { t: 'promise/given', size, root: input.seed } as const
    return { state, output: { ...nothing(), sends: input.seed[0]! % 2 ? [{ to, message }] : [] } }
  },
  'says nothing': () => state => ({ state, output: nothing() }),
}
export const LIE_NAMES: string[] = Object.keys(LIES)

/** As of a log that was registered, and of which no head came. */
const NOTHING_HELD = encodeState({ size: 0, root: EMPTY_ROOT, first: EMPTY_ROOT })
const atFirst = ({ first }: Cosigned): Uint8Array => encodeState({ size: 1, root: first, first })

/** The shipped step, but for requests of one organisation that concern its heads. */
export function liar(to: string, lie: string): Step {
  const lies = LIES[lie]!(to)
  return (state, input, now, env) => {
    const isAsked = input.type === 'message' && input.from === to && isOfHead(input.message)
    return (isAsked ? lies : step)(state, input, now, env)
  }
}

/** Promises and cosigns for nobody. */
export const silent: Step = (state, input, now, env) =>
  input.type === 'message' && isOfHead(input.message)
    ? { state, output: nothing() }
    : step(state, input, now, env)

const isOfHead = ({ t }: Message): boolean => t === 'promise/ask' || t === 'witness/add'
