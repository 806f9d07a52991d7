//! Presses a typist's keys in a person's editor: the same transactions that a keyboard would cause, through the same
//! binding. The editor need not have the focus, as only one of four can.

import type { Editor } from '@tiptap/core'
import { Selection, TextSelection, type Transaction } from '@tiptap/pm/state'
import {
  absolutePositionToRelativePosition,
  relativePositionToAbsolutePosition,
  ySyncPluginKey,
} from 'y-prosemirror'
import type { Awareness } from 'y-protocols/awareness'
import * as Y from 'yjs'
import type { Key } from './typist'

/** The end of the word before the one at `position`: close to its writer, and not between their letters. */
function beforeLastWord(tr: Transaction, position: number): number {
  const $position = tr.doc.resolve(position)
  const before = $position.parent.textBetween(0, $position.parentOffset, undefined, '\ufffc')
  const word = /\s+\S*\s*$/.exec(before)
  return word ? $position.start() + word.index : $position.end()
}

/** From so many blocks on, `tidy` deletes one. */
const MANY_BLOCKS = 12

interface Binding {
  readonly doc: Y.Doc
  readonly type: Y.XmlFragment
  readonly mapping: Map<unknown, unknown>
}

export class Hands {
  readonly #editor: Editor
  readonly #awareness: Awareness
  readonly #random: () => number
  /** Where they were before they went to somebody else. */
  #place: Y.RelativePosition | null = null
  /** The next letter is the first of a paragraph. */
  #begins = false

  constructor(editor: Editor, awareness: Awareness, random: () => number) {
    this.#editor = editor
    this.#awareness = awareness
    this.#random = random
  }

  /** Does nothing in an editor that is not bound to the document (one that is read-only). */
  press(key: Key): void {
    if (this.#editor.isDestroyed || !this.#binding) return
    const tr = this.#transaction(key)
    if (tr) this.#editor.view.dispatch(tr)
    this.#showCaret()
  }

  #transaction(key: Key): Transaction | null {
    const { tr, selection } = this.#editor.state
    switch (key.kind) {
      case 'letter':
        return this.#letter(tr, key.letter)
      case 'backspace':
        return selection.$head.parentOffset > 0 ? tr.delete(selection.head - 1, selection.head) : null
      case 'bold-word':
        return this.#boldWord(tr)
      case 'paragraph':
        this.#begins = true
        return this.#paragraph(tr)
      case 'tidy':
        return this.#tidy(tr)
      case 'go':
        return this.#go(tr, key.to)
    }
  }

  /** Without marks: what follows a bold word is plain. */
  #letter(tr: Transaction, letter: string): Transaction {
    // Somebody else may have begun in the same empty paragraph meanwhile; then this one begins below.
    if (this.#begins) this.#paragraph(tr)
    this.#begins = false
    const { head } = tr.selection
    return tr.replaceWith(head, head, this.#editor.schema.text(letter))
  }

  #boldWord(tr: Transaction): Transaction | null {
    const { $head, head } = tr.selection
    const bold = this.#editor.schema.marks.bold
    const before = $head.parent.textBetween(0, $head.parentOffset, undefined, '\ufffc')
    const word = /\p{L}+$/u.exec(before)?.[0]
    if (!bold || !word || !$head.parent.type.allowsMarkType(bold)) return null
    return tr.addMark(head - word.length, head, bold.create())
  }

  /** After the top-level block with the caret; an empty paragraph is used as it is. */
  #paragraph(tr: Transaction): Transaction | null {
    const { $head } = tr.selection
    const paragraph = this.#editor.schema.nodes.paragraph
    if (!paragraph || ($head.depth === 1 && $head.parent.content.size === 0)) return null
    const after = $head.after(1)
    tr.insert(after, paragraph.create())
    return tr.setSelection(TextSelection.create(tr.doc, after + 1))
  }

  /** The oldest block that the own caret is not in. */
  #tidy(tr: Transaction): Transaction | null {
    const { doc, selection } = tr
    if (doc.childCount < MANY_BLOCKS || selection.$head.index(0) === 0) return null
    return tr.delete(0, doc.child(0).nodeSize)
  }

  #go(tr: Transaction, to: 'end' | 'somebody' | 'back'): Transaction {
    if (to === 'end') return tr.setSelection(Selection.atEnd(tr.doc))
    if (to === 'back') {
      const place = this.#place && this.#resolve(this.#place)
      return tr.setSelection(place ? Selection.near(tr.doc.resolve(place)) : Selection.atEnd(tr.doc))
    }
    this.#place = this.#relative(tr.selection.head)
    const somebody = this.#carets()
    const caret = somebody[Math.floor(this.#random() * somebody.length)]
    if (caret === undefined) return tr.setSelection(Selection.atEnd(tr.doc))
    return tr.setSelection(Selection.near(tr.doc.resolve(beforeLastWord(tr, caret))))
  }

  /** Where the others are, as far as this replica knows these places. */
  #carets(): number[] {
    return [...this.#awareness.getStates()].flatMap(([client, state]) => {
      const head = (state.cursor as { head?: unknown } | undefined)?.head
      if (client === this.#awareness.clientID || !head) return []
      const place = this.#resolve(Y.createRelativePositionFromJSON(head))
      return place === null ? [] : [place]
    })
  }

  /** The cursor plugin tells the others of a caret only while its editor has the focus. */
  #showCaret(): void {
    const { anchor, head } = this.#editor.state.selection
    const cursor = { anchor: this.#relative(anchor), head: this.#relative(head) }
    const shown = this.#awareness.getLocalState()?.cursor
    if (JSON.stringify(shown) !== JSON.stringify(cursor)) this.#awareness.setLocalStateField('cursor', cursor)
  }

  #relative(position: number): Y.RelativePosition | null {
    const binding = this.#binding
    return binding && absolutePositionToRelativePosition(position, binding.type, binding.mapping as never)
  }

  #resolve(place: Y.RelativePosition): number | null {
    const binding = this.#binding
    if (!binding) return null
    return relativePositionToAbsolutePosition(binding.doc, binding.type, place, binding.mapping as never)
  }

  get #binding(): Binding | null {
    return ySyncPluginKey.getState(this.#editor.state)?.binding ?? null
  }
}
