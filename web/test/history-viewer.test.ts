//! The versions that are loaded and the moment that is shown, against a server in memory.

import { afterEach, beforeEach, expect, test } from 'vitest'
import { momentHtml, type Version } from '../src/api/versions'
import type { AfterPaint } from '../src/history/ahead'
import { Archive } from '../src/history/archive'
import { PATIENCE_MS } from '../src/history/latest'
import { Viewer } from '../src/history/viewer'
import { blocksOf } from './blocks'

const author = { id: 'a1', name: 'Ada', color: '' }
const session = (from_seq: number, seq: number): Version => ({
  id: String(seq),
  kind: 'auto',
  seq,
  from_seq,
  at: new Date(seq * 1_000).toISOString(),
  from_at: new Date(from_seq * 1_000).toISOString(),
  label: '',
  authors: [author],
  kept: 'all',
})

let sessions: Version[]
let asked: string[]
let failing: RegExp | null
let purged: RegExp | null
/** Answers that the server still has, by tag. */
let kept: Map<string, string>
/** What was said to be held at each request for content. */
let held: (string | null)[]
/** Lets the next answer wait. */
let delay: Promise<void> | null
const realFetch = globalThis.fetch

beforeEach(() => {
  // 300 sessions of ten edits, newest first.
  sessions = Array.from({ length: 300 }, (_, at) => session(2_991 - 10 * at, 3_000 - 10 * at))
  asked = []
  failing = null
  purged = null
  kept = new Map()
  held = []
  delay = null
  globalThis.fetch = async (input) => {
    const url = new URL(String(input), 'http://server')
    const holds = url.searchParams.get('holds')
    const path = url.pathname.replace('/api/docs/doc', '') + url.search.replace(/&holds=.*/, '')
    asked.push(path)
    if (purged?.test(path)) return Response.json({ code: 'purged', title: 'Gone' }, { status: 410 })
    if (failing?.test(path)) return new Response('{"title":"Busy"}', { status: 503 })
    if (url.pathname !== '/api/docs/doc/versions') {
      held.push(holds)
      const waits = delay
      delay = null
      await waits
      return answer(pageOf(path), holds ?? '')
    }
    const from = Number(url.searchParams.get('cursor') ?? 0)
    const to = from + Number(url.searchParams.get('limit'))
    return Response.json({
      versions: sessions.slice(from, to),
      next: to < sessions.length ? String(to) : null,
    })
  }
})
afterEach(() => {
  globalThis.fetch = realFetch
})

const pageOf = (path: string) => `<h1>Ünï 😀</h1><p>${path}</p><p>the end</p>`

/** As the server answers: by what differs from the answer that is held, while it has that. */
function answer(html: string, holds: string): Response {
  const isHeld = kept.has(holds)
  const tag = `tag${kept.size}`
  kept.set(tag, html)
  const blocks = blocksOf(html)
  const changed = { of: 1, start: '<p>'.length, middle: (blocks[1] ?? '').slice(3, -4), end: '</p>'.length }
  const told = isHeld ? [{ from: 0, count: 1 }, changed, { from: 2, count: 1 }] : blocks
  return Response.json(told, { headers: { 'coscribe-tag': tag } })
}

const settled = () => new Promise((resolve) => setTimeout(resolve, 5))
const contents = () => asked.filter((path) => path.includes('html'))

/** Nothing is drawn here. */
const atOnce: AfterPaint = (run) => {
  run()
  return () => {}
}

async function open(
  place: Parameters<Viewer['start']>[0] = { at: null, since: null },
  whenPainted: AfterPaint = atOnce,
) {
  const archive = new Archive('doc')
  await archive.refresh()
  const viewer = new Viewer(archive, whenPainted)
  viewer.start(place)
  await settled()
  return { archive, viewer }
}

test('the list comes page by page, each once', async () => {
  const { archive } = await open()
  expect(archive.versions.value).toHaveLength(50)
  await Promise.all([archive.loadOlder(), archive.loadOlder()])
  expect(archive.versions.value).toHaveLength(250)
  await archive.loadDownTo(5)
  expect(archive.versions.value.map(({ seq }) => seq)).toEqual(sessions.map(({ seq }) => seq))
  expect(archive.hasOlder.value).toBe(false)
})

test('a page that fails can be asked for again', async () => {
  const { archive } = await open()
  failing = /cursor/
  await archive.loadDownTo(5)
  expect(archive.older.value).toBe('failed')
  expect(archive.versions.value).toHaveLength(50)
  failing = null
  await archive.loadOlder()
  expect(archive.older.value).toBe('idle')
  expect(archive.versions.value).toHaveLength(250)
})

