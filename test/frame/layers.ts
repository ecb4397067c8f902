/** The rules of the frame as tables, and checkers that name each breach as `file: what`. */
import { posix } from 'node:path'
import { codeOf, importsOf, packageOf } from './source.ts'

/** Files by path from the root, with `/`. */
export type Files = Record<string, string>
/** package.json `imports`: a name like `#backend`, then a file by condition. */
export type Conditions = Record<string, Record<string, string>>

interface Layer {
  /** A folder with a slash at its end, or a file. The first layer that fits a file holds for it. */
  at: string
  imports: string[]
  packages: string[]
}

const ANY_NODE = 'node:*'
const LAYERS: Layer[] = [
  { at: 'crypto/backend-node.ts', imports: ['crypto/'], packages: ['node:crypto'] },
  { at: 'crypto/libsodium.ts', imports: ['crypto/'], packages: ['node:module'] },
  { at: 'crypto/sealing-node.ts', imports: ['crypto/'], packages: ['node:crypto'] },
  {
    at: 'crypto/',
    imports: ['crypto/'],
    packages: ['cborg', 'multiformats', '@noble/ciphers', '@noble/curves', '@noble/ed25519', '@noble/hashes'],
  },
  { at: 'protocol/', imports: ['crypto/', 'protocol/'], packages: ['multiformats', '@ipld/car'] },
  { at: 'node/schema.ts', imports: [], packages: ['zod'] },
  { at: 'node/schema-ownership.ts', imports: ['node/schema.ts'], packages: ['zod'] },
  {
    at: 'node/',
    imports: ['crypto/', 'protocol/', 'node/'],
    packages: [
      ANY_NODE,
      'libp2p',
      '@chainsafe/libp2p-noise',
      '@chainsafe/libp2p-yamux',
      '@libp2p/crypto',
      '@libp2p/interface',
      '@libp2p/peer-id',
      '@libp2p/tcp',
      '@multiformats/multiaddr',
      'multiformats',
      'level',
      'fastify',
      'zod',
      'pino',
      'smol-toml',
      'age-encryption',
      'uint8arraylist',
    ],
  },
  {
    at: 'sdk/verify.ts',
    imports: ['crypto/', 'protocol/', 'sdk/error.ts', 'sdk/content.ts', 'sdk/verify-more.ts'],
    packages: [],
  },
  { at: 'sdk/verify-more.ts', imports: ['protocol/', 'sdk/content.ts'], packages: [] },
  { at: 'sdk/content.ts', imports: ['crypto/', 'protocol/'], packages: [] },
  { at: 'sdk/error.ts', imports: ['crypto/', 'protocol/', 'node/schema.ts'], packages: [] },
  {
    at: 'sdk/console/',
    imports: ['sdk/console/', 'sdk/verify.ts', 'sdk/connect.ts', 'sdk/error.ts'],
    packages: [],
  },
  {
    at: 'sdk/cli/',
    imports: ['crypto/', 'protocol/', 'node/', 'sdk/', 'sim/'],
    packages: [ANY_NODE, 'commander', 'cli-table3', 'pretty-bytes', 'smol-toml', 'zod'],
  },
  { at: 'sdk/', imports: ['crypto/', 'protocol/', 'node/', 'sdk/'], packages: [ANY_NODE, 'zod'] },
  { at: 'sim/', imports: ['crypto/', 'protocol/', 'sim/'], packages: [ANY_NODE, 'multiformats'] },
]
/** May import anything, and are imported by nothing else. */
const OUTSIDE = ['bench/', 'test/']
/** Within `sdk/`, but above the rest of it. */
const ABOVE_SDK = ['sdk/cli/', 'sdk/console/']

interface Reach {
  from: string
  /** Packages, and folders with a slash at their end. */
  never: string[]
  /** Whether `import()` counts too. */
  lazy: boolean
}

/** What these files must not pull in under the browser's conditions, however many files lie between. */
const REACH: Reach[] = [
  { from: 'sdk/verify.ts', never: [ANY_NODE, 'node/', 'libp2p', 'level', 'zod'], lazy: true },
  // Outside of a browser it looks for the daemon's home, so `import()` of `node:` is its own.
  { from: 'sdk/connect.ts', never: [ANY_NODE, 'node/', 'libp2p', 'level', 'fastify', 'pino'], lazy: false },
]
/** What in node/ is for both sides of the local API. */
const SHARED_API = ['node/schema.ts', 'node/schema-ownership.ts']

