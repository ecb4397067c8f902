import fc from 'fast-check'
import * as assert from 'uvu/assert'
import { utf8 } from '../../crypto/bytes.ts'
import { cidOf } from '../../crypto/cid.ts'
import { keyFromSeed } from '../../crypto/key.ts'
import { signAgreed } from '../../crypto/signing.ts'
import { type Payload, signRecord } from '../../crypto/statement.ts'
import { suite, throwsCode } from '../harness.ts'

const test = suite('crypto/signing')
const acme = keyFromSeed(new Uint8Array(32).fill(1))
const cid = cidOf(utf8('x'), 'dag-cbor')

test('what both encoders write is signed as it is', () => {
  const leaf = fc.oneof(
    fc.constant(cid),
    fc.boolean(),
    fc.maxSafeInteger(),
    fc.string({ unit: 'binary' }).filter(text => text.isWellFormed()),
    fc.uint8Array(),
  )
  const { value } = fc.letrec(tie => ({
    value: fc.oneof(
      { depthSize: 'small' },
      leaf,
      fc.array(tie('value')),
      fc.dictionary(fc.string(), tie('value')),
    ),
  }))
  fc.assert(
    fc.property(value, body => {
      const payload = { t: 'agreement/1', body } as Payload
      assert.equal(signAgreed(payload, 'assigner', acme), signRecord(payload, 'assigner', acme))
    }),
    { numRuns: 300 },
  )
})

test('what they write differently is not', () => {
  let reads = 0
  const payload: Payload = {
    t: 'agreement/1',
    get price() {
      return reads++
    },
  }
  throwsCode(() => signAgreed(payload, 'assigner', acme), 'RUNTIME_DISAGREES')
  throwsCode(() => signAgreed({ t: 'agreement/1', price: 0.5 }, 'assigner', acme), 'CBOR_FLOAT')
})

test.run()
