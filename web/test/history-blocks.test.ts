//! Which blocks can be brought back, as of when, and bringing one back through the API.

import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Version } from '../src/api/versions'
import { blockAround, blocksToRestore } from '../src/ui/history/blocks'
import { changesIn } from '../src/ui/history/changes'
import { replaceBlocks } from '../src/ui/history/fragment'
import { HistoryModel } from '../src/ui/history/model'
import { blocksOf } from './blocks'

let place: HTMLElement
beforeEach(() => {
  place = document.createElement('div')
})

const HEAD = 50
function blocks(html: string, seq: number, base: number | null, isAlone = false) {
  replaceBlocks(place, [], blocksOf(html))
  return blocksToRestore(place, { seq, base, isAlone }, HEAD, changesIn(place))
}
const told = (...all: Parameters<typeof blocks>) =>
  blocks(...all).map(({ id, version, change, isBeside }) => [
    id.join('.'),
    version,
    change,
    ...(isBeside ? ['beside'] : []),
  ])

describe('blocks of a difference', () => {
  const HTML =
    '<p data-change="changed" data-id="7.1">a <del data-change="removed">b</del><ins data-change="added">c</ins> <ins data-change="added">d</ins></p>' +
    '<p>same</p><ul data-change="changed" data-id="7.2"><li data-change="removed" data-id="7.3"><p data-change="removed" data-id="7.4"><del>e</del></p></li></ul>' +
    '<p data-change="added" data-id="8.1"><ins data-change="added">f</ins></p>' +
    '<h2 data-change="moved" data-id="7.6" data-beside="true">g</h2>'

  test('come back as they were before; one that is new does not come back to the present', () => {
    expect(told(HTML, HEAD, 40)).toEqual([
      ['7.1', 40, 'changed'],
      ['7.3', 40, 'removed'],
      ['7.6', 40, 'moved', 'beside'],
    ])
  })

  test('of the past, one that was new then comes back as it was then', () => {
    expect(told(HTML, 45, 40)).toContainEqual(['8.1', 45, 'added'])
  })

  test('without a name of their own are left out, whatever they lie in', () => {
    const html =
      '<blockquote data-change="changed" data-id="7.1"><p data-change="removed"><del>x</del></p>' +
      '<p data-change="changed"><ins>y</ins> z</p></blockquote>'
    expect(told(html, HEAD, 40)).toEqual([])
  })

  test('are found around what is in them, the innermost first', () => {
    const all = blocks(
      '<ul><li data-change="changed" data-changed="{}" data-id="7.1"><p data-change="changed" data-id="7.2">a <ins>b</ins></p><p>c</p></li></ul><p>d</p>',
      HEAD,
      40,
    )
    const around = (selector: string) => blockAround(all, place.querySelector(selector))?.id
    expect(around('ins')).toEqual([7, 2])
    expect(around('p + p')).toEqual([7, 1])
    expect(around('ul + p')).toBeUndefined()
    expect(blockAround(all, null)).toBeNull()
  })
})

describe('blocks of a moment', () => {
  const HTML =
    '<p data-id="7.1">a</p><ul data-id="7.2"><li data-id="7.3"><p data-id="7.4">b</p></li></ul><p>c</p>'

  test('are those at the top, as they were then', () => {
    expect(told(HTML, 45, null)).toEqual([
      ['7.1', 45, null],
      ['7.2', 45, null],
    ])
  })

  test('are the same when its differences can not be had', () => {
    expect(told(HTML, 45, 40, true)).toHaveLength(2)
  })

  test('are none in the present, and none by a name that is no id', () => {
    expect(told(HTML, HEAD, null)).toEqual([])
    expect(told('<p data-id="1;2">a</p><p data-id="x.1">b</p><p data-id="1.2.3">c</p>', 45, null)).toEqual([])
  })
})

