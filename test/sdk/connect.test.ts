/** The client: what it asks for, what it makes of errors, and how it waits. */
import * as assert from 'uvu/assert'
import { isId } from '../../sdk/get.ts'
import { connect, isWaybillError, type WaybillError } from '../../sdk/index.ts'
import { rejectsCode, suite } from '../harness.ts'
import { type FakeDaemon, fakeDaemon, ids, TOKEN } from './fake-daemon.ts'

const test = suite('connect')
const open = ({ home }: FakeDaemon) => connect({ home })

test('by home, or by address and token', async () => {
  await using daemon = await fakeDaemon()
  await using byHome = await open(daemon)
  await using byUrl = await connect({ url: `${daemon.url}/`, token: TOKEN })
  assert.equal(await byHome.status(), await byUrl.status())
  assert.is(await byHome.ready(), true)
  await rejectsCode(connect({ home: '/nowhere' }), 'DAEMON_UNREACHABLE')
  await rejectsCode(connect({ url: 'http://127.0.0.1:1', token: 'x' }), 'DAEMON_UNREACHABLE')
})

test('lists go through every page', async () => {
  await using daemon = await fakeDaemon()
  await using waybill = await open(daemon)
  const names = []
  for await (const { name } of waybill.partners.list()) names.push(name)
  assert.is(names.length, 2)
})

test('a problem becomes an error with its fields', async () => {
  await using daemon = await fakeDaemon()
  await using waybill = await open(daemon)
  const fields = { clause: 'purpose eq a', asked: 'b', allowed: 'a', hint: 'ask', retryable: true }
  daemon.fake.problems['POST /v1/requests'] = {
    status: 403,
    code: 'POLICY_DENIED',
    detail: 'denied',
    ...fields,
  }
  const error = await rejectsCode(waybill.get(ids.offer, { purpose: 'b' }), 'POLICY_DENIED')
  assert.ok(isWaybillError(error, 'POLICY_DENIED') && !isWaybillError(error, 'NOT_FOUND'))
  const { clause, asked, allowed, hint, retryable } = error as WaybillError
  assert.equal({ clause, asked, allowed, hint, retryable }, fields)
  assert.not.ok(isWaybillError(new Error('x')))
})

test('get negotiates, transfers, and tells each state and progress once', async () => {
  await using daemon = await fakeDaemon()
  await using waybill = await open(daemon)
  const [states, moves]: [string[], number[]] = [[], []]
  const { agreement, deliveries, failed } = await waybill.get(ids.offer, {
    purpose: 'benchmark',
    onState: ({ state }) => states.push(state),
    onProgress: ({ receivedBytes }) => moves.push(receivedBytes),
  })
  assert.equal(states, ['REQUESTED', 'AGREED', 'FINALIZED'])
  assert.is(moves.at(-1), 8)
  assert.equal([agreement, deliveries.length, failed.length], [ids.agreement, 1, 0])
  assert.ok(daemon.fake.calls.includes(`POST /v1/requests {"offer":"${ids.offer}","purpose":"benchmark"}`))
})

test('get asks for nothing again where everything is here', async () => {
  await using daemon = await fakeDaemon()
  await using waybill = await open(daemon)
  await waybill.get(ids.offer)
  daemon.fake.requests.push(await waybill.requests.get('r-ccddeeff'))
  daemon.fake.calls.length = 0
  await waybill.get('o-ffer0001', { purpose: 'benchmark' })
  assert.equal(
    daemon.fake.calls.filter(call => call.startsWith('POST')),
    [],
  )
  await waybill.get('o-ffer0001', { purpose: 'another' })
  assert.is(daemon.fake.calls.filter(call => call.startsWith('POST /v1/requests')).length, 1)
})

test('a daemon that answers at once is not asked all the time', async () => {
  await using daemon = await fakeDaemon({ states: [{ state: 'REQUESTED', waitsFor: 'their person' }] })
  await using waybill = await open(daemon)
  const reason = await waybill.requests
    .wait('r', { signal: AbortSignal.timeout(1_000) })
    .catch(error => error)
  assert.is(reason.name, 'TimeoutError')
  assert.ok(daemon.fake.calls.length < 10, String(daemon.fake.calls.length))
})

test('a signal ends a call with its reason; close ends all of them', async () => {
  await using daemon = await fakeDaemon()
  const waybill = await open(daemon)
  const stop = new AbortController()
  stop.abort(new Error('enough'))
  assert.is((await waybill.status({ signal: stop.signal }).catch(error => error)).message, 'enough')
  waybill.close()
  await rejectsCode(waybill.status(), 'CLOSED')
})

test('content comes as a stream, evidence as bytes', async () => {
  await using daemon = await fakeDaemon()
  await using waybill = await open(daemon)
  const { deliveries } = await waybill.get(ids.offer)
  const pieces = []
  for await (const piece of waybill.agreements.content(ids.agreement, deliveries[0]!.packet.id))
    pieces.push(piece)
  assert.is(Buffer.concat(pieces).toString(), 'a,b\n1,2\n')
  assert.is(Buffer.from(await waybill.agreements.consentEvidence(ids.agreement)).toString(), 'consent')
})

test('short ids stand for the ids that end so', () => {
  assert.ok(isId(ids.offer, 'o-ffer0001') && isId(ids.offer, ids.offer))
  assert.not.ok(isId(ids.offer, 'o-0001') || isId(ids.offer, 'ffer0001'))
})

test.run()