test('the present opens with the changes of its session, and grows with it', async () => {
  const { archive, viewer } = await open()
  expect(viewer.shown.value).toMatchObject({ seq: 3_000, base: 2_990 })
  expect(contents()).toEqual(['/versions/2990/diff/3000?as=html'])
  sessions[0] = session(2_991, 3_004)
  await archive.refresh()
  await settled()
  expect(viewer.seq.value).toBe(3_004)
  expect(contents().at(-1)).toBe('/versions/2990/diff/3004?as=html')
  expect(archive.versions.value).toHaveLength(50)
})

test('an address is followed: a moment, and what it is compared with', async () => {
  const { viewer } = await open({ at: '2983', since: null })
  expect(viewer.shown.value).toMatchObject({ seq: 2_983, base: 2_980 })
  const since = await open({ at: null, since: 2_700 })
  expect(since.viewer.shown.value).toMatchObject({ seq: 3_000, base: 2_700 })
  since.viewer.step(-1, 'edit')
  expect(since.viewer.since.value).toBeNull()
  const beyond = await open({ at: '99999', since: 99_999 })
  expect(beyond.viewer.shown.value).toMatchObject({ seq: 3_000, base: 2_990 })
})

test('without changes the moment alone is asked for', async () => {
  const { viewer } = await open()
  viewer.showsChanges.value = false
  viewer.moveTo(2_995)
  await settled()
  expect(viewer.shown.value).toMatchObject({ seq: 2_995, base: null })
  expect(contents().at(-1)).toBe('/at?seq=2995&as=html')
})

test('of the next moment only what differs is sent, while the server has the one that is shown', async () => {
  const { viewer } = await open()
  const shown = () => viewer.shown.value?.blocks.join('')
  expect(held).toEqual([''])
  const [heading, , end] = viewer.shown.value?.blocks ?? []
  viewer.moveTo(2_999)
  await settled()
  expect(held.at(-1)).toBe('tag0')
  expect(shown()).toBe(pageOf('/versions/2990/diff/2999?as=html'))
  viewer.showsChanges.value = false
  await settled()
  expect(held.at(-1)).toBe('tag1')
  expect(shown()).toBe(pageOf('/at?seq=2999&as=html'))
  expect(viewer.shown.value?.blocks).toEqual([heading, '<p>/at?seq=2999&as=html</p>', end])
  kept.delete('tag2')
  viewer.moveTo(2_998)
  await settled()
  expect(held.at(-1)).toBe('tag2')
  expect(shown()).toBe(pageOf('/at?seq=2998&as=html'))
})

test('blocks that are held are told by their places, and others by what stays of them', async () => {
  const held = { tag: 'tag', blocks: ['<p>a</p>', '<p>b 😀 c</p>', '<p>d</p>', '<p>e</p>'] }
  const told = [
    { from: 2, count: 2 },
    '<hr>',
    { of: 1, start: 5, middle: '🤀', end: 6 },
    { of: 0, start: 8, middle: '', end: 0 },
    { of: 0, start: 0, middle: '<b>', end: 8 },
    { from: 0, count: 1 },
  ]
  globalThis.fetch = async () => Response.json(told, { headers: { 'coscribe-tag': 'next' } })
  expect(await momentHtml('doc', 3, held)).toEqual({
    tag: 'next',
    blocks: ['<p>d</p>', '<p>e</p>', '<hr>', '<p>b 🤀 c</p>', '<p>a</p>', '<b><p>a</p>', '<p>a</p>'],
  })
  globalThis.fetch = async () => Response.json(['<p>a</p>'], { headers: { 'coscribe-tag': 'next' } })
  expect(await momentHtml('doc', 3, null)).toEqual({ tag: 'next', blocks: ['<p>a</p>'] })
})

test('an answer that nobody waited for is not what the page holds', async () => {
  const { viewer } = await open()
  let late = () => {}
  delay = new Promise((resolve) => (late = resolve))
  viewer.moveTo(2_995)
  await new Promise((resolve) => setTimeout(resolve, PATIENCE_MS + 20))
  viewer.moveTo(2_985)
  await settled()
  expect(viewer.shown.value?.blocks.join('')).toBe(pageOf('/versions/2980/diff/2985?as=html'))
  late()
  await settled()
  viewer.moveTo(2_984)
  await settled()
  expect(held).toEqual(['', 'tag0', 'tag0', 'tag1'])
  expect(viewer.shown.value?.blocks.join('')).toBe(pageOf('/versions/2980/diff/2984?as=html'))
})