const ada = { id: 'a1', name: 'Ada', color: '' }
const session = (from_seq: number, seq: number): Version => ({
  id: String(seq),
  kind: 'auto',
  seq,
  from_seq,
  at: new Date(seq * 1_000).toISOString(),
  from_at: new Date(from_seq * 1_000).toISOString(),
  label: '',
  authors: [ada],
  kept: 'all',
})
const named = (id: string, seq: number, label: string): Version => ({
  ...session(seq, seq),
  id,
  kind: 'named',
  label,
})

describe('on a server', () => {
  let versions: Version[]
  let asked: string[]
  let answer: unknown
  const realFetch = globalThis.fetch
  beforeEach(() => {
    versions = [session(31, HEAD), session(11, 30), named('v1', 20, 'Draft'), session(1, 10)]
    asked = []
    globalThis.fetch = async (input, init) => {
      const path = String(input).replace('/api/docs/doc', '')
      if (init?.method === 'GET' && path.startsWith('/versions?'))
        return Response.json({ versions, next: null })
      if (path.includes('html')) return Response.json(['<p data-id="7.1">a</p>'])
      asked.push(`${init?.method} ${path} ${init?.body ?? ''}`.trim())
      return Response.json(answer)
    }
  })
  afterEach(() => {
    globalThis.fetch = realFetch
  })

  async function open(): Promise<HistoryModel> {
    const model = new HistoryModel('doc')
    await model.archive.refresh()
    model.viewer.start({ at: null, since: null })
    return model
  }

  test('a block is asked for by its id, and offered once', async () => {
    const model = await open()
    answer = { changed: true, version: null, before: session(31, HEAD) }
    const [one, other] = blocks('<p data-id="7.1">a</p><p data-id="7.2">b</p>', 45, null)
    if (!one || !other) throw new Error('two blocks')
    model.blocks.show(() => [one, other])
    model.viewer.showsChanges.value = false
    model.goToChange(1)
    expect(model.blocks.current.value).toBe(one)
    await Promise.all([model.blocks.restore(one), model.blocks.restore(one)])
    expect(asked).toEqual(['POST /versions/45/restore {"block":[7,1]}'])
    expect(model.blocks.all.value).toEqual([other])
    expect(model.blocks.current.value).toBeNull()
    model.goToChange(-1)
    expect(model.blocks.current.value).toBe(other)
    model.destroy()
  })

  test('a session is removed by its edits, another version by its id, and what is beside it is chosen', async () => {
    const model = await open()
    const entry = (key: string) => {
      const found = model.archive.timeline.value.all.find((entry) => entry.key === key)
      if (!found) throw new Error(key)
      return found
    }
    answer = { purged: { from_seq: 20, to_seq: 20 } }
    model.viewer.choose(entry('named-v1'))
    versions = versions.filter(({ id }) => id !== 'v1')
    await model.purge(entry('named-v1'))
    expect(model.viewer.chosen.value).toBe('session-31')

    answer = { purged: { from_seq: 1, to_seq: 10 } }
    versions = versions.slice(0, 2)
    await model.purge(entry('session-1'))
    expect(model.archive.versions.value.map(({ id }) => id)).toEqual(['50', '30'])
    expect(model.viewer.chosen.value).toBe('session-11')

    // Of the last one the present state stays.
    answer = { purged: { from_seq: 31, to_seq: 49 } }
    await model.purge(entry('session-31'))
    expect(model.viewer.chosen.value).toBe('session-31')
    expect(asked).toEqual([
      'DELETE /versions/v1',
      'DELETE /versions?from_seq=1&to_seq=10',
      'DELETE /versions?from_seq=31&to_seq=50',
    ])
    model.destroy()
  })

  test('a name is taken away without the moment', async () => {
    const model = await open()
    answer = session(11, 30)
    await model.removeName(named('v1', 20, 'Draft'))
    expect(asked).toEqual(['PATCH /versions/v1 {"label":null}'])
    expect(model.viewer.seq.value).toBe(20)
    model.destroy()
  })
})
