import { describe, expect, test } from 'vitest'
import type { SyncState } from '../src/sync/provider'
import { pill, type Surroundings } from '../src/sync/status'

const live: SyncState = {
  phase: 'live',
  downSince: null,
  retryAt: null,
  unsaved: 0,
  oldestUnsavedAt: null,
  lastSavedAt: 500,
  everLive: true,
  notStoring: null,
  refusal: null,
  halt: null,
}
const around: Surroundings = { now: 1_000_000, browserOnline: true, kept: 9 }
const at = around.now
const waiting = { ...live, phase: 'waiting', downSince: at - 1_000, retryAt: at + 3_000 } as const

describe('the pill', () => {
  test.each<[string, Partial<SyncState>, Partial<Surroundings>, object]>([
    ['says Saved when all is acknowledged', {}, {}, { kind: 'saved', at: 500 }],
    ['has no word for a fast save', { unsaved: 1, oldestUnsavedAt: at - 399 }, {}, { kind: 'saved' }],
    ['says Saving after 400 ms', { unsaved: 2, oldestUnsavedAt: at - 400 }, {}, { kind: 'saving', edits: 2 }],
    [
      'never says Saved while the server can not store',
      { notStoring: 'disk full' },
      {},
      { kind: 'not-saved', reason: 'disk full' },
    ],
    [
      'says a refusal before anything else',
      { refusal: { code: 'x', reason: 'r' }, unsaved: 3 },
      {},
      { kind: 'refused' },
    ],
    [
      'counts what is kept while offline',
      { ...waiting, unsaved: 3 },
      {},
      { kind: 'offline', edits: 3, kept: true, retryIn: null },
    ],
    [
      'does not claim that it is kept when it is not',
      { ...waiting, unsaved: 3 },
      { kept: null },
      { kind: 'offline', edits: 3, kept: false },
    ],
    [
      'counts no edit that is still on its way to this device',
      { ...waiting, unsaved: 3 },
      { kept: 2 },
      { kind: 'offline', edits: 2, kept: true },
    ],
    ['says Offline when the browser is', waiting, { browserOnline: false }, { kind: 'offline', edits: 0 }],
    ['says Reconnecting when nothing waits', waiting, {}, { kind: 'reconnecting', retryIn: null }],
    [
      'counts down after 10 s',
      { ...waiting, downSince: at - 10_000 },
      {},
      { kind: 'reconnecting', retryIn: 3 },
    ],
    [
      'does not say Saved before it was ever connected',
      { ...live, phase: 'connecting', everLive: false, downSince: at },
      {},
      { kind: 'connecting' },
    ],
    [
      'does not say Saved while it syncs again',
      { ...live, phase: 'syncing', downSince: at - 10 },
      {},
      { kind: 'reconnecting' },
    ],
    ['says that it gave up', { ...live, phase: 'halted', halt: 'gone' }, {}, { kind: 'stopped' }],
  ])('%s', (_, change, surroundings, wanted) => {
    expect(pill({ ...live, ...change }, { ...around, ...surroundings })).toMatchObject(wanted)
  })
})
