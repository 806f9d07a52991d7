//! What the sync pill says. Pure: a function of the provider's state, the time and what the browser knows, so that the
//! pill can not claim more than is true. Words live in the catalogue; this decides which ones.

import type { SyncState } from './provider'

export type Pill =
  | { readonly kind: 'connecting' }
  | { readonly kind: 'saved'; readonly at: number | null }
  | { readonly kind: 'saving'; readonly edits: number }
  | {
      readonly kind: 'offline'
      readonly edits: number
      readonly kept: boolean
      readonly retryIn: number | null
    }
  | { readonly kind: 'reconnecting'; readonly retryIn: number | null }
  | { readonly kind: 'not-saved'; readonly reason: string }
  | { readonly kind: 'refused'; readonly reason: string }
  | { readonly kind: 'stopped' }

export interface Surroundings {
  readonly now: number
  readonly browserOnline: boolean
  /** Unsaved edits that are in the store on this device; `null` where that does not work. */
  readonly kept: number | null
}

/** A save that is faster than this needs no word. */
export const SAVING_AFTER_MS = 400
/** From then on a lost connection is worth a countdown. */
export const COUNTDOWN_AFTER_MS = 10_000

export function pill(state: SyncState, around: Surroundings): Pill {
  if (state.refusal) return { kind: 'refused', reason: state.refusal.reason }
  if (state.phase === 'halted') return { kind: 'stopped' }
  if (state.phase === 'live') return livePill(state, around)
  return downPill(state, around)
}

function livePill(state: SyncState, { now }: Surroundings): Pill {
  if (state.notStoring !== null) return { kind: 'not-saved', reason: state.notStoring }
  const waited = state.oldestUnsavedAt === null ? 0 : now - state.oldestUnsavedAt
  if (state.unsaved > 0 && waited >= SAVING_AFTER_MS) return { kind: 'saving', edits: state.unsaved }
  return { kind: 'saved', at: state.lastSavedAt }
}

function downPill(state: SyncState, { now, browserOnline, kept }: Surroundings): Pill {
  const down = state.downSince === null ? 0 : now - state.downSince
  if (!state.everLive && down < COUNTDOWN_AFTER_MS && state.unsaved === 0 && browserOnline) {
    return { kind: 'connecting' }
  }
  const counting = down >= COUNTDOWN_AFTER_MS && state.retryAt !== null
  const retryIn = counting ? Math.max(0, Math.ceil(((state.retryAt ?? now) - now) / 1000)) : null
  if (state.unsaved > 0 || !browserOnline) {
    const edits = kept === null ? state.unsaved : Math.min(kept, state.unsaved)
    return { kind: 'offline', edits, kept: kept !== null, retryIn }
  }
  return { kind: 'reconnecting', retryIn }
}
