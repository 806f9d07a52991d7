//! Keys that the blocks and marks do not bring themselves, compatible with other editors where one of them has the key.

import { type Editor, Extension } from '@tiptap/core'
import { Fragment } from '@tiptap/pm/model'
import { TextSelection } from '@tiptap/pm/state'

export interface KeyActions {
  /** Opens the link field for the selection. */
  readonly editLink: () => void
  readonly focusToolbar: () => void
}

export function keymap(actions: KeyActions): Extension {
  return Extension.create({
    name: 'coscribeKeys',
    priority: 900,
    addKeyboardShortcuts() {
      const { editor } = this
      return {
        'Mod-Shift-x': () => editor.commands.toggleStrike(),
        // Strikethrough elsewhere; here it is the page's key for naming a version.
        'Mod-Shift-s': () => true,
        'Mod-\\': () => clearFormatting(editor),
        'Mod-k': () => {
          actions.editLink()
          return true
        },
        'Alt-F10': () => {
          actions.focusToolbar()
          return true
        },
        'Mod-Enter': () => toggleTask(editor),
        'Alt-ArrowUp': () => moveBlock(editor, -1),
        'Alt-ArrowDown': () => moveBlock(editor, 1),
        'Mod-d': () => duplicateBlock(editor),
        Tab: () => editor.isActive('codeBlock') && editor.commands.insertContent('  '),
      }
    },
  })
}

export const clearFormatting = (editor: Editor) => editor.chain().focus().unsetAllMarks().clearNodes().run()

function toggleTask(editor: Editor): boolean {
  if (!editor.isActive('taskItem')) return false
  const checked = editor.getAttributes('taskItem').checked === true
  return editor.commands.updateAttributes('taskItem', { checked: !checked })
}

/** Swaps the block under the caret with its neighbour in the same parent: paragraphs, and items within their list. */
export function moveBlock(editor: Editor, direction: -1 | 1): boolean {
  const { state, view } = editor
  const { $from } = state.selection
  const depth = movableDepth(editor)
  const parent = $from.node(depth - 1)
  const index = $from.index(depth - 1)
  const neighbour = index + direction
  if (neighbour < 0 || neighbour >= parent.childCount) return true
  const first = parent.child(Math.min(index, neighbour))
  const second = parent.child(Math.max(index, neighbour))
  const from = direction < 0 ? $from.before(depth) - first.nodeSize : $from.before(depth)
  const offset = $from.pos - $from.before(depth)
  const { tr } = state
  tr.replaceWith(from, from + first.nodeSize + second.nodeSize, Fragment.from([second, first]))
  const moved = direction < 0 ? from : from + second.nodeSize
  tr.setSelection(TextSelection.near(tr.doc.resolve(moved + offset)))
  view.dispatch(tr.scrollIntoView())
  return true
}

function duplicateBlock(editor: Editor): boolean {
  const { state, view } = editor
  const { $from } = state.selection
  const depth = movableDepth(editor)
  const { tr } = state
  tr.insert($from.after(depth), $from.node(depth))
  tr.setSelection(TextSelection.near(tr.doc.resolve($from.pos + $from.node(depth).nodeSize)))
  view.dispatch(tr.scrollIntoView())
  return true
}

/** Depth of the nearest list item, else of the top-level block. */
function movableDepth(editor: Editor): number {
  const { $from } = editor.state.selection
  for (let depth = $from.depth; depth > 1; depth--) {
    const name = $from.node(depth).type.name
    if (name === 'listItem' || name === 'taskItem') return depth
  }
  return Math.max(1, Math.min(1, $from.depth))
}
