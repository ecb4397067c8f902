/**
 * What evidence is worth with no, one, two, three and four partners who hold the logs: the words and the exit codes of
 * `waybill verify`, over real daemons and files (RULES D3).
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { suite, temporary } from '../harness.ts'
import { document, run } from '../sdk/run-cli.ts'
import { exchange, settled } from './committees.ts'
import { eventually, pair, TestDaemon } from './daemons.ts'

const test = suite('node/finality, slow')
const HOSTILE = join(import.meta.dirname, 'hostile-witness.ts')
const LIMIT_MS = 280_000
const [OK, INCONCLUSIVE] = [0, 7]

type Given = Awaited<ReturnType<typeof exchange>>
interface Verdict {
  code: number | null
  verdict: string
  steps: { id: string; status: string; detail: string }[]
}

test(
  'final, pending and unwitnessed, in words and exit codes',
  async () => {
    using folder = temporary()
    await using undo = new AsyncDisposableStack()
    const start = async (name: string) => undo.use(await TestDaemon.start(name, folder.path))
    const [acme, bolt] = [await start('Acme Steel'), await start('Bolt GmbH')]
    await pair(acme, bolt)
    const parties = [acme, bolt]

    /** Exports what Bolt has of a delivery and verifies it, as anybody would. */
    const judge = async ({ agreement, packet }: Given, ...options: string[]): Promise<Verdict> => {
      const file = join(folder.path, `${Math.random()}.waybill`)
      const trust = join(folder.path, 'trust.json')
      writeFileSync(trust, JSON.stringify(await bolt.client.trust()))
      const exported = await run(['--home', bolt.home, 'export', agreement, packet, '-o', file])
      assert.is(exported.code, 0, exported.stderr)
      const checked = await run(['--json', 'verify', file, '--trust', trust, ...options])
      const { verdict, steps } = document(checked, 'waybill.report/1') as unknown as Verdict
      assert.not.match(checked.stdout, /byzantine/i)
      return { code: checked.code, verdict, steps }
    }
    /** The words of both logs' positions and key states, and what the command ends with. */
    const holds = async (
      given: Given,
      codes: { plain: number; final: number },
      words: RegExp,
      keys: RegExp,
    ) => {
      const plain = await judge(given)
      const all = JSON.stringify(plain.steps, null, 1)
      assert.is(plain.code, codes.plain, all)
      for (const side of ['provider', 'consumer']) {
        const position = plain.steps.filter(({ id }) => [`${side} position`, `${side} pending`].includes(id))
        assert.ok(
          position.some(({ detail }) => words.test(detail)),
          all,
        )
        assert.match(plain.steps.find(({ id }) => id === `${side} key state`)!.detail, keys, all)
      }
      const strict = await judge(given, '--require-final')
      assert.is(strict.code, codes.final, JSON.stringify(strict.steps, null, 1))
    }
    /** One more member of both logs; each party is a member of the other's. */
    const sits = async (n: number, member?: TestDaemon) => {
      for (const party of parties) {
        if (member) await pair(party, member)
        const witness = member ?? parties.find(other => other !== party)!
        await party.client.partners.witness(witness.ready.id)
      }
      for (const party of parties) await settled(party, n)
    }
    const traded = async (n: number) => {
      const given = await exchange(acme, bolt, folder.path)
      for (const party of parties) await settled(party, n)
      return given
    }
    const BY_HEAD = /unrevoked|stood|event/

    await holds(
      await exchange(acme, bolt, folder.path),
      { plain: OK, final: INCONCLUSIVE },
      /recorded, unwitnessed/,
      /key state by the presenter's word/,
    )

    await sits(1)
    const one = await traded(1)
    await holds(
      one,
      { plain: OK, final: OK },
      /^final, 1 of 1: dated by (Acme Steel|Bolt GmbH)'s word/,
      BY_HEAD,
    )

    const cole = await start('Cole Logistics')
    await sits(2, cole)
    await holds(
      await traded(2),
      { plain: OK, final: OK },
      /^final, 2 of 2: safe only if nobody lies/,
      BY_HEAD,
    )
    // One of two has promised and not cosigned.
    await cole.kill()
    Object.assign(cole, { program: HOSTILE, env: { WITNESS: 'mute' } })
    await cole.up()
    const pending = await exchange(acme, bolt, folder.path)
    for (const { client } of parties)
      await eventually('a head that one has cosigned', async () => {
        const { log, witnesses } = await client.status()
        return witnesses.some(({ cosignedSize }) => cosignedSize === log.size) || undefined
      })
    // Such a head goes to members, not into the answers of its owner: the presenter shows its own.
    await holds(pending, { plain: OK, final: INCONCLUSIVE }, /^pending: [01] of 2/, BY_HEAD)
    const { steps } = await judge(pending)
    assert.match(steps.find(({ id }) => id === 'consumer position')!.detail, /^pending: 1 of 2/)
    // One of two is away: no head is signed.
    await cole.kill()
    const waiting = await exchange(acme, bolt, folder.path)
    await holds(waiting, { plain: OK, final: INCONCLUSIVE }, /^pending: 0 of 2; no head covers/, /./)
    Object.assign(cole, { program: acme.program, env: {} })
    await cole.up()
    for (const party of parties) await settled(party, 2)
    await holds(pending, { plain: OK, final: OK }, /^final, 2 of 2/, BY_HEAD)
    await holds(waiting, { plain: OK, final: OK }, /^final, 2 of 2/, BY_HEAD)

    const dora = await start('Dora AG')
    await sits(3, dora)
    await dora.kill()
    await holds(
      await traded(3),
      { plain: OK, final: OK },
      /^final, 2 of 3: safe only if nobody lies/,
      BY_HEAD,
    )
    await dora.up()

    const eve = await start('Eve Oy')
    await sits(4, eve)
    await eve.kill()
    await holds(
      await traded(4),
      { plain: OK, final: OK },
      /^final, 3 of 4: safe while at most 1 of 4 lie/,
      BY_HEAD,
    )
    await dora.kill()
    const last = await exchange(acme, bolt, folder.path)
    await holds(last, { plain: OK, final: INCONCLUSIVE }, /^pending: 0 of 4; no head covers/, /./)
  },
  LIMIT_MS,
)

test.run()
