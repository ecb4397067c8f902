/** A real Chromium with the verifier in it, and nothing else: no page of it reaches a network. */
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { type Browser, chromium, type Page } from 'playwright-core'
import type { Report } from '../../sdk/verify.ts'
import { bundleVerifier } from './browser-bundle.ts'

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']
/** Never asked for: every request to it is answered from the bundle. */
const ORIGIN = 'http://waybill.test'
const PAGE = `<!doctype html><script type="module">
import { openRelease, verify } from '/verify.js'
const bytes = text => Uint8Array.from(atob(text), each => each.charCodeAt(0))
window.judge = (cases, trust, asOf) => Promise.all(cases.map(({ evidence, content }) =>
  verify(bytes(evidence), trust, { asOf, ...(content === undefined ? {} : { content: bytes(content) }) })))
window.disclose = async (evidence, key) => {
  const { opens, contentKey } = await openRelease(bytes(evidence), bytes(key))
  return opens ? [...contentKey] : undefined
}
window.ready = true
</script>`

/** One question to the verifier, bytes in base64. */
export interface Asked {
  evidence: string
  content?: string
}

/** Where a Chromium is, by `CHROMIUM` or on the path; `undefined` when there is none. */
export function findChromium(): string | undefined {
  const folders = (process.env.PATH ?? '').split(delimiter)
  const found = NAMES.flatMap(name => folders.map(folder => join(folder, name))).find(existsSync)
  return process.env.CHROMIUM ?? found
}

/** What the page above has, for functions that run in it. */
interface InPage {
  judge(cases: Asked[], trust: unknown, asOf: number): Promise<Report[]>
  disclose(evidence: string, oneTimePrivate: string): Promise<number[] | undefined>
}
declare const window: InPage

export interface Chromium extends AsyncDisposable {
  version: string
  /** Pages in processes of their own, each of which judges what it is given. */
  pages: InPage['judge'][]
  /** The content key in the release of this evidence, by a one-time key, both in base64. */
  disclose: InPage['disclose']
}

/** Pages with the verifier as it is, or with one that remembers the equations it has computed. */
export async function openChromium(
  executablePath: string,
  { pages: count, remember }: { pages: number; remember: boolean },
): Promise<Chromium> {
  // As root, which a build machine often is, Chromium has no sandbox; the page is our own.
  const args = process.getuid?.() === 0 ? ['--no-sandbox'] : []
  const browser = await chromium.launch({ executablePath, args, timeout: 60_000 })
  try {
    const { files } = await bundleVerifier({ remember })
    const pages = await Promise.all(Array.from({ length: count }, () => openPage(browser, files)))
    return {
      version: browser.version(),
      pages: pages.map(judgeOf),
      disclose: (...asked) => pages[0]!.evaluate(asked => window.disclose(...asked), asked),
      [Symbol.asyncDispose]: () => browser.close(),
    }
  } catch (error) {
    await browser.close()
    throw error
  }
}

const judgeOf = (page: Page): InPage['judge'] => {
  return (...asked) => page.evaluate(asked => window.judge(...asked), asked)
}

/** A page of a context of its own, so that Chromium gives it a process of its own. */
async function openPage(browser: Browser, files: Map<string, string>): Promise<Page> {
  const page = await (await browser.newContext()).newPage()
  await page.route('**', route => {
    const { pathname, origin } = new URL(route.request().url())
    const text = pathname === '/' ? PAGE : files.get(pathname.slice(1))
    if (origin !== ORIGIN || text === undefined) return route.fulfill({ status: 404 })
    const contentType = pathname === '/' ? 'text/html' : 'text/javascript'
    return route.fulfill({ body: text, contentType })
  })
  await page.goto(ORIGIN, { timeout: 60_000 })
  await page.waitForFunction('window.ready', undefined, { timeout: 60_000 })
  return page
}