/** Packages that the project is fixed on, and the folders whose code uses them. */
const FIXED: Record<string, string[]> = {
  libp2p: ['node/'],
  '@chainsafe/libp2p-noise': ['node/'],
  // The networks that the simulator's discovery is held to; nodes find each other by tickets so far.
  '@libp2p/kad-dht': ['bench/'],
  '@noble/ed25519': ['crypto/'],
  '@noble/hashes': ['crypto/'],
  multiformats: ['crypto/', 'protocol/'],
  level: ['node/'],
  cborg: ['crypto/'],
  uvu: ['test/'],
  esbuild: ['test/', 'sdk/'],
}
/** Imports that the table does not allow. */
export function layerBreaches(files: Files, conditions: Conditions): string[] {
  const breaches: string[] = []
  for (const [file, text] of Object.entries(files)) {
    const layer = LAYERS.find(({ at }) => fits(file, at))
    if (!layer) {
      if (!OUTSIDE.some(at => fits(file, at))) breaches.push(`${file}: belongs to no layer`)
      continue
    }
    for (const { name } of importsOf(text))
      for (const target of targets(file, name, conditions))
        if (!allowed(layer, target)) breaches.push(`${file}: imports ${target}`)
  }
  return breaches
}

function allowed(layer: Layer, target: string): boolean {
  if (!isFile(target)) {
    const name = packageOf(target)
    return layer.packages.some(known => known === name || (known === ANY_NODE && name.startsWith('node:')))
  }
  const above = ABOVE_SDK.find(at => fits(target, at))
  return layer.imports.some(at => fits(target, at)) && (!above || fits(layer.at, above))
}

/** Packages and files that a file pulls in in a browser, through any number of files. */
export function reach(files: Files, from: string, conditions: Conditions, lazyToo: boolean): string[] {
  const [seen, queue] = [new Set<string>(), [from]]
  for (let file = queue.pop(); file !== undefined; file = queue.pop())
    for (const { name, typeOnly, lazy } of importsOf(files[file] ?? '')) {
      if (typeOnly || (lazy && !lazyToo)) continue
      for (const target of targets(file, name, conditions, 'browser')) {
        if (seen.has(target)) continue
        seen.add(target)
        if (isFile(target)) queue.push(target)
      }
    }
  return [...seen].sort()
}

/** What `REACH` forbids and a file pulls in all the same. A file that does not exist breaks nothing. */
export function reachBreaches(files: Files, conditions: Conditions): string[] {
  return REACH.flatMap(({ from, never, lazy }) =>
    reach(files, from, conditions, lazy)
      .filter(target => !SHARED_API.includes(target) && never.some(bad => isPartOf(target, bad)))
      .map(target => `${from}: pulls in ${target}`),
  )
}

function isPartOf(target: string, bad: string): boolean {
  if (isFile(target)) return bad.endsWith('/') && target.startsWith(bad)
  return bad === ANY_NODE ? target.startsWith('node:') : packageOf(target) === bad
}

/** What a name stands for: a file from the root, or a package. `#` names stand for a file per condition. */
function targets(file: string, name: string, conditions: Conditions, condition?: string): string[] {
  if (name.startsWith('.')) return [`./${posix.join(posix.dirname(file), name)}`.slice(2)]
  if (!name.startsWith('#')) return [name]
  const known = conditions[name] ?? {}
  const chosen = condition ? [known[condition] ?? known.default] : Object.values(known)
  const found = chosen.filter(path => path !== undefined).map(path => posix.normalize(path))
  return found.length > 0 ? [...new Set(found)] : [name]
}

