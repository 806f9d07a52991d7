//! Protects documents from this page. The binding between ProseMirror and Yjs deletes, for everybody, whatever the
//! schema can not hold: an unknown block of a newer version, an embed of another editor. So a document is examined
//! before the editor is bound to it, and again on each remote change before the binding sees that change. What can
//! not be read is shown without a binding, read-only.
//!
//! One case is repaired instead: concurrent edits can leave a list item without its leading paragraph. The binding
//! would drop the item with all it holds; an empty paragraph is added to it.

import type { JSONContent } from '@tiptap/core'
import type { ContentMatch, NodeType, Schema } from '@tiptap/pm/model'
import * as Y from 'yjs'

/** Stands in marks that may overlap: `comment--1tiVU/zO`. */
const OVERLAP_SUFFIX = /--[a-zA-Z0-9+/=]{8}$/
const markName = (key: string) => key.replace(OVERLAP_SUFFIX, '')

type YNode = Y.XmlElement | Y.XmlText

interface Delta {
  readonly insert?: unknown
  readonly attributes?: Record<string, unknown>
}

/** Names of what the schema can not hold under `root`; empty when the editor may be bound. */
export function unreadable(root: Y.XmlFragment, schema: Schema): Set<string> {
  const found = new Set<string>()
  checkFit(root, schema, found)
  checkTree(root.toArray(), schema, found)
  return found
}

/** Judges `nodes` and all below them. Iterative, as a hostile document may nest deeper than the stack is high. */
function checkTree(nodes: readonly unknown[], schema: Schema, found: Set<string>): void {
  const waiting = [...nodes]
  for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
    if (node instanceof Y.XmlText) checkText(node.toDelta() as Delta[], schema, found)
    else if (node instanceof Y.XmlElement) {
      if (!lacksParagraph(node)) checkFit(node, schema, found)
      for (const child of node.toArray()) waiting.push(child)
    } else found.add('embedded data')
  }
}

function checkFit(target: Y.XmlFragment, schema: Schema, found: Set<string>): void {
  const isElement = target instanceof Y.XmlElement
  const type = isElement ? schema.nodes[target.nodeName] : schema.topNodeType
  if (!type || !fits(target, type, schema)) found.add(isElement ? target.nodeName : 'document')
}

function checkText(delta: Delta[], schema: Schema, found: Set<string>): void {
  for (const { insert, attributes } of delta) {
    if (insert !== undefined && typeof insert !== 'string') found.add('embedded data')
    for (const [key, value] of Object.entries(attributes ?? {})) {
      if (value !== null && !schema.marks[markName(key)]) found.add(markName(key))
    }
  }
}

function childType(child: unknown, schema: Schema): NodeType | null | undefined {
  if (child instanceof Y.XmlText) return child.length > 0 ? schema.nodes.text : undefined
  if (child instanceof Y.XmlElement) return schema.nodes[child.nodeName] ?? null
  return null
}

/** The children are what the schema allows. An empty root is fine; the editor shows a paragraph then. */
function fits(parent: Y.XmlFragment, type: NodeType, schema: Schema): boolean {
  const isRoot = type === schema.topNodeType
  if (type.isLeaf) return parent.length === 0
  let match: ContentMatch | null = type.contentMatch
  for (const child of parent.toArray()) {
    if (isRoot && child instanceof Y.XmlText) return false
    const childNodeType = childType(child, schema)
    // Unknown names are reported by their own name.
    if (childNodeType === null) return true
    if (childNodeType !== undefined) match = match?.matchType(childNodeType) ?? null
    if (!match) return false
  }
  return isRoot || match.validEnd
}

const ITEMS = new Set(['listItem', 'taskItem'])

function lacksParagraph(element: Y.XmlElement): boolean {
  const first = element.length > 0 ? (element.get(0) as YNode) : null
  return ITEMS.has(element.nodeName) && !(first instanceof Y.XmlElement && first.nodeName === 'paragraph')
}

/** Adds the missing paragraph to list items that lost theirs. Writes nothing to a document that needs no repair. */
export function repair(root: Y.XmlFragment): void {
  const broken: Y.XmlElement[] = []
  const waiting: unknown[] = [root]
  for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
    if (node instanceof Y.XmlElement && lacksParagraph(node)) broken.push(node)
    if (node instanceof Y.XmlFragment) waiting.push(...node.toArray())
  }
  addParagraphs(root.doc, broken)
}

