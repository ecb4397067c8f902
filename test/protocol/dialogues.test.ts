import { dialogues } from './dialogues.suite.ts'

/** Two ways for each message, in turn; the slow tests know the others. */
dialogues('protocol/dialogues', (n, ways) => [ways[n % 4]!, ways[(n + 2) % 4]!])
