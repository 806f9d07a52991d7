//! What the toolbar shows and does, without drawing it. The state is computed once per change of the selection.

import type { Editor } from '@tiptap/core'
import type * as Y from 'yjs'
import { clearFormatting } from './keymap'

export type Mark = 'bold' | 'italic' | 'underline' | 'strike' | 'code'
export type List = 'bulletList' | 'orderedList' | 'taskList'
export type Block = 'paragraph' | `heading${1 | 2 | 3 | 4 | 5 | 6}` | 'codeBlock' | 'blockquote'

export interface ToolbarState {
  /** The kind of block under the caret. */
  readonly block: Block
  readonly marks: ReadonlySet<string>
  readonly list: List | null
  readonly quote: boolean
  readonly link: string | null
  readonly canUndo: boolean
  readonly canRedo: boolean
}

export const emptyToolbar: ToolbarState = {
  block: 'paragraph',
  marks: new Set(),
  list: null,
  quote: false,
  link: null,
  canUndo: false,
  canRedo: false,
}

const LISTS: ReadonlySet<string> = new Set(['bulletList', 'orderedList', 'taskList'])

export function toolbarState(editor: Editor, undoManager: Y.UndoManager | null): ToolbarState {
  const { selection, storedMarks, doc } = editor.state
  const { $from, from, to, empty } = selection
  let list: List | null = null
  let quote = false
  for (let depth = $from.depth; depth > 0; depth--) {
    const { name } = $from.node(depth).type
    if (!list && LISTS.has(name)) list = name as List
    if (name === 'blockquote') quote = true
  }
  const marks = new Set<string>()
  const atCaret = storedMarks ?? $from.marks()
  for (const [name, type] of Object.entries(editor.schema.marks)) {
    if (empty ? type.isInSet(atCaret) : doc.rangeHasMark(from, to, type)) marks.add(name)
  }
  return {
    block: blockOf($from.parent.type.name, $from.parent.attrs.level),
    marks,
    list,
    quote,
    link: marks.has('link') ? String(editor.getAttributes('link').href ?? '') : null,
    canUndo: (undoManager?.undoStack.length ?? 0) > 0,
    canRedo: (undoManager?.redoStack.length ?? 0) > 0,
  }
}

function blockOf(name: string, level: unknown): Block {
  if (name === 'heading') return `heading${level as 1}`
  return name === 'codeBlock' ? 'codeBlock' : 'paragraph'
}

export const toggleMark = (editor: Editor, mark: Mark) => editor.chain().focus().toggleMark(mark).run()

export function toggleList(editor: Editor, list: List): boolean {
  const chain = editor.chain().focus()
  if (list === 'bulletList') return chain.toggleBulletList().run()
  return list === 'orderedList' ? chain.toggleOrderedList().run() : chain.toggleTaskList().run()
}

export const toggleQuote = (editor: Editor) => editor.chain().focus().toggleBlockquote().run()
export const insertRule = (editor: Editor) => editor.chain().focus().setHorizontalRule().run()
export const clear = clearFormatting

export function setBlock(editor: Editor, block: Block): boolean {
  const chain = editor.chain().focus()
  if (block === 'codeBlock') return chain.toggleCodeBlock().run()
  if (block === 'blockquote') return chain.toggleBlockquote().run()
  if (block === 'paragraph') return chain.setParagraph().run()
  return chain.setHeading({ level: Number(block.slice(-1)) as 1 }).run()
}
