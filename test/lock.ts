/**
 * Completes package-lock.json after `npm install`: a registry that lacks the packages of foreign platforms makes npm
 * leave their entries out, and `npm ci` then refuses the lock. Run `npm run lock` after every change of dependencies.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

interface LockEntry {
  version?: string
  dev?: boolean
  optional?: boolean
  os?: string[]
  cpu?: string[]
  optionalDependencies?: Record<string, string>
}
type Packages = Record<string, LockEntry>

const OS = [
  'aix',
  'android',
  'darwin',
  'freebsd',
  'linux',
  'netbsd',
  'openbsd',
  'openharmony',
  'sunos',
  'win32',
]
const CPU = ['arm', 'arm64', 'ia32', 'loong64', 'mips64el', 'ppc64', 'riscv64', 's390x', 'x64', 'wasm32']

/** Optional dependencies that the lock names and has no entry for. */
export function missing(packages: Packages): { name: string; version: string; dev: boolean }[] {
  const found = new Map<string, { name: string; version: string; dev: boolean }>()
  for (const [path, entry] of Object.entries(packages))
    for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
      if (packages[`${path}/node_modules/${name}`] || packages[`node_modules/${name}`]) continue
      found.set(name, { name, version: version.replace(/^[\^~]/, ''), dev: entry.dev === true })
    }
  return [...found.values()]
}

/** The platform that a binary package's name tells, or one that no machine has. */
function platform(name: string): { os: string[]; cpu: string[] } {
  const words = name.split(/[/-]/)
  const pick = (known: string[]) => words.filter(word => known.includes(word)).slice(0, 1)
  const [os, cpu] = [pick(OS), pick(CPU)]
  return { os: os.length > 0 ? os : ['none'], cpu: cpu.length > 0 ? cpu : ['none'] }
}

if (import.meta.main) {
  const path = join(import.meta.dirname, '..', 'package-lock.json')
  const lock = JSON.parse(readFileSync(path, 'utf8')) as { packages: Packages }
  const added = missing(lock.packages)
  for (const { name, version, dev } of added)
    lock.packages[`node_modules/${name}`] = {
      version,
      ...(dev ? { dev } : {}),
      optional: true,
      ...platform(name),
    }
  lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1)))
  writeFileSync(path, `${JSON.stringify(lock, null, 2)}\n`)
  console.log(`${added.length} entries added to package-lock.json`)
}
