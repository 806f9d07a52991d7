//! What of the server's HTML enters the page, how a step replaces blocks, and what counts as one change.

import { beforeEach, describe, expect, test } from 'vitest'
import { blocksOf, splicedBlocks } from '../src/api/html-blocks'
import { keptBlocks } from '../src/history/kept-blocks'
import { changesIn, colourAuthors } from '../src/ui/history/changes'
import { replaceBlocks } from '../src/ui/history/fragment'

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

describe('adoption', () => {
  test('keeps what the editor can show', () => {
    const html =
      '<h2>A</h2><p>b <strong>c</strong> <a href="https://example.org">d</a><br>e</p><ol start="3"><li><p>f</p></li></ol>' +
      '<pre><code>g</code></pre><hr><p><ins data-author="ab12">h</ins></p><p data-author="ab12" data-at="2026-11-22T14:32:05.5Z" data-change="added">i</p>' +
      '<p data-id="4294967295.12">j</p>'
    show(html)
    expect(place.innerHTML.replace(/ (target|rel)="[^"]*"/g, '')).toBe(html)
  })

  test('shows what other programs keep under the names and keys that it has', () => {
    const map = '<dl><dt>size</dt><dd><del>1</del><ins>2</ins></dd></dl>'
    show(
      `<article data-root="&lt;b&gt;" data-change="changed">${map}</article>\n<article><p>no root</p></article>`,
    )
    expect(place.innerHTML).toBe(
      `<section><p class="root-name">&lt;b&gt;</p>${map}</section><div><p>no root</p></div>`,
    )
  })

  test('takes nothing that could run, load or style', () => {
    show(
      '<p onclick="x()" style="color:red" class="bar" id="app">a<script>x()</script><img src=x onerror="x()">' +
        '<object data="/x"></object><svg onload="x()"><a href="javascript:x()">s</a></svg></p>' +
        '<form action="/x"><input value="v">text</form><style>p{}</style><meta http-equiv="refresh" content="0">',
    )
    expect(place.innerHTML.replace(/<!---->/g, '')).toBe('<p>a</p><div>text</div><div></div>')
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

describe('blocks', () => {
  test('are the elements at the top', () => {
    const blocks = [
      '<p>a <b>b</b><br>c</p>',
      '<hr>',
      '<ul data-node="taskList"><li><p>d</p></li></ul>',
      '<h2></h2>',
    ]
    expect(blocksOf(blocks.join(''))).toEqual(blocks)
    expect(blocksOf('')).toEqual([])
  })

  test('lose nothing of what is badly formed', () => {
    for (const html of [
      'a<p>b',
      '</p></p>c',
      '<p>d</div></p>e',
      '<p',
      '<p>f</p> g',
      '<<p>>h</p>',
      '<p title=">">i</p>',
    ])
      expect(blocksOf(html).join('')).toBe(html)
  })
})

describe('blocks of an answer that is told by the one before', () => {
  const PARTS = [
    '<p>a</p>',
    '<p>b</p>',
    '<ul>',
    '</ul>',
    '<li><p>c</p></li>',
    'text 😀',
    '<hr>',
    '</p>',
    '<p>',
    '<',
  ]
  let seed = 1
  const random = (below: number) => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((seed / 2 ** 32) * below)
  }

  test('are those of the whole answer wherever it is cut, also in what is badly formed', () => {
    for (let round = 0; round < 50_000; round++) {
      const parts = Array.from({ length: random(8) }, () => PARTS[random(PARTS.length)])
      const held = parts.join('')
      parts.splice(random(parts.length + 1), random(3), ...(random(3) ? [PARTS[random(PARTS.length)]] : []))
      const html = parts.join('')
      const least = Math.min(held.length, html.length)
      let start = 0
      while (start < least && held[start] === html[start]) start++
      start = random(4) ? start : random(start + 1)
      let end = 0
      while (end < least - start && held.at(-1 - end) === html.at(-1 - end)) end++
      end = random(4) ? end : random(end + 1)
      const splice = { start, middle: html.slice(start, html.length - end), end }
      const told = splicedBlocks(blocksOf(held), splice)
      expect(told, `${held} → ${JSON.stringify(splice)}`).toEqual(blocksOf(html))
    }
  })

  test('are the very ones that were there, where nothing changed', () => {
    const held = ['<p>a</p>', '<p>b</p>', '<p>c</p>']
    expect(splicedBlocks(held, { start: 11, middle: 'x', end: 13 })).toEqual([
      '<p>a</p>',
      '<p>xb</p>',
      '<p>c</p>',
    ])
    expect(splicedBlocks(held, { start: 24, middle: '', end: 0 })).toEqual(held)
    expect(splicedBlocks(held, { start: 0, middle: '', end: 24 })).toEqual(held)
    expect(splicedBlocks([], { start: 0, middle: '<hr>', end: 0 })).toEqual(['<hr>'])
    expect(splicedBlocks(held, { start: 0, middle: '', end: 0 })).toEqual([])
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
      const kept = new Map([...place.children].map((block) => [block, block.textContent]))
      show([...state].map((letter) => `<p>${letter}</p>`).join(''))
      expect(place.textContent).toBe(state)
      expect(place.childNodes).toHaveLength(state.length)
      for (const block of place.children) if (kept.has(block)) expect(block.textContent).toBe(kept.get(block))
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
    const [a, , , d] = place.children
    const first = show('<p>a</p><script>x</script><custom-thing>b</custom-thing><p>new</p><p>d</p>')
    expect(first?.textContent).toBe('new')
    expect(place.children[0]).toBe(a)
    expect(place.children[3]).toBe(d)
    expect(place.textContent).toBe('abnewd')
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
