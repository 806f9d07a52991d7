//! Takes a document that the server wrote as HTML into the page. The server has escaped it; still nothing enters but the
//! elements and attributes named here, each made anew, without styles, handlers or addresses that are not allowed.

import { isAllowedHref } from '../../editor/links'
import { keptBlocks } from '../../history/kept-blocks'
import { t } from '../../i18n/strings'
import { blocksIn, putAfter, regroup } from './groups'

/** What stands in the page for an element of the server's. */
const ELEMENTS: ReadonlySet<string> = new Set([
  ...['p', 'h1', 'h2', 'h3', 'h4', 'h5', 'h6', 'ul', 'ol', 'li', 'blockquote', 'pre', 'hr', 'br'],
  ...['a', 'strong', 'em', 'u', 's', 'code', 'ins', 'del', 'span', 'div', 'dl', 'dt', 'dd'],
])
/** Not even their text is shown. */
const DROPPED: ReadonlySet<string> = new Set([
  ...['script', 'style', 'template', 'iframe', 'object', 'embed', 'noscript', 'title', 'head', 'svg', 'math'],
])
export const CHANGES = ['added', 'removed', 'moved', 'changed', 'formatted'] as const
export type Change = (typeof CHANGES)[number]

const AUTHOR = /^[\w-]{1,64}$/
/** A time in UTC, as the server writes it. */
const TIME = /^\d{4}-\d{2}-\d{2}T[\d:.]{8,18}Z$/
/** Client and clock. */
const BLOCK = /^\d{1,16}\.\d{1,16}$/
/** Deeper than any document of the editor's; what is below is shown as text. */
const MOST_DEPTH = 100

/** A node of the page's own for an inert one; null for what may not be shown. */
function adopt(node: Node, depth = 0): ChildNode | DocumentFragment | null {
  if (node.nodeType === Node.TEXT_NODE) return document.createTextNode(node.textContent ?? '')
  if (!(node instanceof Element)) return null
  const name = node.localName
  if (DROPPED.has(name) || node.namespaceURI !== 'http://www.w3.org/1999/xhtml') return null
  if (depth > MOST_DEPTH) return document.createTextNode(node.textContent ?? '')
  const root = name === 'article' ? node.getAttribute('data-root') : null
  const made = root === null ? elementFor(node) : sectionOf(root)
  for (const child of node.childNodes) {
    const adopted = adopt(child, depth + 1)
    if (adopted) made.append(adopted)
  }
  return made
}

function elementFor(node: Element): HTMLElement | DocumentFragment {
  if (!ELEMENTS.has(node.localName)) return document.createDocumentFragment()
  const made = document.createElement(node.localName)
  copyAttributes(node, made)
  return made
}

/** For a root of a document that other programs write, under its name. What became of it, its content says. */
function sectionOf(root: string): HTMLElement {
  const section = document.createElement('section')
  const name = document.createElement('p')
  name.className = 'root-name'
  name.textContent = root
  section.append(name)
  return section
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
  if (to instanceof HTMLUListElement && from.getAttribute('data-node') === 'taskList') to.className = 'tasks'
  if (to instanceof HTMLLIElement && from.hasAttribute('data-checked')) markTask(from, to)
  const author = from.getAttribute('data-author')
  if (author !== null && AUTHOR.test(author)) to.dataset.author = author
  const at = from.getAttribute('data-at')
  if (at !== null && TIME.test(at)) to.dataset.at = at
  const id = from.getAttribute('data-id')
  if (id !== null && BLOCK.test(id)) {
    to.dataset.id = id
    if (from.hasAttribute('data-beside')) to.dataset.beside = 'true'
  }
  const change = from.getAttribute('data-change') as Change | null
  if (change !== null && CHANGES.includes(change) && !isOnlyAround(from, change)) to.dataset.change = change
}

/** Of what changed only inside of it, each change says so itself: a bar for every list around it would only be noise. */
const isOnlyAround = (from: Element, change: Change): boolean =>
  change === 'changed' &&
  !from.hasAttribute('data-changed') &&
  !from.hasAttribute('data-was') &&
  from.querySelector('[data-change], ins, del') !== null

function markTask(from: Element, to: HTMLLIElement): void {
  const isDone = from.getAttribute('data-checked') === 'true'
  to.dataset.checked = String(isDone)
  const state = document.createElement('span')
  state.className = 'visually-hidden'
  state.textContent = `${t(isDone ? 'history.taskDone' : 'history.taskOpen')} `
  to.append(state)
}

/**
 * Shows the blocks `next` in `place`, which shows `before`. Blocks that stay are not touched and not even parsed, so that
 * a step costs what changed and not what there is. Returns the elements that are new.
 */
export function replaceBlocks(
  place: HTMLElement,
  before: readonly string[],
  next: readonly string[],
): readonly HTMLElement[] {
  const kept = keptBlocks(before, next)
  const old = blocksIn(place)
  const parser = new DOMParser()
  const made: HTMLElement[] = []
  let previous: ChildNode | null = null
  let at = 0
  for (const [index, html] of next.entries()) {
    const from = kept.get(index)
    if (from === undefined) {
      const fresh = blockOf(parser, html)
      putAfter(place, previous, fresh)
      previous = fresh
      if (fresh instanceof HTMLElement) made.push(fresh)
    } else {
      for (; at < from; at++) old[at]?.remove()
      previous = old[at++] ?? null
    }
  }
  for (; at < old.length; at++) old[at]?.remove()
  regroup(place)
  return made
}

/** One node for one block, so that the next step finds its blocks by their number. */
function blockOf(parser: DOMParser, html: string): ChildNode {
  // Inert: nothing of it runs or loads. A line break ends what is no block of the editor's.
  const nodes = [...parser.parseFromString(html.replace(/\n$/, ''), 'text/html').body.childNodes]
  const adopted = nodes.map((node) => adopt(node)).filter((node) => node !== null)
  const [only] = adopted
  if (adopted.length === 1 && only && !(only instanceof DocumentFragment)) return only
  if (adopted.length === 0) return document.createComment('')
  const block = document.createElement('div')
  block.append(...adopted)
  return block
}
