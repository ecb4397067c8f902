/** Content beside evidence: hashed as its publisher did. Loaded only with content. */
import { plainDigest } from '../protocol/content.ts'
import { type Report, saltOf, type VerifyStep } from '../protocol/judge.ts'

export type Content = Uint8Array | AsyncIterable<Uint8Array> | Blob

/** Size and digest of the content, with the salt that the evidence brings; nothing where it brings none. */
export async function digestFor(evidence: Uint8Array, content: Content) {
  const salt = saltOf(evidence)
  return salt && digestOf(content, salt)
}

/** Content that was given and that the evidence cannot speak about must not end as "verified". */
export function withContent(report: Report): Report {
  const judged = report.steps.find(({ id }) => id === 'content')
  if (report.verdict === 'failed' || (judged && judged.status !== 'skipped')) return report
  const detail =
    report.claim?.type === 'consent'
      ? 'this evidence is about an agreement, not about content'
      : 'content cannot be checked'
  const step: VerifyStep = { id: 'content', status: 'inconclusive', detail }
  const steps = judged ? report.steps.map(each => (each === judged ? step : each)) : [...report.steps, step]
  return { ...report, verdict: 'inconclusive', steps }
}

async function digestOf(content: Content, salt: Uint8Array): Promise<{ size: number; digest: Uint8Array }> {
  const hash = plainDigest(salt)
  let size = 0
  for await (const piece of pieces(content)) {
    hash.update(piece)
    size += piece.length
  }
  return { size, digest: hash.digest() }
}

async function* pieces(content: Content): AsyncGenerator<Uint8Array> {
  if (content instanceof Uint8Array) yield content
  else if (content instanceof Blob) yield* readable(content.stream().getReader())
  else yield* content
}

/** A reader's pieces: not every browser can iterate over a stream. */
async function* readable(reader: ReadableStreamDefaultReader<Uint8Array>): AsyncGenerator<Uint8Array> {
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    yield value
  }
}
