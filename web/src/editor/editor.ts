//! Builds the editor for a document: bound and editable, or, when the document holds what this page can not, unbound
//! and read-only. No sockets here: it sees a Y.Doc and an awareness.

import { Editor, getSchema } from '@tiptap/core'
import type { Awareness } from 'y-protocols/awareness'
import type * as Y from 'yjs'
import { t } from '../i18n/strings'
import { collaboration } from './collaboration'
import { remoteCursors } from './cursors'
import { schemaExtensions } from './extensions'
import { repair, toReadOnlyContent, unreadable } from './gate'
import { type KeyActions, keymap } from './keymap'
import { cleanPastedHtml } from './paste'
import { createUndoManager } from './undo'

/** Root of the body in the Y.Doc; a contract with the server. */
export const BODY = 'default'

export interface EditorOptions {
  readonly element: HTMLElement
  readonly doc: Y.Doc
  readonly awareness: Awareness
  readonly actions: KeyActions
  /** What a screen reader calls the text. */
  readonly label?: string | undefined
  readonly onChange: () => void
  /** Something arrived that this page can not hold; call `openEditor` again. */
  readonly onUnreadable: () => void
}

export interface OpenEditor {
  readonly editor: Editor
  /** Null when read-only. */
  readonly undoManager: Y.UndoManager | null
  /** What the page could not show; empty for an editable document. */
  readonly unreadable: ReadonlySet<string>
  destroy(): void
}

const editorAttributes = (readOnly: boolean, label = t('editor.body')) => ({
  class: 'prose',
  role: 'textbox',
  'aria-multiline': 'true',
  'aria-label': label,
  ...(readOnly ? { 'aria-readonly': 'true' } : {}),
  spellcheck: 'true',
})

export function openEditor(options: EditorOptions): OpenEditor {
  const fragment = options.doc.getXmlFragment(BODY)
  const found = unreadable(fragment, getSchema(schemaExtensions()))
  return found.size > 0 ? openReadOnly(options, fragment, found) : openBound(options, fragment)
}

function openBound(options: EditorOptions, fragment: Y.XmlFragment): OpenEditor {
  repair(fragment)
  const undoManager = createUndoManager(fragment)
  const editor = new Editor({
    element: options.element,
    injectCSS: false,
    extensions: [
      ...schemaExtensions(),
      keymap(options.actions),
      collaboration({ fragment, undoManager, onUnreadable: options.onUnreadable }),
      remoteCursors(options.awareness),
    ],
    editorProps: { attributes: editorAttributes(false, options.label), transformPastedHTML: cleanPastedHtml },
    onTransaction: options.onChange,
  })
  return { editor, undoManager, unreadable: new Set(), destroy: () => editor.destroy() }
}

function openReadOnly(options: EditorOptions, fragment: Y.XmlFragment, found: Set<string>): OpenEditor {
  const editor = new Editor({
    element: options.element,
    injectCSS: false,
    editable: false,
    extensions: schemaExtensions(),
    editorProps: { attributes: editorAttributes(true, options.label) },
  })
  const show = () => {
    const content = toReadOnlyContent(fragment, editor.schema, (name) =>
      t('editor.unreadableBlock', { name }),
    )
    editor.commands.setContent(content)
  }
  show()
  fragment.observeDeep(show)
  return {
    editor,
    undoManager: null,
    unreadable: found,
    destroy: () => {
      fragment.unobserveDeep(show)
      editor.destroy()
    },
  }
}