test('who steps on finds the next moment there already', async () => {
  const { viewer } = await open()
  const shown = () => viewer.shown.value?.blocks.join('')
  viewer.step(-1, 'edit')
  await settled()
  const ahead = '/versions/2990/diff/2998?as=html'
  expect(contents().at(-1)).toBe(ahead)
  expect(shown()).toBe(pageOf('/versions/2990/diff/2999?as=html'))
  delay = new Promise(() => {})
  viewer.step(-1, 'edit')
  await settled()
  expect(shown()).toBe(pageOf(ahead))
  // Once each, and the one after that is on its way.
  expect(contents().slice(-3)).toEqual([
    '/versions/2990/diff/2999?as=html',
    ahead,
    '/versions/2990/diff/2997?as=html',
  ])
})

test('the next moment is asked for when this one is on the screen, and not by who has left', async () => {
  const painting = new Set<() => void>()
  const whenPainted: AfterPaint = (run) => {
    painting.add(run)
    return () => painting.delete(run)
  }
  const paint = async () => {
    for (const run of painting) {
      painting.delete(run)
      run()
    }
    await settled()
  }
  const { viewer } = await open(undefined, whenPainted)
  viewer.step(-1, 'edit')
  await settled()
  viewer.step(-1, 'edit')
  await settled()
  expect(painting.size).toBe(1)
  await paint()
  const asked = ['/versions/2990/diff/2999?as=html', '/versions/2990/diff/2998?as=html']
  expect(contents().slice(1)).toEqual([...asked, '/versions/2990/diff/2997?as=html'])
  viewer.step(-1, 'edit')
  await settled()
  viewer.destroy()
  expect(painting.size).toBe(0)
})

test('a step ahead is of the session that it leads into, and without changes where none are shown', async () => {
  const { viewer } = await open({ at: '2992', since: null })
  viewer.step(-1, 'edit')
  await settled()
  expect(contents().at(-1)).toBe('/versions/2980/diff/2990?as=html')
  viewer.step(-1, 'session')
  await settled()
  expect(viewer.shown.value).toMatchObject({ seq: 2_990, base: 2_980 })
  expect(contents().at(-1)).toBe('/versions/2970/diff/2980?as=html')
  viewer.showsChanges.value = false
  viewer.step(-1, 'session')
  await settled()
  expect(viewer.shown.value).toMatchObject({ seq: 2_980, base: null })
  expect(contents().slice(-2)).toEqual(['/at?seq=2980&as=html', '/at?seq=2970&as=html'])
})

test('nothing is asked for ahead after a leap, nor beyond the ends', async () => {
  const { viewer } = await open({ at: '2', since: null })
  viewer.moveTo(3)
  await settled()
  expect(contents().at(-1)).toBe('/versions/2/diff/3?as=html')
  viewer.moveTo(1)
  await settled()
  viewer.step(-1, 'edit')
  await settled()
  expect(contents().at(-1)).toBe('/versions/0/diff/0?as=html')
})

test('what failed ahead is asked for again, and is a problem only then', async () => {
  const { viewer } = await open()
  failing = /2998/
  viewer.step(-1, 'edit')
  await settled()
  expect(viewer.problem.value).toBeNull()
  viewer.step(-1, 'edit')
  await settled()
  expect(viewer.problem.value?.status).toBe(503)
  failing = null
  viewer.retry()
  await settled()
  expect(viewer.shown.value).toMatchObject({ seq: 2_998 })
})

test('a failure is shown until it works again', async () => {
  failing = /html/
  const { viewer } = await open()
  expect(viewer.problem.value?.status).toBe(503)
  failing = null
  viewer.retry()
  await settled()
  expect(viewer.problem.value).toBeNull()
  expect(viewer.shown.value?.seq).toBe(3_000)
})

test('what was removed for good is told apart from what fails, and what follows it is shown alone', async () => {
  purged = /seq=2990|2980\/diff\/2990|2990\/diff/
  const { viewer } = await open({ at: '2990', since: null })
  expect(viewer.problem.value).toMatchObject({ status: 410, code: 'purged' })
  viewer.moveTo(3_000)
  await settled()
  expect(viewer.problem.value).toBeNull()
  expect(viewer.shown.value).toMatchObject({
    seq: 3_000,
    base: 2_990,
    isAlone: true,
    blocks: ['<h1>Ünï 😀</h1>', '<p>/at?seq=3000&as=html</p>', '<p>the end</p>'],
  })
  expect(viewer.isBusy.value).toBe(false)
  viewer.moveTo(2_975)
  await settled()
  expect(viewer.shown.value).toMatchObject({ seq: 2_975, isAlone: false })
})

test('a list is loaded anew as far as it was, without what is gone', async () => {
  const { archive } = await open()
  await archive.loadOlder()
  sessions.splice(100, 1)
  await archive.reload()
  expect(archive.versions.value).toHaveLength(250)
  expect(archive.versions.value.map(({ seq }) => seq)).toEqual(sessions.slice(0, 250).map(({ seq }) => seq))
})
