import { describe, expect, test } from 'vitest'
import { isAllowedHref, normalizeHref } from '../src/editor/links'
import { cleanPastedHtml } from '../src/editor/paste'
import { difference } from '../src/session/title'

describe('link addresses', () => {
  test.each([
    'javascript:alert(1)',
    'JaVaScRiPt:alert(1)',
    ' \u0001javascript:alert(1)',
    'java\nscript:alert(1)',
    'data:text/html,x',
    'vbscript:x',
    'file:///etc/passwd',
    'blob:x',
    '//evil.example',
    'ftp://x',
  ])('%j is refused', (href) => {
    expect(isAllowedHref(href)).toBe(false)
  })

  test.each([
    'https://a.example',
    'http://localhost:8080/x',
    'mailto:a@b.example',
    'tel:+49123',
    '/d/abc',
    '#part',
  ])('%j is fine', (href) => {
    expect(isAllowedHref(href)).toBe(true)
  })

  test.each([
    ['example.org', 'https://example.org'],
    ['example.org:8080/x?y', 'https://example.org:8080/x?y'],
    ['a@b.example', 'mailto:a@b.example'],
    ['https://a.example', 'https://a.example'],
    ['javascript:alert(1)', null],
    ['no address', null],
    ['', null],
  ])('%j typed becomes %j', (typed, href) => {
    expect(normalizeHref(typed)).toBe(href)
  })
})

describe('pasting', () => {
  test('keeps what only styles say and drops the rest', () => {
    const html = `<html><head><style>p{color:red}</style></head><body><!--StartFragment--><b style="font-weight:normal" id="docs-internal-guid-1">
      <p style="color:red" class="MsoNormal">a<span style="font-weight:700">b</span><span style='font-style:italic'>c</span><o:p>&nbsp;</o:p></p></b><!--EndFragment--></body></html>`
    const clean = cleanPastedHtml(html)
    expect(clean).toContain('<strong>b</strong>')
    expect(clean).toContain('<em>c</em>')
    expect(clean).not.toMatch(/style|color|o:p|<b\b/)
  })
})

describe('one replacement', () => {
  test.each([
    ['abc', 'axc'],
    ['', 'x'],
    ['x', ''],
    ['aa', 'aaa'],
    ['😀', '😁'],
    ['a😀b', 'a😀😀b'],
    ['same', 'same'],
  ])('turns %j into %j without splitting a pair', (before, after) => {
    const { start, removed, inserted } = difference(before, after)
    expect(before.slice(0, start) + inserted + before.slice(start + removed)).toBe(after)
    expect(inserted.isWellFormed()).toBe(true)
    expect(before.slice(start, start + removed).isWellFormed()).toBe(true)
  })
})
