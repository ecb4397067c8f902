/** The mark outside of a home (RULES D1, E3): what it notices, and from which own seat on the votes here are shown to be all. */
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { Place } from '../../node/place.ts'
import { suite, temporary } from '../harness.ts'
import { eventually } from './daemons.ts'

const test = suite('node/place')

const EXTENT = { log: 0, size: 10, ended: 0, votes: 0, events: 0 }

/** A home with its state folder; each start looks at the extent of the store and settles. */
function home(path: string) {
  process.env.XDG_STATE_HOME = join(path, 'state')
  return {
    start(extent: typeof EXTENT, seats: number) {
      const place = new Place(path, 'org')
      const doubt = place.doubt(extent, true)
      // As a daemon does, all seats end in a store that is doubted.
      place.settle({ ...extent, ended: extent.ended + (doubt ? 1 : 0) }, seats)
      return { doubt, provenFrom: place.provenFrom, place }
    },
    lose: () => rmSync(join(path, 'state', 'waybill', 'org', 'mark.json')),
    marked: () => JSON.parse(readFileSync(join(path, 'state', 'waybill', 'org', 'mark.json'), 'utf8')).size,
  }
}

/** Runs with a state folder of its own. */
async function within(work: (of: ReturnType<typeof home>) => void | Promise<void>): Promise<void> {
  using dir = temporary()
  const before = process.env.XDG_STATE_HOME
  try {
    await work(home(dir.path))
  } finally {
    if (before === undefined) delete process.env.XDG_STATE_HOME
    else process.env.XDG_STATE_HOME = before
  }
}

test('a lost mark leaves the seats of before unproven for ever, and those that are given since are proven by the new one', () =>
  within(({ start, lose }) => {
    assert.is(start(EXTENT, 0).provenFrom, 0)
    assert.is(start({ ...EXTENT, votes: 5 }, 3).provenFrom, 0)
    lose()
    const after = start({ ...EXTENT, votes: 5 }, 3)
    assert.equal([after.doubt, after.provenFrom], [undefined, 3])
    // A seat is given, and votes.
    const later = start({ ...EXTENT, votes: 7 }, 4)
    assert.equal([later.doubt, later.provenFrom], [undefined, 3])
    // The new mark sees that a store lacks those votes.
    assert.is(start({ ...EXTENT, votes: 6 }, 4).doubt, 'older')
    lose()
    assert.is(start({ ...EXTENT, votes: 7 }, 4).provenFrom, 4)
  }))

test('a store with seats that never voted is no more shown to be whole without its mark than one that did', () =>
  within(({ start, lose }) => {
    assert.is(start(EXTENT, 1).provenFrom, 1, 'never marked here')
    lose()
    assert.is(start(EXTENT, 0).provenFrom, 0, 'no seat was ever given')
  }))

test('once the seats of an older store have ended, its next start finds nothing older: those that it is given since go on', () =>
  within(({ start }) => {
    const old = { ...EXTENT, votes: 4 }
    start({ ...EXTENT, votes: 9 }, 3)
    assert.is(start(old, 3).doubt, 'older')
    const ended = { ...old, ended: 1 }
    assert.is(start(ended, 3).doubt, undefined)
    assert.is(start({ ...ended, votes: 5 }, 4).doubt, undefined)
    assert.is(start(ended, 4).doubt, 'older', 'of those a vote is missed')
    // The same old store put back once more, and the newer one, have not ended theirs.
    for (const store of [old, { ...EXTENT, votes: 9 }]) assert.is(start(store, 3).doubt, 'older')
  }))

test('a log and an identity that the store lacks stay missed', () =>
  within(({ start }) => {
    start({ ...EXTENT, size: 20, events: 2 }, 0)
    for (const extent of [
      { ...EXTENT, size: 19, events: 2 },
      { ...EXTENT, size: 20, events: 1 },
    ])
      for (const _ of [1, 2]) assert.is(start(extent, 0).doubt, 'older')
  }))

test('a log that grows all the time is marked at once and then a few times a second; what waits is marked at the end', () =>
  within(async ({ start, marked }) => {
    const { place } = start(EXTENT, 0)
    const grow = (size: number) => place.grown(() => ({ ...EXTENT, size }))
    grow(11)
    assert.is(marked(), 11)
    for (let size = 12; size <= 20; size++) grow(size)
    assert.is(marked(), 11)
    await eventually('the mark', async () => marked() === 20 || undefined)
    grow(21)
    assert.is(marked(), 20)
    place.reached(() => ({ ...EXTENT, size: 22 }))
    assert.is(marked(), 22, 'what is rare does not wait')
    grow(23)
    place.close()
    assert.is(marked(), 23)
    for (const later of [grow, (size: number) => place.reached(() => ({ ...EXTENT, size }))]) later(24)
    assert.is(marked(), 23)
  }))

test.run()
