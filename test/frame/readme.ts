/** Takes a README apart: its commands, its code, and what it names. */

/** The insides of the fenced blocks of one language. */
export function blocks(markdown: string, language: string): string[] {
  return Array.from(markdown.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm))
    .filter(([, name]) => name === language)
    .map(([, , body]) => body!)
}

/** Scripts of package.json that the text tells the reader to run. */
export function scriptsIn(markdown: string): string[] {
  const run = Array.from(markdown.matchAll(/\bnpm run ([\w:-]+)/g), match => match[1]!)
  return [...new Set(/\bnpm test\b/.test(markdown) ? [...run, 'test'] : run)]
}

/** Files of the project that the text links or names in code: with a folder and an extension. */
export function filesIn(markdown: string): string[] {
  const named = Array.from(
    markdown.matchAll(/`([\w.-]+(?:\/[\w.-]+)+\.(?:ts|json|md))`/g),
    match => match[1]!,
  )
  const linked = Array.from(markdown.matchAll(/\]\((?!https?:|#)([^)#]+)/g), match => match[1]!)
  return [...new Set([...named, ...linked])]
}

/** Folders in the first column of the block that shows the tree. */
export function foldersIn(markdown: string): string[] {
  return blocks(markdown, '').flatMap(block =>
    Array.from(block.matchAll(/^([\w/-]+\/) /gm), match => match[1]!),
  )
}

/** Lines of the console blocks that a shell is to run, with their comments. */
export function linesIn(markdown: string): string[] {
  return blocks(markdown, 'console').flatMap(block =>
    Array.from(block.matchAll(/^\$ (.*)$/gm), match => match[1]!),
  )
}
