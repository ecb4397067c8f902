/**
 * Puts the charged back ends of sim/ in the place of `#backend` and `#sealing`, for the process that is started with
 * `--import` of this file and for no other: it must come before anything of crypto/ is loaded.
 */
import { registerHooks } from 'node:module'

const PLACES = new Map([
  ['#backend', new URL('./backend.ts', import.meta.url).href],
  ['#sealing', new URL('./sealing.ts', import.meta.url).href],
])

registerHooks({
  resolve: (name, context, next) => {
    const url = PLACES.get(name)
    return url ? { url, shortCircuit: true } : next(name, context)
  },
})
