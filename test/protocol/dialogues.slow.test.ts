import { dialogues } from './dialogues.suite.ts'

dialogues('protocol/dialogues, every way', (_n, ways) => ways)
