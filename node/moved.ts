/** The operator's word that a home was moved and not copied: its log goes on where it stands. */

import { ownChain } from '../protocol/context.ts'
import { readTail } from '../protocol/kept.ts'
import { KEY } from '../protocol/layout.ts'
import { logNumber } from '../protocol/log-number.ts'
import { readRestored } from '../protocol/restored.ts'
import { seatsMade } from '../protocol/seats.ts'
import { votesCounted } from '../protocol/voting.ts'
import { paths } from './config.ts'
import { acquireHome, HomeError, readSelf } from './home.ts'
import { NumberedStore } from './numbered-store.ts'
import { Place } from './place.ts'
import { openStore } from './store.ts'

/** Refuses a store that has fewer entries than this machine has seen, or that was restored: that is no move. */
export async function saidMoved(home: string): Promise<number> {
  const self = await readSelf(home)
  using _lock = await acquireHome(home)
  const place = new Place(home, self.org)
  await using store = new NumberedStore(
    await openStore(paths(home).store, { create: false, onFailure: () => {} }),
  )
  const tail = store.get(KEY.tail)
  const size = tail ? readTail(tail).size : 0
  const get = (key: string) => store.get(key)
  const events = ownChain({ self, get }).events.length
  const extent = { log: logNumber(get), size, ...votesCounted(get), events }
  const restored = readRestored(key => store.get(key))
  const why = [restored?.why, place.doubt(extent, true)].find(each => each === 'restored' || each === 'older')
  if (why)
    throw new HomeError(
      'HOME_RESTORED',
      `this store ${why === 'older' ? 'is older than the one that ran here' : 'was made of a backup'}: it was not only moved`,
    )
  store.commit([{ key: KEY.restored }], () => {})
  await store.idle()
  place.settle(extent, seatsMade(get))
  return size
}
