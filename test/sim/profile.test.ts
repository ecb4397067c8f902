import * as assert from 'uvu/assert'
import { readProfile, WORK } from '../../sim/profile.ts'
import { suite, throwsCode } from '../harness.ts'
import { profileText as text } from './profile.fixture.ts'

const test = suite('sim/profile')

/** The profile of the repo with one value in the place of another. */
function changed(path: string, value: unknown): string {
  const profile = JSON.parse(text)
  const names = path.split('.')
  const last = names.pop()!
  const at = names.reduce((object, name) => object[name], profile)
  if (value === undefined) delete at[last]
  else at[last] = value
  return JSON.stringify(profile)
}

test('the profile of the repo reads, with a cost for all work', () => {
  const profile = readProfile(text)
  assert.equal(JSON.parse(text), profile)
  assert.equal(Object.keys(profile.work).sort(), [...WORK].sort())
})

test('a profile that is none is refused, and where', () => {
  const cases: [string, unknown, string][] = [
    ['schema', 'waybill.sim-profile/2', "schema: 'waybill.sim-profile/1' is expected"],
    ['machine', '', 'machine: a text is expected'],
    ['cores', 0, 'cores: a whole number from 1 to 4096 is expected'],
    ['cores', 1.5, 'cores: a whole number from 1 to 4096 is expected'],
    ...[
      [],
      [1, 1],
      [[1]],
      [[1, 0.9]],
      [[0, 1]],
      [
        [2, 1],
        [2, 1],
      ],
      [['1', 1]],
    ].map((crowded): [string, unknown, string] => [
      'crowded',
      crowded,
      'crowded: pairs of numbers from 1 to 10000 are expected, with more nodes in each',
    ]),
    ['beside', 0.95, 'beside: a number from 0 to 0.9 is expected'],
    ['beside', '0', 'beside: a number from 0 to 0.9 is expected'],
    ['work.sign', undefined, "work: 'sign' is missing"],
    ['work.sing', { eachUs: 1, byteUs: 1 }, "work: 'sing' is no field of it"],
    ['work.sign', 5, 'work.sign: an object is expected'],
    ['work.sign.eachUs', -1, 'work.sign.eachUs: a number from 0 to 3600000000 is expected'],
    ['work.sign.eachUs', '65', 'work.sign.eachUs: a number from 0 to 3600000000 is expected'],
    ['spread', [], 'spread: a list of 1 to 1000 numbers is expected'],
    ['disk.syncUs', [1, null], 'disk.syncUs[1]: a number from 0 to 3600000000 is expected'],
    ['disk.bytesPerMs', 0, 'disk.bytesPerMs: a number above 0, to 1000000000, is expected'],
    ['loopback', [], 'loopback: an object is expected'],
  ]
  for (const [path, value, message] of cases)
    throwsCode(() => readProfile(changed(path, value)), 'PROFILE_INVALID', message)
  throwsCode(() => readProfile('{'), 'PROFILE_INVALID')
})

test.run()
