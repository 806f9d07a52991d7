//! The title: a Y.Text in the document's `meta` map, so that two people may edit it at once. It is created by the first
//! local edit and never by opening.

import { signal } from '@preact/signals'
import * as Y from 'yjs'

const META = 'meta'
const TITLE = 'title'
/** A title is a line, not a document. */
export const MAX_TITLE = 200

export const titleText = (doc: Y.Doc): string => {
  const value = doc.getMap(META).get(TITLE)
  return value instanceof Y.Text ? value.toString() : ''
}

export class Title {
  readonly text = signal('')
  readonly #doc: Y.Doc
  readonly #origin = {}
  #undo: Y.UndoManager | null = null

  constructor(doc: Y.Doc) {
    this.#doc = doc
    doc.getMap(META).observeDeep(this.#refresh)
    this.#refresh()
  }

  /** Writes the smallest change that makes the title `wanted`. */
  edit(wanted: string): void {
    const next = wanted.replace(/\s/g, ' ').slice(0, MAX_TITLE)
    const meta = this.#doc.getMap(META)
    this.#doc.transact(() => {
      let title = meta.get(TITLE)
      if (!(title instanceof Y.Text)) {
        title = new Y.Text()
        meta.set(TITLE, title)
      }
      replaceText(title as Y.Text, next)
    }, this.#origin)
    this.#trackUndo(meta.get(TITLE))
  }

  undo(): void {
    this.#undo?.undo()
  }

  redo(): void {
    this.#undo?.redo()
  }

  destroy(): void {
    this.#doc.getMap(META).unobserveDeep(this.#refresh)
    this.#undo?.destroy()
  }

  #trackUndo(title: unknown): void {
    if (this.#undo || !(title instanceof Y.Text)) return
    this.#undo = new Y.UndoManager(title, { trackedOrigins: new Set([this.#origin]) })
  }

  readonly #refresh = (): void => {
    this.text.value = titleText(this.#doc)
    this.#trackUndo(this.#doc.getMap(META).get(TITLE))
  }
}

function replaceText(text: Y.Text, next: string): void {
  const { start, removed, inserted } = difference(text.toString(), next)
  if (removed > 0) text.delete(start, removed)
  if (inserted !== '') text.insert(start, inserted)
}

/** One replacement that turns `before` into `after`; never splits a surrogate pair. */
export function difference(
  before: string,
  after: string,
): { start: number; removed: number; inserted: string } {
  const shorter = Math.min(before.length, after.length)
  let start = 0
  while (start < shorter && before[start] === after[start]) start++
  if (start > 0 && isHigh(before, start - 1)) start--
  let end = 0
  while (end < shorter - start && before.at(-1 - end) === after.at(-1 - end)) end++
  if (end > 0 && isHigh(before, before.length - end - 1)) end--
  return { start, removed: before.length - start - end, inserted: after.slice(start, after.length - end) }
}

const isHigh = (text: string, at: number) => (text.charCodeAt(at) & 0xfc00) === 0xd800
