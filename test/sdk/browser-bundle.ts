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
  /** Source files in those, and in the files that are loaded on demand. */
  inputs: { static: string[]; lazy: string[] }
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
  const first = reached(metafile.outputs, join('dist', ENTRY))
  const inputsOf = (paths: string[]) => paths.flatMap(path => Object.keys(metafile.outputs[path]!.inputs))
  const rest = Object.keys(metafile.outputs).filter(path => !first.has(path))
  return {
    files,
    staticBytes: [...first].reduce((sum, path) => sum + metafile.outputs[path]!.bytes, 0),
    inputs: { static: inputsOf([...first]), lazy: inputsOf(rest) },
  }
}

/** A file and all that it imports statically. */
function reached(outputs: Metafile['outputs'], path: string, seen = new Set<string>()): Set<string> {
  if (seen.has(path)) return seen
  seen.add(path)
  for (const each of outputs[path]!.imports)
    if (each.kind === 'import-statement') reached(outputs, each.path, seen)
  return seen
}
