/** `waybill forks --check`: what a file proves, offline, with the verdict as exit code. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { encode } from '../../crypto/cbor.ts'
import { temporary } from '../harness.ts'
import { fourLines, run, spawning } from './run-cli.ts'

const test = spawning('cli forks')

test('a proof of another version is exit 7, not the 6 of what proves nothing; so it is beside evidence', async () => {
  using dir = temporary()
  const file = (name: string, bytes: Uint8Array | string) => {
    writeFileSync(join(dir.path, name), bytes)
    return join(dir.path, name)
  }
  const trust = file('trust.json', '{"schema":"waybill.trust/1","identities":[],"committees":[]}')
  const proofs = ['fork/2', 'identity-fork/2', 'fork/1'].map((t, i) => file(`${i}.fork`, encode({ t })))
  const evidence = file('consent.waybill', 'x')
  const cli = (...args: string[]) => run(['--home', join(dir.path, 'none'), ...args, '--trust', trust])
  const [log, identity, empty, beside] = await Promise.all([
    ...proofs.map(proof => cli('forks', '--check', proof)),
    cli('verify', evidence, '--forks', proofs[0]!),
  ])
  fourLines(log!, 7, 'UNKNOWN_VERSION')
  fourLines(identity!, 7, 'UNKNOWN_VERSION')
  fourLines(empty!, 6, 'FORK_UNPROVEN')
  fourLines(beside!, 7, 'UNKNOWN_VERSION')
})

test.run()
