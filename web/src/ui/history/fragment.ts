//! Takes a document that the server wrote as HTML into the page. The server has escaped it; still nothing enters but the
//! elements and attributes named here, each made anew, without styles, handlers or addresses that are not allowed.

import { isAllowedHref } from '../../editor/links'
import { t } from '../../i18n/strings'

/** What stands in the page for an element of the server's. */
const ELEMENTS: ReadonlySet<string> = new Set([
  ...['p', 'h1', 'h2', 'h3', 'h4', 'h5', 'h6', 'ul', 'ol', 'li', 'blockquote', 'pre', 'hr', 'br'],
  ...['a', 'strong', 'em', 'u', 's', 'code', 'ins', 'del', 'span', 'div'],
])
/** Not even their text is shown. */
const DROPPED: ReadonlySet<string> = new Set([
  ...['script', 'style', 'template', 'iframe', 'object', 'embed', 'noscript', 'title', 'head', 'svg', 'math'],
])
export const CHANGES = ['added', 'removed', 'moved', 'changed', 'formatted'] as const
export type Change = (typeof CHANGES)[number]

const AUTHOR = /^[\w-]{1,64}$/
/** Deeper than any document of the editor's; what is below is shown as text. */
const MOST_DEPTH = 100

/** The top-level nodes of a fragment, still inert: nothing of them runs or loads. */
export function parse(html: string): readonly Node[] {
  return [...new DOMParser().parseFromString(html, 'text/html').body.childNodes]
}

/** A node of the page's own for an inert one; null for what may not be shown. */
export function adopt(node: Node, depth = 0): Node | null {
  if (node.nodeType === Node.TEXT_NODE) return document.createTextNode(node.textContent ?? '')
  if (!(node instanceof Element)) return null
  const name = node.localName
  if (DROPPED.has(name) || node.namespaceURI !== 'http://www.w3.org/1999/xhtml') return null
  if (depth > MOST_DEPTH) return document.createTextNode(node.textContent ?? '')
  const isKnown = ELEMENTS.has(name)
  const made = isKnown ? document.createElement(name) : document.createDocumentFragment()
  if (made instanceof HTMLElement) copyAttributes(node, made)
  for (const child of node.childNodes) {
    const adopted = adopt(child, depth + 1)
    if (adopted) made.append(adopted)
  }
  return made
}

function copyAttributes(from: Element, to: HTMLElement): void {
  const href = from.getAttribute('href')
  if (to instanceof HTMLAnchorElement && href !== null && isAllowedHref(href)) {
    to.href = href
    to.target = '_blank'
    to.rel = 'noopener noreferrer nofollow'
  }
  const start = Number(from.getAttribute('start') ?? Number.NaN)
  if (to instanceof HTMLOListElement && Number.isInteger(start)) to.start = start
  if (to instanceof HTMLUListElement && from.classList.contains('tasks')) to.className = 'tasks'
  if (to instanceof HTMLLIElement && from.hasAttribute('data-checked')) markTask(from, to)
  const author = from.getAttribute('data-author')
  if (author !== null && AUTHOR.test(author)) to.dataset.author = author
  const change = from.getAttribute('data-change') as Change | null
  if (change !== null && CHANGES.includes(change)) to.dataset.change = change
}

function markTask(from: Element, to: HTMLLIElement): void {
  const isDone = from.getAttribute('data-checked') === 'true'
  to.dataset.checked = String(isDone)
  const state = document.createElement('span')
  state.className = 'visually-hidden'
  state.textContent = `${t(isDone ? 'history.taskDone' : 'history.taskOpen')} `
  to.append(state)
}

/**
 * Shows `next` in `place`, which shows `before`: blocks that are the same stay as they are, so that a step costs what
 * changed and not what there is. Returns the first block that is new, or null.
 */
export function replaceBlocks(
  place: HTMLElement,
  before: readonly Node[],
  next: readonly Node[],
): Element | null {
  const shorter = Math.min(before.length, next.length)
  let start = 0
  while (start < shorter && before[start]?.isEqualNode(next[start] as Node)) start++
  let end = 0
  while (end < shorter - start && before.at(-1 - end)?.isEqualNode(next.at(-1 - end) as Node)) end++
  const after = place.childNodes[before.length - end] ?? null
  for (let at = before.length - end - 1; at >= start; at--) place.childNodes[at]?.remove()
  const fresh = document.createDocumentFragment()
  // One for one, so that the next step finds its blocks by their number.
  for (const node of next.slice(start, next.length - end)) fresh.append(single(adopt(node)))
  const first = fresh.firstElementChild
  place.insertBefore(fresh, after)
  return first
}

function single(node: Node | null): Node {
  if (node === null) return document.createComment('')
  if (!(node instanceof DocumentFragment)) return node
  const block = document.createElement('div')
  block.append(node)
  return block
}
