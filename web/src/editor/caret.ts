//! Where the own selection stays while others write. The binding keeps it at the letter on its right, which at the end
//! of a text is no letter but "the end": letters that somebody else appends there would come to stand before the caret,
//! and two people who type at the same place would write into each other's words.
//!
//! Here a caret stays behind the letter on its left, also at the start of a block, where it stays at the start. So what
//! others insert at a caret stands behind it. The other way round would be no better at a start: a caret that moves
//! along ends up behind the last letter of somebody who is still typing, and cuts their word. A selection keeps to
//! its first and last letter, so that it never grows over what others write: typing replaces all that is selected.
//!
//! Not at undo and redo: what these bring back belongs before the caret.

import { Plugin, TextSelection } from '@tiptap/pm/state'
import { absolutePositionToRelativePosition, ySyncPluginKey } from 'y-prosemirror'
import * as Y from 'yjs'

/** What is used of the binding between the editor and the shared document. */
interface Binding {
  /** Null when the editor has been unbound: its text and the document may differ then. */
  readonly prosemirrorView: unknown
  readonly doc: Y.Doc
  readonly type: Y.XmlFragment
  readonly mapping: Parameters<typeof absolutePositionToRelativePosition>[2]
  /** Taken before a change arrives, restored after it; of an own edit the binding overwrites it itself. */
  beforeTransactionSelection: {
    readonly type: string
    readonly anchor: Y.RelativePosition | null
    readonly head: Y.RelativePosition | null
  } | null
}

/** Its place is after the binding's plugin: both listen to the document, and the later one has the last word. */
export function steadySelection(undoManager: Y.UndoManager): Plugin {
  return new Plugin({
    view: (view) => {
      const binding: Binding | null = ySyncPluginKey.getState(view.state)?.binding ?? null
      if (!binding) throw new Error('Put the plugin that binds the editor to the document before this one.')
      const { doc } = binding
      const remember = () => {
        const { selection } = view.state
        if (!binding.prosemirrorView || !(selection instanceof TextSelection)) return
        const takesBack = undoManager.undoing || undoManager.redoing
        const start = beforeRight(selection.from, binding)
        const end = (takesBack ? beforeRight : afterLeft)(selection.to, binding)
        binding.beforeTransactionSelection = {
          type: 'text',
          anchor: selection.anchor === selection.to ? end : start,
          head: selection.head === selection.to ? end : start,
        }
      }
      doc.on('beforeAllTransactions', remember)
      return { destroy: () => doc.off('beforeAllTransactions', remember) }
    },
  })
}

const beforeRight = (position: number, { type, mapping }: Binding): Y.RelativePosition | null =>
  absolutePositionToRelativePosition(position, type, mapping)

/** Behind the letter on the left of `position`, or at the start of its block when there is none. */
function afterLeft(position: number, binding: Binding): Y.RelativePosition | null {
  const right = beforeRight(position, binding)
  const place = right && Y.createAbsolutePositionFromRelativePosition(right, binding.doc)
  return place && Y.createRelativePositionFromTypeIndex(place.type, place.index, -1)
}
