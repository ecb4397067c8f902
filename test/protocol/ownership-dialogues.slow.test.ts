import { suite } from '../harness.ts'
import { disturbed, restarted } from './ownership.suite.ts'

const test = suite('protocol/ownership dialogues, disturbed')
disturbed(test, [
  'seat/ask',
  'seat/given',
  'seat/sign',
  'seat/signed',
  'seat/done',
  'seat/kept',
  'handover/offer',
  'handover/accept',
  'handover/signed',
  'vote/ask',
  'owner/known',
])
restarted(
  test,
  Array.from({ length: 90 }, (_, k) => k + 3),
)

test.run()
