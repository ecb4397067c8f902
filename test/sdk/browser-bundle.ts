/** The verifier as a web page loads it: bundled, minified, on the noble back end. */
import { join, relative } from 'node:path'
import { build, type Metafile, type Plugin } from 'esbuild'

const ROOT = join(import.meta.dirname, '..', '..')
const OUT = join(ROOT, 'dist')
const ENTRY = 'verify.js'

export interface Bundle {
  /** Text of each file by its name; `verify.js` is the one to import. */
  files: Map<string, string>
  /** What a page loads before it can judge: the entry and all that it imports statically. */
  staticBytes: number
  /** Source files in it, those that are loaded on demand included. */
  inputs: string[]
}

/**
 * The back end with a memory: an equation that this page has computed for the same key, message and signature is not
 * computed again. Cases of a matrix share nearly all of theirs, and noble takes 2 ms for one.
 */
const remembering: Plugin = {
  name: 'remembering',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^#backend$/ }, () => ({ path: 'backend', namespace: 'remembering' }))
    onLoad({ filter: /.*/, namespace: 'remembering' }, () => ({
      resolveDir: join(ROOT, 'crypto'),
      contents: `
        import * as noble from './backend-noble.ts'
        export * from './backend-noble.ts'
        const known = new Map()
        export function equation(...of) {
          const question = of.map(String).join(';')
          if (!known.has(question)) known.set(question, noble.equation(...of))
          return known.get(question)
        }`,
    }))
  },
}

/** Bundles `waybill/verify` for a browser, as it is or with a memory; nothing is written to disk. */
export async function bundleVerifier({ remember = false } = {}): Promise<Bundle> {
  const { outputFiles, metafile } = await build({
    entryPoints: [join(ROOT, 'sdk/verify.ts')],
    bundle: true,
    splitting: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    write: false,
    metafile: true,
    absWorkingDir: ROOT,
    outdir: OUT,
    logLevel: 'silent',
    plugins: remember ? [remembering] : [],
  })
  const files = new Map(outputFiles.map(({ path, text }) => [relative(OUT, path), text]))
  const sizes = Object.entries(metafile.outputs).map(([path, { bytes }]) => [relative('dist', path), bytes])
  const bytesOf: Record<string, number> = Object.fromEntries(sizes)
  const staticBytes = [...reached(metafile, ENTRY)].reduce((sum, name) => sum + bytesOf[name]!, 0)
  return { files, staticBytes, inputs: Object.keys(metafile.inputs) }
}

function reached({ outputs }: Metafile, name: string, seen = new Set<string>()): Set<string> {
  if (seen.has(name)) return seen
  seen.add(name)
  for (const { path, kind } of outputs[join('dist', name)]!.imports)
    if (kind === 'import-statement') reached({ outputs, inputs: {} }, relative('dist', path), seen)
  return seen
}
