/** What a driver does for redactions (node/redact.ts): it searches the store for what lies under and beside a record. */
import type { CID } from '../crypto/cid.ts'
import { type Found, find } from '../protocol/erasure.ts'
import type { Event } from '../protocol/event.ts'
import { KEY } from '../protocol/layout.ts'
import { isStored, readRecord } from '../protocol/record.ts'
import { redaction } from '../protocol/redaction.ts'
import type { SimNode } from './node.ts'

export function erase(node: SimNode, event: Event): void {
  if (event.type === 'ask-redact') {
    const { org, record, reason } = event
    node.submit({ type: 'redact', record, reason, ...foundOf(node, record), holders: [], asker: org })
  } else if (event.type === 'ask-erase') {
    const redactions = event.words.flatMap(word => {
      const read = readRecord(redaction, word)
      return isStored(read) ? [{ word, ...foundOf(node, read.payload.record) }] : []
    })
    node.submit({ type: 'erase', redactions })
  }
}

export function foundOf({ store, env }: SimNode, record: CID): Found {
  const rows = (prefix: string) => store.list(prefix)
  const [grants, proofs, negotiations] = [KEY.grants, KEY.allProofs, KEY.negotiations].map(rows)
  const partners = rows(KEY.partners).map(([key]) => key.slice(KEY.partners.length))
  return find(record, { grants: grants!, proofs: proofs!, negotiations: negotiations!, partners }, env)
}
