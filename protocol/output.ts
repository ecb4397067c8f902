/** What a machine asks of its driver. */

/**
 * One change of a store key. Without `value` the key is deleted. `if` is the condition under which the *whole* output
 * may be stored: the key is absent, or holds exactly these bytes (RULES A2).
 */
export interface Write {
  key: string
  value?: Uint8Array
  if?: 'absent' | { equals: Uint8Array }
}
