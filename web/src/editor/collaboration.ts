//! Binds the editor to the shared document: content, undo and the guard that unbinds it when something arrives that
//! this page can not hold.

import { Extension } from '@tiptap/core'
import { Plugin } from '@tiptap/pm/state'
import { ySyncPlugin, ySyncPluginKey, yUndoPlugin } from 'y-prosemirror'
import type * as Y from 'yjs'
import { steadySelection } from './caret'
import { guard } from './gate'

export interface CollaborationOptions {
  readonly fragment: Y.XmlFragment
  readonly undoManager: Y.UndoManager
  /** The editor is unbound when this is called; the page must replace it by a read-only one. */
  readonly onUnreadable: (names: Set<string>) => void
}

/** The parts of the binding that are turned off to unbind it. */
interface Binding {
  destroy(): void
  _prosemirrorChanged(doc: unknown): void
}

export function collaboration({ fragment, undoManager, onUnreadable }: CollaborationOptions): Extension {
  return Extension.create({
    name: 'collaboration',
    // Before every other plugin: later ones look up its state.
    priority: 1000,

    addProseMirrorPlugins() {
      const { schema } = this.editor
      let binding: Binding | null = null
      const unguard = guard(fragment, schema, (names) => {
        binding?.destroy()
        // Whatever else happens in this task, the editor's state must not reach the shared document any more.
        if (binding) binding._prosemirrorChanged = () => {}
        queueMicrotask(() => onUnreadable(names))
      })
      return [
        ySyncPlugin(fragment),
        yUndoPlugin({ undoManager }),
        steadySelection(undoManager),
        new Plugin({
          view: (view) => {
            binding = ySyncPluginKey.getState(view.state)?.binding ?? null
            return { destroy: unguard }
          },
          props: {
            // A paste is a step of its own: it can be undone, or taken back when refused, without what was typed before.
            handlePaste: () => {
              undoManager.stopCapturing()
              // And without what is typed after it: the paste itself happens before this runs.
              queueMicrotask(() => undoManager.stopCapturing())
              return false
            },
          },
        }),
      ]
    },

    addKeyboardShortcuts() {
      const undo = () => undoManager.undo() !== null || true
      const redo = () => undoManager.redo() !== null || true
      return { 'Mod-z': undo, 'Mod-y': redo, 'Shift-Mod-z': redo }
    },
  })
}
