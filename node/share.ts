/** Publishing and offering, as the local API asks for it: content is sealed here, the records are the core's. */
import { randomBytes } from 'node:crypto'
import type { z } from 'zod'
import { type CID, cidFromDigest } from '../crypto/cid.ts'
import { packet } from '../protocol/asset.ts'
import type { PacketDraft } from '../protocol/command.ts'
import { encodeRoot } from '../protocol/content.ts'
import { HANDLE, KEY } from '../protocol/layout.ts'
import { sentence } from '../protocol/machine.ts'
import type { Secret } from '../protocol/output.ts'
import { type Constraint, type Policy, PROFILE } from '../protocol/policy.ts'
import { rootHex } from './content-paths.ts'
import type { Node } from './daemon.ts'
import type * as schema from './schema.ts'
import { StoreError } from './store.ts'

const PARALLEL_IMPORTS = 4

type PublishFile = z.infer<typeof schema.publishRequest>['files'][number]

interface Imports {
  drafts: PacketDraft[]
  secrets: Secret[]
  /** Names of the content files that were made. */
  made: string[]
}

export async function publish(
  node: Node,
  { files, title, domain, level, committee: wanted }: z.infer<typeof schema.publishRequest>,
): Promise<schema.Published> {
  const imports: Imports = { drafts: new Array(files.length), secrets: [], made: [] }
  try {
    await importAll(node, files, imports)
    const { drafts: packets, secrets } = imports
    const committee = wanted === undefined ? {} : { committee: await node.views.juryId(wanted) }
    const answer = await node.driver.submit(
      { type: 'publish', title, domain, level, packets, ...committee },
      secrets,
    )
    const { asset: id, packets: ids } = answer as { asset: CID; packets: CID[] }
    const bytes = packets.reduce((sum, draft) => sum + draft.size, 0)
    return { asset: id.toString(), packets: ids.map(each => node.views.packetView(each)), bytes }
  } catch (error) {
    // Where the store failed nobody knows what it holds: the next start tells, and clears away what it does not know.
    if (!(error instanceof StoreError))
      await Promise.allSettled(imports.made.map(hex => node.content.remove(hex)))
    throw error
  }
}

/** Imports some files at a time. All come to rest before an error is told, so that `made` is complete. */
async function importAll(node: Node, files: PublishFile[], imports: Imports): Promise<void> {
  let next = 0
  const worker = async () => {
    for (let i = next++; i < files.length; i = next++) await importOne(node, files[i]!, i, imports)
  }
  const workers = Array.from({ length: PARALLEL_IMPORTS }, () =>
    worker().catch(error => {
      next = files.length
      throw error
    }),
  )
  const failed = (await Promise.allSettled(workers)).find(each => each.status === 'rejected')
  if (failed) throw failed.reason
}

async function importOne(node: Node, file: PublishFile, i: number, imports: Imports): Promise<void> {
  const { path, name, mediaType = 'application/octet-stream' } = file
  const secret = randomBytes(64)
  const imported = await node.content
    .importFile(path, secret.subarray(0, 32), secret.subarray(32))
    .catch(error => {
      throw Object.assign(error, { message: `${name}: ${error.message}` })
    })
  const { size, rootCid: root, digest } = imported
  const rootBytes = encodeRoot(imported.root)
  imports.made.push(rootHex(imported.root))
  imports.drafts[i] = { name: sentence(name), mediaType, size, root, rootBytes, digest }
  imports.secrets.push({ handle: HANDLE.content(root), bytes: secret })
}

export async function makeOffer(
  node: Node,
  body: z.infer<typeof schema.offerRequest>,
): Promise<schema.Offer> {
  const audience = await Promise.all(body.to.map(async each => (await node.views.findPartner(each)).id))
  const asset = await node.views.assetId(body.asset).catch(() => node.views.titleId(body.asset))
  const packets = await bought(node, asset)
  const answer = await node.driver.submit({
    type: 'offer',
    asset,
    packets,
    audience,
    policy: policyOf(body, audience),
    approval: body.approval,
    untilMs: body.untilMs,
    ...(body.price ? { price: body.price } : {}),
    ...(body.notice ? { notice: body.notice } : {}),
  })
  return node.views.offerView((answer as { offer: CID }).offer)!
}

/** Packets that an owner of before published, and whose content is here with its key. */
async function bought(node: Node, asset: CID): Promise<CID[]> {
  const rows = await node.views.packetsOf(asset)
  return rows.flatMap(([, digest]) => {
    const id = cidFromDigest(digest, 'dag-cbor')
    const described = node.views.record(packet, id)
    const isHere = described && node.store.get(KEY.secret(HANDLE.content(described.payload.root)))
    return isHere && !described.payload.org.equals(node.env.self.id) ? [id] : []
  })
}

function policyOf(body: z.infer<typeof schema.offerRequest>, audience: CID[]): Policy {
  const anyOf = (left: string, values: string[]): Constraint[] => {
    if (values.length === 0) return []
    return [
      values.length === 1 ? { left, op: 'eq', right: values[0]! } : { left, op: 'isAnyOf', right: values },
    ]
  }
  const constraints = [
    ...anyOf('purpose', body.purposes),
    ...anyOf('recipient', audience.map(String)),
    { left: 'dateTime', op: 'lt', right: body.untilMs },
  ]
  return {
    profile: PROFILE,
    permissions: body.allow.map(action => ({ action, constraints })),
    prohibitions: body.noRedistribution ? [{ action: 'distribute', constraints: [] }] : [],
  }
}
