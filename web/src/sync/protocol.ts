//! The y-websocket protocol, version 1, and the three private messages that tell this page what became of its edits.
//! Pure: bytes in, messages out. One WebSocket frame carries one message in both directions.
//!
//! | first byte | message | payload |
//! |---|---|---|
//! | 0 | sync | 0 SyncStep1 (state vector), 1 SyncStep2 (update), 2 Update (update) |
//! | 1 | awareness | update of the awareness protocol |
//! | 2 | denied | 0, reason |
//! | 3 | query awareness | none |
//! | 100 | saved | how many more of my document messages are durable |
//! | 101 | refused | JSON: code, reason, limit, message (index of my document message on this connection) |
//! | 103 | storing | JSON: ok, reason |

import * as decoding from 'lib0/decoding'
import * as encoding from 'lib0/encoding'

const SYNC = 0
const AWARENESS = 1
const DENIED = 2
const QUERY_AWARENESS = 3
const SAVED = 100
const REFUSED = 101
const STORING = 103

const STEP_1 = 0
const STEP_2 = 1
const UPDATE = 2

/** Why the server will never take an edit. */
export interface Refusal {
  readonly code: string
  readonly reason: string
  readonly limit?: string | number
  /** Index of the refused document message on its connection; missing means the oldest unanswered one. */
  readonly message?: number
}

export type ServerMessage =
  | { readonly kind: 'step-1'; readonly stateVector: Uint8Array }
  | { readonly kind: 'step-2'; readonly update: Uint8Array }
  | { readonly kind: 'update'; readonly update: Uint8Array }
  | { readonly kind: 'awareness'; readonly update: Uint8Array }
  | { readonly kind: 'query-awareness' }
  | { readonly kind: 'denied'; readonly reason: string }
  | { readonly kind: 'saved'; readonly count: number }
  | { readonly kind: 'refused'; readonly refusal: Refusal }
  | { readonly kind: 'storing'; readonly ok: boolean; readonly reason: string }
  | { readonly kind: 'unknown'; readonly type: number }

const frame = (write: (encoder: encoding.Encoder) => void): Uint8Array<ArrayBuffer> =>
  new Uint8Array(encoding.encode(write))

const syncFrame = (step: number, payload: Uint8Array) =>
  frame((encoder) => {
    encoding.writeVarUint(encoder, SYNC)
    encoding.writeVarUint(encoder, step)
    encoding.writeVarUint8Array(encoder, payload)
  })

export const encodeStep1 = (stateVector: Uint8Array) => syncFrame(STEP_1, stateVector)
export const encodeStep2 = (update: Uint8Array) => syncFrame(STEP_2, update)
export const encodeUpdate = (update: Uint8Array) => syncFrame(UPDATE, update)

export const encodeAwareness = (update: Uint8Array) =>
  frame((encoder) => {
    encoding.writeVarUint(encoder, AWARENESS)
    encoding.writeVarUint8Array(encoder, update)
  })

/** Throws on truncated bytes; the caller treats that as a broken connection. */
export function decodeMessage(bytes: Uint8Array): ServerMessage {
  const decoder = decoding.createDecoder(bytes)
  const type = decoding.readVarUint(decoder)
  switch (type) {
    case SYNC:
      return decodeSync(decoder)
    case AWARENESS:
      return { kind: 'awareness', update: decoding.readVarUint8Array(decoder) }
    case DENIED:
      decoding.readVarUint(decoder)
      return { kind: 'denied', reason: decoding.readVarString(decoder) }
    case QUERY_AWARENESS:
      return { kind: 'query-awareness' }
    case SAVED:
      return { kind: 'saved', count: decoding.readVarUint(decoder) }
    case REFUSED:
      return { kind: 'refused', refusal: parseRefusal(decoding.readVarString(decoder)) }
    case STORING:
      return parseStoring(decoding.readVarString(decoder))
    default:
      return { kind: 'unknown', type }
  }
}

function decodeSync(decoder: decoding.Decoder): ServerMessage {
  const step = decoding.readVarUint(decoder)
  const payload = decoding.readVarUint8Array(decoder)
  if (step === STEP_1) return { kind: 'step-1', stateVector: payload }
  if (step === STEP_2) return { kind: 'step-2', update: payload }
  if (step === UPDATE) return { kind: 'update', update: payload }
  throw new Error(`unknown sync step ${step}`)
}

function parseRefusal(json: string): Refusal {
  const { code, reason, limit, message } = JSON.parse(json) as Record<string, unknown>
  return {
    code: typeof code === 'string' ? code : 'refused',
    reason: typeof reason === 'string' ? reason : '',
    ...(typeof limit === 'string' || typeof limit === 'number' ? { limit } : {}),
    ...(typeof message === 'number' ? { message } : {}),
  }
}

function parseStoring(json: string): ServerMessage {
  const { ok, reason } = JSON.parse(json) as Record<string, unknown>
  return { kind: 'storing', ok: ok === true, reason: typeof reason === 'string' ? reason : '' }
}
