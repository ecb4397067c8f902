/** `waybill verify`: offline, against a trust file, with the verdict as exit code. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { temporary } from '../harness.ts'
import { fakeDaemon } from './fake-daemon.ts'
import { document, fourLines, run, spawning } from './run-cli.ts'
import { type Handed, tellStory } from './story.ts'

const test = spawning('cli verify')
const story: Handed = tellStory()
const AS_OF = new Date(story.asOfMs).toISOString()

interface Files extends Disposable {
  path: string
  content: string
  trust: string
  args: string[]
}

function files(of: Handed = story): Files {
  const dir = temporary()
  const at = (name: string) => join(dir.path, name)
  writeFileSync(at('energy.csv'), of.content)
  writeFileSync(at('energy.csv.waybill'), of.delivery)
  writeFileSync(at('consent.waybill'), of.consent)
  writeFileSync(at('trust.json'), JSON.stringify(of.trust))
  const args = ['--home', at('no-home'), 'verify', '--trust', at('trust.json'), '--as-of', AS_OF]
  return {
    path: dir.path,
    content: at('energy.csv'),
    trust: at('trust.json'),
    args,
    [Symbol.dispose]: () => dir[Symbol.dispose](),
  }
}

test('true evidence and content: exit 0, one line a step, the claim, trust and as-of', async () => {
  using at = files()
  const { code, stdout, stderr } = await run([...at.args, at.content])
  assert.is(code, 0, stdout + stderr)
  assert.match(stdout, /^✓ bundle .*$/m)
  assert.match(stdout, /^✓ content +its salted digest is the one the publisher signed$/m)
  assert.match(stdout, /^VERIFIED {2}delivery of p-\w{8} under a-\w{8}, from Acme Steel to Bolt GmbH$/m)
  assert.match(stdout, new RegExp(`^ {2}trust [0-9a-f]{16}… {2}as of ${AS_OF}$`, 'm'))
  assert.not.match(stdout, /^[^✓V ]/m)
  const json = document(await run([...at.args, at.content, '--json']), 'waybill.report/1')
  assert.equal([json.verdict, json.asOfMs], ['verified', story.asOfMs])
})

test('content that is itself named *.waybill is read with the evidence beside it', async () => {
  using at = files()
  const named = join(at.path, 'energy.waybill')
  writeFileSync(named, story.content)
  writeFileSync(`${named}.waybill`, story.delivery)
  const { code, stdout } = await run([...at.args, named])
  assert.is(code, 0, stdout)
  assert.match(stdout, /^✓ content /m)
})

test('evidence alone leaves the content unchecked and says so', async () => {
  using at = files()
  for (const file of [`${at.content}.waybill`, join(at.path, 'consent.waybill')]) {
    const { code, stdout } = await run([...at.args, file])
    assert.is(code, 0, stdout)
    assert.match(stdout, /^VERIFIED {2}(delivery|consent) /m)
  }
  assert.match((await run([...at.args, `${at.content}.waybill`])).stdout, /^– content +content not checked$/m)
})

test('content that was changed: exit 6', async () => {
  using at = files()
  const changed = new Uint8Array(story.content)
  changed[3]! ^= 1
  writeFileSync(at.content, changed)
  const { code, stdout } = await run([...at.args, at.content])
  assert.is(code, 6)
  assert.match(stdout, /^✗ content /m)
  assert.match(stdout, /^FAILED /m)
  writeFileSync(at.content, 'short')
  const json = await run([...at.args, at.content, '--json'])
  assert.equal([json.code, document(json, 'waybill.report/1').verdict], [6, 'failed'])
})

test('evidence that was changed is never true', async () => {
  using at = files()
  const [at1, at2] = [Math.floor(story.delivery.length / 3), story.delivery.length - 5]
  for (const index of [at1, at2]) {
    const changed = new Uint8Array(story.delivery)
    changed[index]! ^= 1
    writeFileSync(`${at.content}.waybill`, changed)
    assert.is((await run([...at.args, at.content])).code, 6)
  }
  writeFileSync(`${at.content}.waybill`, 'not a bundle')
  const broken = await run([...at.args, at.content])
  assert.is(broken.code, 6)
  assert.match(broken.stdout, /no claim could be read/)
})

test('a stranger, a time beyond the keys, evidence of something else: exit 7', async () => {
  using at = files()
  const later = [...at.args.slice(0, -1), '2099-01-01', at.content]
  writeFileSync(
    join(at.path, 'other.json'),
    JSON.stringify({ ...story.trust, identities: story.trust.identities.slice(1) }),
  )
  const stranger = ['verify', '--trust', join(at.path, 'other.json'), '--as-of', AS_OF, at.content]
  const other = join(at.path, 'other.csv')
  writeFileSync(other, 'unrelated')
  writeFileSync(`${other}.waybill`, story.consent)
  const results = await Promise.all([run(stranger), run([...at.args, other])])
  for (const { code, stdout } of results) {
    assert.is(code, 7, stdout)
    assert.match(stdout, /^\? /m)
    assert.match(stdout, /^INCONCLUSIVE /m)
  }
  assert.match(results[1]!.stdout, /^\? content +this evidence is about an agreement, not about content$/m)
  assert.is((await run(later)).code, 7)
})

test('several files in one call: a line each, and the worst verdict', async () => {
  using at = files()
  const consent = join(at.path, 'consent.waybill')
  const good = await run([...at.args, at.content, consent])
  assert.is(good.code, 0, good.stdout)
  assert.match(good.stdout, /^VERIFIED {2}2 files\n {2}trust [0-9a-f]{16}… {2}as of /m)
  writeFileSync(at.content, 'changed')
  const bad = await run([...at.args, consent, at.content, '--json'])
  const { verdict, reports } = document(bad, 'waybill.reports/1')
  assert.equal([bad.code, verdict, (reports as unknown[]).length], [6, 'failed', 2])
})

test('--require-final asks for witnesses', async () => {
  using at = files()
  assert.is((await run([...at.args, '--require-final', at.content])).code, 0)
  using pending = files(tellStory({ witnessed: false }))
  const [lenient, strict] = await Promise.all([
    run([...pending.args, pending.content]),
    run([...pending.args, '--require-final', pending.content]),
  ])
  // Nobody ever dated that log, so its key state is nobody's word either (RULES C3).
  assert.equal([lenient.code, strict.code], [7, 7])
  assert.match(lenient.stdout, /^\? provider key state +key state at signing unproven: the packet$/m)
  assert.match(lenient.stdout, /^✓ provider position +pending: 0 of 1$/m)
  assert.match(strict.stdout, /^\? provider position +not final: pending: 0 of 1$/m)
})

test('trust must be there: of the option, or of the home, and never guessed', async () => {
  using at = files()
  const home = join(at.path, 'home')
  const bare = ['--home', home, 'verify', '--as-of', AS_OF]
  const missing = fourLines(await run([...bare, at.content]), 2, 'TRUST_REQUIRED')
  assert.match(missing[2]!, /--trust FILE/)
  mkdirSync(home)
  writeFileSync(join(home, 'trust.json'), readFileSync(at.trust))
  assert.is((await run([...bare, at.content])).code, 0)
  fourLines(await run([...bare, '--trust', join(at.path, 'none.json'), at.content]), 4, 'FILE_NOT_FOUND')
  writeFileSync(at.trust, '{"schema":')
  fourLines(await run([...at.args, at.content]), 2, 'TRUST_MALFORMED')
  writeFileSync(at.trust, '{"schema":"waybill.trust/1","identities":[{"id":"x"}],"committees":[]}')
  fourLines(await run([...at.args, at.content]), 2, 'TRUST_MALFORMED')
})

test('files that are not there, a folder, a time that is none', async () => {
  using at = files()
  const lone = join(at.path, 'lone.csv')
  writeFileSync(lone, 'x')
  const [none, alone, folder, time] = await Promise.all([
    run([...at.args, join(at.path, 'none.csv')]),
    run([...at.args, lone]),
    run([...at.args, at.path]),
    run(['verify', '--trust', at.trust, '--as-of', 'yesterday', at.content]),
  ])
  fourLines(none, 4, 'FILE_NOT_FOUND')
  assert.match(fourLines(alone, 4, 'FILE_NOT_FOUND')[2]!, /waybill export/)
  fourLines(folder, 2, 'NOT_A_FILE')
  fourLines(time, 2, 'USAGE')
})

test('trust comes from the daemon where one runs, else from the home', async () => {
  await using daemon = await fakeDaemon()
  const fresh = await run(['--home', daemon.home, 'trust'])
  assert.is(JSON.parse(fresh.stdout).identities[0].name, 'Acme Steel')
  using at = files()
  const kept = await run(['--home', at.path, 'trust', '--json'])
  assert.is((document(kept, 'waybill.trust/1').identities as unknown[]).length, 3)
  fourLines(await run(['--home', join(at.path, 'none'), 'trust']), 3, 'DAEMON_UNREACHABLE')
})

test.run()
