/** The public API of Waybill for programs. */
export type {
  Consent,
  Delivery,
  Keys,
  LogEntry,
  Offer,
  OfferRequest,
  Packet,
  Partner,
  Published,
  PublishRequest,
  Request,
  Status,
  Transfer,
} from '../node/schema.ts'
export { type ConnectOptions, connect, type Log, type Waybill } from './connect.ts'
export { isWaybillError, WaybillError } from './error.ts'
export type { GetOptions, Got } from './get.ts'
export type { CallOptions } from './http.ts'
export type { Asset, Invite, Joined, Offers, UsageRequest } from './resources.ts'
export { type Report, type Verdict, type VerifyOptions, type VerifyStep, verify } from './verify.ts'
