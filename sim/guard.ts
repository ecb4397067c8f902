/** The checkers of a world of many: those of checkers.ts that keep books of what is under way and not of all there ever was. */
import { CourtesyChecker, ReleaseChecker } from './checkers.ts'
import type { Cluster } from './cluster.ts'
import type { Suspects } from './suspects.ts'

export function watchWorld(cluster: Cluster, suspects: Suspects): void {
  cluster.checkers.push(new ReleaseChecker(cluster), new CourtesyChecker(cluster, suspects), {
    broke: (node, why) => cluster.report('a sound node', node.name, why),
  })
}
