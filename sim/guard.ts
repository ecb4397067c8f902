/**
 * The checkers of a world of many: those of checkers.ts that keep books of what is under way and not of all there ever was.
 * A small world is watched more closely, by books of every log and of every promise (promise 3).
 */
import { CourtesyChecker, ReleaseChecker } from './checkers.ts'
import type { Cluster } from './cluster.ts'
import { HistoryChecker } from './history.ts'
import { PromiseChecker } from './promises.ts'
import type { Suspects } from './suspects.ts'

/** Participants of a world that is watched closely. */
export const CLOSELY = 100

export function watchWorld(cluster: Cluster, suspects: Suspects): void {
  cluster.checkers.push(new ReleaseChecker(cluster), new CourtesyChecker(cluster, suspects), {
    broke: (node, why) => cluster.report('a sound node', node.name, why),
  })
  if (cluster.nodes.length <= CLOSELY)
    cluster.checkers.push(new HistoryChecker(cluster, suspects), new PromiseChecker(cluster))
}
