import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** The profile of the repo. */
export const profileText = readFileSync(join(import.meta.dirname, '../../sim/profile.json'), 'utf8')
