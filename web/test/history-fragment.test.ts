//! What of the server's HTML enters the page, how a step replaces blocks, and what counts as one change.

import { beforeEach, describe, expect, test } from 'vitest'
import { keptBlocks } from '../src/history/kept-blocks'
import { changesIn, colourAuthors } from '../src/ui/history/changes'
import { replaceBlocks } from '../src/ui/history/fragment'
import { blocksOf } from './blocks'
import { dice } from './dice'

let place: HTMLElement
let before: readonly string[]

beforeEach(() => {
  place = document.createElement('div')
  before = []
})

function show(html: string): Element | null {
  const next = blocksOf(html)
  const [first = null] = replaceBlocks(place, before, next)
  before = next
  return first
}

/** What is shown, without the groups that it stands in. */
const shownHtml = () => [...place.children].map(({ innerHTML }) => innerHTML).join('')
const shownBlocks = () => [...place.children].flatMap(({ children }) => [...children])

describe('adoption', () => {
  test('keeps what the editor can show', () => {
    const html =
      '<h2>A</h2><p>b <strong>c</strong> <a href="https://example.org">d</a><br>e</p><ol start="3"><li><p>f</p></li></ol>' +
      '<pre><code>g</code></pre><hr><p><ins data-author="ab12">h</ins></p><p data-author="ab12" data-at="2026-11-22T14:32:05.5Z" data-change="added">i</p>' +
      '<p data-id="4294967295.12">j</p>'
    show(html)
    expect(shownHtml().replace(/ (target|rel)="[^"]*"/g, '')).toBe(html)
  })

  test('shows what other programs keep under the names and keys that it has', () => {
    const map = '<dl><dt>size</dt><dd><del>1</del><ins>2</ins></dd></dl>'
    show(
      `<article data-root="&lt;b&gt;" data-change="changed">${map}</article>\n<article><p>no root</p></article>`,
    )
    expect(shownHtml()).toBe(
      `<section><p class="root-name">&lt;b&gt;</p>${map}</section><div><p>no root</p></div>`,
    )
  })

  test('takes nothing that could run, load or style', () => {
    show(
      '<p onclick="x()" style="color:red" class="bar" id="app">a<script>x()</script><img src=x onerror="x()">' +
        '<object data="/x"></object><svg onload="x()"><a href="javascript:x()">s</a></svg></p>' +
        '<form action="/x"><input value="v">text</form><style>p{}</style><meta http-equiv="refresh" content="0">',
    )
    expect(shownHtml().replace(/<!---->/g, '')).toBe('<p>a</p><div>text</div><div></div>')
  })

  test('takes links only to allowed addresses', () => {
    show(
      '<p><a href="javascript:alert(1)">a</a><a href=" java\tscript:x">b</a><a href="data:text/html,x">c</a><a href="/d/x">d</a></p>',
    )
    expect([...place.querySelectorAll('a')].map((link) => link.getAttribute('href'))).toEqual([
      null,
      null,
      null,
      '/d/x',
    ])
    for (const link of place.querySelectorAll('a[href]'))
      expect(link.getAttribute('rel')).toContain('noopener')
  })

  test('takes only known changes, and authors and times that look like one', () => {
    show(
      '<p data-change="evil" data-author="x y" data-at="14:32" data-other="1">a</p><ul data-node="taskList" class="x"><li data-checked="true">b</li></ul>',
    )
    expect(place.querySelector('p')?.outerHTML).toBe('<p>a</p>')
    expect(place.querySelector('ul')?.className).toBe('tasks')
    expect(place.querySelector('li')?.dataset.checked).toBe('true')
    expect(place.querySelector('li')?.textContent).toBe('Done task: b')
  })

  test('does not follow a document down without end', () => {
    const depth = 400
    show(`${'<blockquote>'.repeat(depth)}deep${'</blockquote>'.repeat(depth)}`)
    expect(place.textContent).toBe('deep')
    expect(place.querySelectorAll('blockquote').length).toBeLessThan(200)
  })
})

describe('a step', () => {
  test('leaves blocks that are the same in place, in every arrangement', () => {
    const states = [
      'abc',
      'abxc',
      'xc',
      '',
      'aaa',
      'aaaa',
      'ba',
      'abcdef',
      'bcdef',
      'abcdef',
      'fedcba',
      'axb',
      'cabx',
      'xcaybz',
      'a',
    ]
    for (const state of states) {
      const kept = new Map(shownBlocks().map((block) => [block, block.textContent]))
      show([...state].map((letter) => `<p>${letter}</p>`).join(''))
      expect(place.textContent).toBe(state)
      expect(shownBlocks()).toHaveLength(state.length)
      for (const block of shownBlocks()) if (kept.has(block)) expect(block.textContent).toBe(kept.get(block))
    }
  })

  test('keeps all that can stay in order', () => {
    const kept = (before: string, next: string) =>
      [...keptBlocks([...before], [...next])].map(([to, from]) => `${from}>${to}`).sort()
    expect(kept('abcdefg', 'abXcdYfg')).toEqual(['0>0', '1>1', '2>3', '3>4', '5>6', '6>7'])
    expect(kept('aZbcdYe', 'aWbcdVe')).toEqual(['0>0', '2>2', '3>3', '4>4', '6>6'])
    // The one that moved is made anew, the others stay.
    expect(kept('-abcd-', '-dabc-').map((pair) => pair[0])).toEqual(['0', '1', '2', '3', '5'])
    expect(kept('', 'ab')).toEqual([])
    expect(kept('ab', '')).toEqual([])
  })

  test('touches only what changed, also beside what may not be shown', () => {
    show('<p>a</p><script>x</script><custom-thing>b</custom-thing><p>c</p><p>d</p>')
    const [a, , , d] = shownBlocks()
    const first = show('<p>a</p><script>x</script><custom-thing>b</custom-thing><p>new</p><p>d</p>')
    expect(first?.textContent).toBe('new')
    expect(shownBlocks()[0]).toBe(a)
    expect(shownBlocks()[3]).toBe(d)
    expect(place.textContent).toBe('abnewd')
  })
})

describe('groups', () => {
  const letters = (from: number, to: number) =>
    Array.from({ length: to - from }, (_, at) => `<p>${from + at}</p>`)
  const shown = (blocks: readonly string[]) => {
    replaceBlocks(place, before, blocks)
    before = blocks
    expect(shownHtml()).toBe(blocks.join(''))
    for (const [at, group] of [...place.children].entries()) {
      expect(group.childNodes.length).toBeGreaterThan(0)
      expect(group.childNodes.length).toBeLessThanOrEqual(128)
      if (at > 0) expect(group.firstElementChild?.localName).toBe('p')
    }
    return [...place.children]
  }

  test('hold a long document in pieces, and a step touches only those that it changes', () => {
    const groups = shown(letters(0, 600))
    expect(groups.length).toBeGreaterThan(4)
    expect(groups.length).toBeLessThan(11)
    const inner = groups.map(({ innerHTML }) => innerHTML)
    const step = [...letters(0, 500), '<p>new</p>', ...letters(501, 600)]
    expect(shown(step)).toEqual(groups)
    expect(groups.filter(({ innerHTML }, at) => innerHTML !== inner[at])).toHaveLength(1)
    shown([])
    expect(place.children).toHaveLength(0)
    expect(shown(['<p>a</p>'])).toHaveLength(1)
  })

  test('never get long or empty, and begin with what has no margin above', () => {
    const random = dice(7)
    let blocks: string[] = letters(0, 200)
    shown(blocks)
    for (let step = 0; step < 40; step++) {
      const at = random(blocks.length + 1)
      const many = random(6) === 0
      const made = letters(step * 1_000, step * 1_000 + random(many ? 200 : 4))
      const fresh = made.map((html) => (random(4) ? html : html.replaceAll('p>', 'h2>')))
      blocks = blocks.toSpliced(at, random(many ? 200 : 4), ...fresh)
      shown(blocks)
    }
    // Without a place to cut, there is none.
    const headings = letters(0, 300).map((html) => html.replaceAll('p>', 'h2>'))
    replaceBlocks(place, before, headings)
    expect(place.children).toHaveLength(1)
  })
})

describe('changes', () => {
  const kinds = () => changesIn(place).map(({ change, author }) => `${change} ${author}`)

  test('a replacement is one change, what others did beside it another', () => {
    show(
      '<p>a <del data-author="x">b</del><ins data-author="x">c</ins><ins data-author="y">d</ins> e <ins data-author="x">f</ins></p>',
    )
    expect(kinds()).toEqual(['changed x', 'added y', 'added x'])
    expect(changesIn(place)[0]?.elements).toHaveLength(2)
  })

  test('a new block is one change with all that is in it; edits in a moved one count', () => {
    show(
      '<ul data-change="added" data-author="x"><li><p><ins data-author="x">a</ins></p></li></ul>' +
        '<p>b</p><p data-change="moved" data-author="y">c <ins data-author="y">d</ins></p>',
    )
    expect(kinds()).toEqual(['added x', 'moved y', 'added y'])
  })

  test('a replacement in text that stands beside blocks is one change, too', () => {
    show(
      '<p>a</p><del data-author="x">b</del><ins data-author="x">c</ins><p><ins data-author="x">d</ins></p>',
    )
    expect(kinds()).toEqual(['changed x', 'added x'])
  })

  test('after any step are those of a page that shows only that moment', () => {
    const run = '<del data-author="x">b</del>'
    const states = [
      '<p>a</p><p>b <ins data-author="x">c</ins></p>',
      '<p>b <ins data-author="x">c</ins></p><p>a <del data-author="y">d</del></p>',
      `${run}<ins data-author="x">c</ins><p>a <del data-author="y">d</del></p>${run}`,
      `<p>a <del data-author="y">d</del></p>${run}<ins data-author="x">e</ins>${run}<p><ins>f</ins></p>`,
      '<h2 data-change="added" data-author="x"><ins data-author="x">f</ins></h2><p><ins>f</ins></p>',
      '<p>b <ins data-author="x">c</ins></p>',
    ]
    for (const html of [...states, ...states.toReversed()]) {
      show(html)
      const alone = document.createElement('div')
      replaceBlocks(alone, [], blocksOf(html))
      const texts = (from: HTMLElement) =>
        changesIn(from).map(({ change, author, elements }) => [
          change,
          author,
          ...elements.map(({ textContent }) => textContent),
        ])
      expect(texts(place)).toEqual(texts(alone))
      expect(
        changesIn(place).every(({ elements }) => elements.every((element) => place.contains(element))),
      ).toBe(true)
    }
  })

  test('have the colour of their author, also when it becomes known later', () => {
    show('<p><ins data-author="x">a</ins></p>')
    colourAuthors(place, () => '')
    const first = place.querySelector('ins')?.className
    expect(first).toMatch(/^hue-\d+$/)
    colourAuthors(place, () => '#c8553d')
    expect(place.querySelector('ins')?.className).toBe('hue-0')
  })
})
