/** A home's folder and its `config.toml`. Unknown keys are errors: a misspelt one would be a setting silently not made. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse, stringify, TomlError } from 'smol-toml'
import { z } from 'zod'
import { parseCid } from '../crypto/cid.ts'
import { BUNDLE_ENTRIES } from '../protocol/kept.ts'
import { MAX_MIRRORS, MAX_WITNESSES, PAD_ENTRIES } from '../protocol/limits.ts'
import { writeFileDurable } from './file.ts'
import { listenAddress } from './schema.ts'

const identity = z.string().max(128).refine(isId, 'not the id of an organisation')

function isId(text: string): boolean {
  try {
    parseCid(text)
    return true
  } catch {
    return false
  }
}

const schema = z.strictObject({
  name: z.string().min(1).max(512),
  /** Where partners reach this node: multiaddrs. Left out, port 4101 on every address, or the next free one. */
  listen: z.array(z.string()).optional(),
  /** Port of the local API on 127.0.0.1; 0 takes a free one. Left out, 4180 or a free one. */
  apiPort: z.number().int().min(0).max(65_535).optional(),
  /** Ids of the partners that witness the log of this home. */
  witnesses: z.array(z.string().max(128)).max(32).default([]),
  /** Whether this node takes the seats that partners offer it in the committees of their logs, or a person decides. */
  seats: z.enum(['auto', 'person']).default('auto'),
  /** Ids of the organisations that count as certified: only they are trusted to vote on assets. */
  certified: z.array(identity).max(10_000).default([]),
  /** Ids of the organisations that one hand controls, group by group: such seats count as one, and not where one of them is a party. */
  control: z.array(z.array(identity).max(MAX_WITNESSES)).max(10_000).default([]),
  /** Where this node witnesses logs of other kinds over HTTP, as host:port; left out, it does not. */
  witnessListen: listenAddress.optional(),
  /** Ids of the partners that keep the entries of this home's log. */
  mirrors: z.array(z.string().max(128)).max(MAX_MIRRORS).default([]),
  /** Anybody who reaches the witness over HTTP may read this home's log there: entries, which are commitments, not bodies. */
  openLog: z.boolean().default(false),
  /** The size of each head of the log is a multiple of this; 1 tells it exactly. */
  pad: z.number().int().min(1).max(BUNDLE_ENTRIES).default(PAD_ENTRIES),
})
export type Config = z.infer<typeof schema>

export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly code = 'CONFIG_INVALID'
}

/** Every path of a home. */
export const paths = (home: string) => ({
  config: join(home, 'config.toml'),
  keys: join(home, 'keys'),
  store: join(home, 'store'),
  /** The keys of the bodies in the store, a slot each; never in a copy of the store. */
  bodyKeys: join(home, 'bodies.keys'),
  identity: join(home, 'identity.waybill-id'),
  token: join(home, 'token'),
  api: join(home, 'api.json'),
  trust: join(home, 'trust.json'),
  forks: join(home, 'forks.json'),
  /** The ports that were taken at the last start. */
  ports: join(home, 'ports.json'),
})

export const hasHome = (home: string): boolean => existsSync(paths(home).config)

/** Reads the configuration; throws CONFIG_INVALID with the key that is wrong. */
export function readConfig(home: string): Config {
  const path = paths(home).config
  let value: unknown
  try {
    value = parse(readFileSync(path, 'utf8'))
  } catch (error) {
    if (error instanceof TomlError) throw new ConfigError(`${path}: ${error.message.split('\n')[0]}`)
    throw error
  }
  const read = schema.safeParse(value)
  if (read.success) return read.data
  const [issue] = read.error.issues
  throw new ConfigError(`${path}: ${issue!.path.join('.') || 'config'}: ${issue!.message}`)
}

/** Writes the whole configuration; comments of a hand-edited file are lost, its settings are not. */
export const writeConfig = (home: string, config: z.input<typeof schema>): Promise<void> =>
  writeFileDurable(
    paths(home).config,
    new TextEncoder().encode(
      `# Settings of this Waybill home. Unknown keys are errors.\n${stringify(schema.parse(config))}\n`,
    ),
    0o600,
  )
