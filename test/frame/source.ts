/** Reads TypeScript just far enough for the frame's checks: what is code, and what a file imports. */

export interface Import {
  name: string
  /** `import type`: erased, so that it binds nothing at run time. */
  typeOnly: boolean
  /** `import()` when it is called, not when the file is loaded. */
  lazy: boolean
}

/** A `/` after one of these begins a regular expression, not a division. */
const BEFORE_REGEXP =
  /(^|[([{,;=:?!&|+\-*%<>~^}\n]|\b(return|typeof|case|in|of|void|throw|await|yield))[ \t]*$/

/**
 * The text with comments blanked out, or, with `strings`, the insides of strings and regular expressions too. Lengths
 * and lines stay; what stands in `${}` is code.
 */
export function codeOf(text: string, strings = true): string {
  let out = ''
  let at = 0
  /** Open braces in each `${}` around the position. */
  const templates: number[] = []
  const keep = (end: number) => {
    out += text.slice(at, end)
    at = end
  }
  const blank = (end: number) => {
    out += text.slice(at, end).replace(/[^\n]/g, ' ')
    at = end
  }
  const inside = (end: number) => (strings ? blank(end) : keep(end))
  const template = () => {
    const end = find(text, at, c => c === '`' || (c === '$' && text[find.at + 1] === '{'))
    inside(end)
    if (text[end] === '$') templates.push(0)
    keep(end + (text[end] === '$' ? 2 : 1))
  }
  while (at < text.length) {
    const [char, next] = [text[at]!, text[at + 1]]
    const last = templates.length - 1
    if (char === '/' && next === '/') blank(endOf(text, '\n', at))
    else if (char === '/' && next === '*') blank(endOf(text, '*/', at + 2) + 2)
    else if (char === "'" || char === '"') {
      keep(at + 1)
      inside(find(text, at, c => c === char || c === '\n'))
      keep(at + 1)
    } else if (char === '`') {
      keep(at + 1)
      template()
    } else if (char === '/' && BEFORE_REGEXP.test(out.slice(-12))) {
      keep(at + 1)
      let set = false
      inside(
        find(text, at, c => {
          if (c === '[') set = true
          if (c === ']') set = false
          return (c === '/' && !set) || c === '\n'
        }),
      )
      keep(at + 1)
    } else if (char === '}' && templates[last] === 0) {
      templates.pop()
      keep(at + 1)
      template()
    } else {
      if (last >= 0 && (char === '{' || char === '}')) templates[last]! += char === '{' ? 1 : -1
      keep(at + 1)
    }
  }
  return out
}

/** The first position from `at` where `stop` holds and no backslash stands before; the end if there is none. */
function find(text: string, at: number, stop: (char: string) => boolean): number {
  for (find.at = at; find.at < text.length; find.at++) {
    const char = text[find.at]!
    if (char === '\\') find.at++
    else if (stop(char)) return find.at
  }
  return text.length
}
find.at = 0

function endOf(text: string, mark: string, from: number): number {
  const at = text.indexOf(mark, from)
  return at < 0 ? text.length : at
}

const STATIC =
  /\b(?:import\s+(type\s+(?!from\b))?(?:[\w$\s,*]*(?:\{[^{}]*\})?\s*from\s*)?|export\s+(type\s+)?(?:\*(?:\s+as\s+[\w$]+)?|\{[^{}]*\})\s*from\s*)'([^']+)'/g
/** Not a method or a function that bears the name. */
const DYNAMIC = /(?<![.#\w$]|function\s+|async\s+)import\s*\(\s*(?:'([^']*)')?/g

/** Every import of a file. Those whose name is computed have the name `?`. */
export function importsOf(text: string): Import[] {
  const [code, full] = [codeOf(text), codeOf(text, false)]
  const found: Import[] = []
  const isCode = (at: number) => code[at] === full[at]
  for (const match of full.matchAll(STATIC))
    if (isCode(match.index))
      found.push({ name: match[3]!, typeOnly: Boolean(match[1] ?? match[2]), lazy: false })
  for (const match of full.matchAll(DYNAMIC))
    if (isCode(match.index)) found.push({ name: match[1] ?? '?', typeOnly: false, lazy: true })
  return found
}

/** `@noble/hashes` of `@noble/hashes/sha2.js`, and `node:fs` of `node:fs/promises`. */
export function packageOf(name: string): string {
  return name
    .split('/')
    .slice(0, name.startsWith('@') ? 2 : 1)
    .join('/')
}