function isFile(target: string): boolean {
  return /^(\.\.\/|[^@:#?]+\.(ts|json)$)/.test(target)
}

function fits(file: string, at: string): boolean {
  return at.endsWith('/') ? file.startsWith(at) : file === at
}

const PURE = ['crypto/', 'protocol/']
/** `Buffer` is what these two are for. */
const NODE_BACK_ENDS = ['crypto/backend-node.ts', 'crypto/sealing-node.ts']
const IMPURE: [RegExp, string][] = [
  [/\bDate\s*\.\s*now\b/, 'reads the clock'],
  [/\bnew\s+Date\s*(\(\s*\)|(?!\s*\()\b)/, 'reads the clock'],
  [/(?<!new\s+)(?<![.\w$])Date\s*\(/, 'reads the clock'],
  [/(?<!\.)\bperformance\b/, 'reads the clock'],
  [/\bMath\s*\.\s*random\b/, 'rolls dice'],
  [/\b(getRandomValues|randomUUID|randomBytes)\b/, 'rolls dice'],
  [/\b(setTimeout|setInterval|setImmediate|queueMicrotask)\b/, 'starts a timer'],
  [/(?<![.\w$])(async|await)\b(?!\s*:)/, 'is asynchronous'],
  [/\bPromise\b/, 'is asynchronous'],
  [/(?<!\.)\b(process|Buffer|console|globalThis|require)\b(?!\s*[?:]\s)/, 'reaches for its surroundings'],
  [/\b(Intl|localeCompare|toLocale\w+)\b/, 'depends on the locale'],
]

/** Where the pure folders read a clock, roll dice, wait, or see the machine they run on. */
export function purityBreaches(files: Files): string[] {
  const breaches: string[] = []
  for (const [file, text] of Object.entries(files)) {
    if (!PURE.some(at => fits(file, at)) || NODE_BACK_ENDS.includes(file)) continue
    const lines = codeOf(text).split('\n')
    for (const [pattern, what] of IMPURE)
      for (const [i, line] of lines.entries()) {
        const match = pattern.exec(line)
        if (match) breaches.push(`${file}:${i + 1}: ${match[0].trim()} ${what}`)
      }
  }
  return breaches
}

const TOP_LEVEL = new Set(
  `package.json package-lock.json tsconfig.json node protocol crypto sdk sim bench test README.md .ci LICENSE
   CHANGELOG.md GUARANTEES.md SECURITY.md biome.json knip.json .npmrc .gitignore`.split(/\s+/),
)
/** Names under which anything can be put, so that nothing is found. */
const VAGUE = /^(utils?|types?|helpers?|common|misc|lib|shared|base|manager|impl)$/i
const HAS_INDEX = ['sdk/index.ts', 'node/index.ts']

/** Paths that the tree has no place for. */
export function treeBreaches(paths: string[]): string[] {
  return paths.flatMap(path => {
    const parts = path.split('/')
    const stem = parts.at(-1)!.split('.')[0]!
    const breaches: string[] = []
    if (!TOP_LEVEL.has(parts[0]!)) breaches.push(`${path}: has no place at the top`)
    if (
      parts
        .slice(0, -1)
        .concat(stem)
        .some(part => VAGUE.test(part))
    )
      breaches.push(`${path}: has a vague name`)
    if (path.endsWith('.ts') && !/^[a-z0-9]+(-[a-z0-9]+)*$/.test(stem))
      breaches.push(`${path}: is no kebab-case`)
    if (stem === 'index' && path.endsWith('.ts') && !HAS_INDEX.includes(path))
      breaches.push(`${path}: is an index`)
    return breaches
  })
}

/** Fixed packages that no code uses. */
export function packageBreaches(files: Files): string[] {
  const used = new Map<string, string[]>()
  for (const [file, text] of Object.entries(files))
    for (const { name } of importsOf(text))
      used.set(packageOf(name), [...(used.get(packageOf(name)) ?? []), file])
  const by = (name: string, folders: string[]) =>
    (used.get(name) ?? []).filter(file => folders.some(at => fits(file, at)))
  return Object.entries(FIXED)
    .filter(([name, folders]) => by(name, folders).length === 0)
    .map(([name, folders]) => `${name}: no file in ${folders.join(' or ')} imports it`)
}

/** Suites that come from uvu itself: without a timeout for each test, and with an `only` that reaches CI. */
export function suiteBreaches(files: Files): string[] {
  return Object.entries(files)
    .filter(([file, text]) => file.endsWith('.test.ts') && importsOf(text).some(({ name }) => name === 'uvu'))
    .map(([file]) => `${file}: takes its suite from uvu, not from test/harness.ts`)
}

// Spelled in two parts, so that this file holds none of them.
const LEFT_OVER = new RegExp(`\\b(${['TO' + 'DO', 'FIX' + 'ME', 'XX' + 'X', 'HA' + 'CK'].join('|')})\\b`)

/** Notes to oneself. */
export function wordBreaches(files: Files): string[] {
  return Object.entries(files).flatMap(([file, text]) =>
    text.split('\n').flatMap((line, i) => {
      const match = LEFT_OVER.exec(line)
      return match ? [`${file}:${i + 1}: ${match[0]}`] : []
    }),
  )
}