function addParagraphs(doc: Y.Doc | null, items: Y.XmlElement[]): void {
  if (items.length === 0) return
  doc?.transact(() => {
    for (const item of items) item.insert(0, [new Y.XmlElement('paragraph')])
  }, 'repair')
}

/**
 * Watches remote changes. Register it before the binding: observers run in order, so `onUnreadable` can unbind the
 * editor before the binding would delete what just arrived.
 */
export function guard(
  root: Y.XmlFragment,
  schema: Schema,
  onUnreadable: (names: Set<string>) => void,
): () => void {
  const observe = (
    events: Y.YEvent<Y.XmlFragment | Y.XmlText | Y.XmlElement>[],
    transaction: Y.Transaction,
  ) => {
    if (transaction.local) return
    const found = new Set<string>()
    const broken: Y.XmlElement[] = []
    for (const event of events) {
      const { target } = event
      if (target instanceof Y.XmlText) checkText(event.delta as Delta[], schema, found)
      else if (target instanceof Y.XmlFragment) {
        if (target instanceof Y.XmlElement && lacksParagraph(target)) broken.push(target)
        else checkFit(target, schema, found)
        for (const item of event.changes.added) checkTree(item.content.getContent(), schema, found)
      }
    }
    if (found.size > 0) onUnreadable(found)
    else addParagraphs(root.doc, broken)
  }
  root.observeDeep(observe)
  return () => root.unobserveDeep(observe)
}

/** The document as the editor's JSON, with a plain paragraph in place of what the schema can not hold. */
export function toReadOnlyContent(
  root: Y.XmlFragment,
  schema: Schema,
  placeholder: (name: string) => string,
): JSONContent {
  const block = (name: string): JSONContent => ({
    type: 'paragraph',
    content: [{ type: 'text', text: placeholder(name), marks: [{ type: 'italic' }] }],
  })
  const convert = (node: unknown): JSONContent[] => {
    if (node instanceof Y.XmlText) return textContent(node, schema)
    if (!(node instanceof Y.XmlElement)) return []
    const type = schema.nodes[node.nodeName]
    if (!type) return [block(node.nodeName)]
    if (!fits(node, type, schema) || node.toArray().some((child) => isUnknown(child, schema))) {
      return [block(node.nodeName), ...plainParagraphs(node)]
    }
    return [{ type: node.nodeName, attrs: node.getAttributes(), content: node.toArray().flatMap(convert) }]
  }
  const content = root.toArray().flatMap((node) => (node instanceof Y.XmlText ? [] : convert(node)))
  return { type: 'doc', content: content.length > 0 ? content : [{ type: 'paragraph' }] }
}

const isUnknown = (node: unknown, schema: Schema) =>
  node instanceof Y.XmlElement && !schema.nodes[node.nodeName]

function textContent(text: Y.XmlText, schema: Schema): JSONContent[] {
  return (text.toDelta() as Delta[])
    .filter(({ insert }) => typeof insert === 'string' && insert !== '')
    .map(({ insert, attributes }) => ({
      type: 'text',
      text: insert as string,
      marks: Object.entries(attributes ?? {})
        .filter(([key]) => schema.marks[markName(key)])
        .map(([key, attrs]) => ({ type: markName(key), attrs: attrs as Record<string, unknown> })),
    }))
}

const plainParagraphs = (node: Y.XmlFragment): JSONContent[] =>
  plainText(node)
    .split('\n')
    .filter((line) => line !== '')
    .map((text) => ({ type: 'paragraph', content: [{ type: 'text', text }] }))

const INLINE_BREAK = 'hardBreak'

/** The words of a document, a line per block: what "Copy my text" puts on the clipboard. */
export function plainText(root: Y.XmlFragment): string {
  let text = ''
  const walk = (node: unknown) => {
    if (node instanceof Y.XmlText) {
      for (const { insert } of node.toDelta() as Delta[]) if (typeof insert === 'string') text += insert
    } else if (node instanceof Y.XmlFragment) {
      for (const child of node.toArray()) walk(child)
      const isBlock = node instanceof Y.XmlElement
      if (isBlock && (node.nodeName === INLINE_BREAK || !text.endsWith('\n'))) text += '\n'
    }
  }
  walk(root)
  return text.trimEnd()
}
