//! How versions become a timeline, how a fresh page meets an older one, and what is news.

import { describe, expect, test } from 'vitest'
import type { Author, Version, VersionKind } from '../src/api/versions'
import {
  mergeNewest,
  neighbourSession,
  neighbours,
  timelineOf,
  timeOfEdit,
  writersSince,
} from '../src/history/timeline'
import { lastSeen, newsSince, remember } from '../src/session/last-seen'

const ada: Author = { id: 'a1', name: 'Ada', color: '#c8553d' }
const bo: Author = { id: 'b2', name: 'Bo', color: '#1583b7' }
const nobody: Author = { id: 'c3', name: '', color: '' }

const at = (day: number, hour: number) => new Date(2026, 10, day, hour).toISOString()

function version(
  kind: VersionKind,
  id: string,
  seq: number,
  day: number,
  more: Partial<Version> = {},
): Version {
  const from_seq = more.from_seq ?? seq
  return {
    id,
    kind,
    seq,
    at: at(day, 12),
    label: '',
    authors: [ada],
    from_at: at(day, 11),
    kept: 'all',
    ...more,
    from_seq,
  }
}
const session = (from: number, to: number, day: number, authors = [ada]) =>
  version('auto', String(to), to, day, { from_seq: from, authors })

const HISTORY = [
  session(31, 40, 21, [bo]),
  version('restored', 'v3', 30, 21, { label: 'Draft' }),
  version('before-restore', '29', 29, 21),
  session(21, 30, 21),
  version('named', 'v2', 20, 20, { label: 'Final' }),
  session(11, 20, 20, [ada, nobody]),
  version('named', 'v1', 5, 19, { label: 'Draft' }),
  session(1, 10, 19),
]

describe('the timeline', () => {
  test('has named versions apart, and days with sessions and restores', () => {
    const { named, days, all } = timelineOf(HISTORY)
    expect(named.map(({ version }) => version.label)).toEqual(['Final', 'Draft'])
    expect(days.map(({ entries }) => entries.map(({ key }) => key))).toEqual([
      ['session-31', 'restore-v3', 'session-21'],
      ['session-11'],
      ['session-1'],
    ])
    expect(days.map(({ start }) => start)).toEqual(
      [21, 20, 19].map((day) => new Date(2026, 10, day).getTime()),
    )
    expect(all).toHaveLength(7)
  })

  test('knows what stands beside an entry, and who wrote since', () => {
    const { all } = timelineOf(HISTORY)
    const keys = (key: string) => neighbours(all, key).map((entry) => entry.key)
    expect(keys('session-21').slice(0, 3)).toEqual(['session-11', 'session-1', 'restore-v3'])
    expect(keys('session-1')[0]).toBe('session-11')
    expect(keys('session-1')).toHaveLength(6)
    expect(keys('gone')).toEqual([])
    const writers = (seq: number) => writersSince(HISTORY, seq).map(({ id }) => id)
    expect(writers(0)).toEqual(['b2', 'a1', 'c3'])
    expect(writers(20)).toEqual(['b2', 'a1'])
    expect(writers(30)).toEqual(['b2'])
    expect(writers(40)).toEqual([])
  })

  test('tells each entry against what was there before it', () => {
    const bases = Object.fromEntries(timelineOf(HISTORY).all.map(({ key, base }) => [key, base]))
    expect(bases).toEqual({
      'named-v2': 5,
      'named-v1': 0,
      'session-31': 30,
      'restore-v3': 29,
      'session-21': 20,
      'session-11': 10,
      'session-1': 0,
    })
  })

  test('knows when an edit was made, about', () => {
    expect(timeOfEdit(HISTORY, 11)).toEqual(new Date(2026, 10, 20, 11))
    expect(timeOfEdit(HISTORY, 20)).toEqual(new Date(2026, 10, 20, 12))
    expect(timeOfEdit([session(7, 7, 3)], 7)).toEqual(new Date(2026, 10, 3, 12))
    expect(timeOfEdit(HISTORY, 41)).toBeNull()
  })

  test('goes from session to session', () => {
    expect(neighbourSession(HISTORY, 40, -1, 40)).toBe(30)
    expect(neighbourSession(HISTORY, 25, -1, 40)).toBe(20)
    expect(neighbourSession(HISTORY, 10, -1, 40)).toBe(0)
    expect(neighbourSession(HISTORY, 0, 1, 40)).toBe(10)
    expect(neighbourSession(HISTORY, 10, 1, 40)).toBe(20)
    expect(neighbourSession(HISTORY, 40, 1, 40)).toBe(40)
  })
})

describe('a fresh page', () => {
  test('replaces a session that has grown and a name that is gone, and keeps what is older', () => {
    const fresh = [session(31, 55, 21, [bo]), HISTORY[1], HISTORY[2], HISTORY[3], HISTORY[5]] as Version[]
    const merged = mergeNewest(HISTORY, fresh)
    expect(merged?.map(({ id }) => id)).toEqual(['55', 'v3', '29', '30', '20', 'v1', '10'])
  })

  test('that does not meet what is known stands alone', () => {
    expect(mergeNewest(HISTORY, [session(90, 99, 22)])).toBeNull()
    expect(mergeNewest([], HISTORY)).toBeNull()
  })

  test('that ends between versions of one edit loses none of them', () => {
    const known = [
      version('named', 'v9', 10, 19),
      version('named', 'v8', 10, 19),
      session(6, 10, 19),
      session(1, 5, 18),
    ]
    expect(mergeNewest(known, known.slice(0, 1))?.map(({ id }) => id)).toEqual(['v9', 'v8', '10', '5'])
  })
})

describe('news', () => {
  const me = { name: 'Ada', color: '#c8553d' }

  test('is what others wrote since', () => {
    const news = newsSince(HISTORY, { seq: 15, at: 1 }, me)
    expect(news?.authors).toEqual([bo, nobody])
    expect(news?.since.seq).toBe(15)
  })

  test('is nothing when nobody else wrote, or nobody was here before', () => {
    expect(newsSince(HISTORY, { seq: 40, at: 1 }, me)).toBeNull()
    expect(newsSince([session(1, 10, 19)], { seq: 3, at: 1 }, me)).toBeNull()
    expect(newsSince(HISTORY, null, me)).toBeNull()
  })

  test('is remembered for each document, and the oldest are forgotten', () => {
    localStorage.clear()
    expect(lastSeen('doc')).toBeNull()
    for (let at = 0; at < 301; at++) remember(`doc ${at}`, { seq: at, at })
    expect(lastSeen('doc 0')).toBeNull()
    expect(lastSeen('doc 300')).toEqual({ seq: 300, at: 300 })
    localStorage.setItem('coscribe.seen', '{"doc": {"seq": "x"}}')
    expect(lastSeen('doc')).toBeNull()
    localStorage.setItem('coscribe.seen', 'not JSON')
    expect(lastSeen('doc')).toBeNull()
  })
})
