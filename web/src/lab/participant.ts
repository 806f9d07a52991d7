//! One person of the lab: a document of their own, a presence, a connection over a bad line, and a typist.

import { signal } from '@preact/signals'
import type { Editor } from '@tiptap/core'
import * as Y from 'yjs'
import { WIRE_COLORS } from '../editor/palette'
import { type Clock, Provider, type SocketLike } from '../sync/provider'
import { Hands } from './hands'
import { Line } from './network'
import type { Person } from './people'
import { LastingPresence } from './presence'
import { seeded } from './random'
import { Typist } from './typist'

/** How often a typist looks whether the keyboard is free again. */
const YIELD_MS = 300

export interface ParticipantOptions {
  readonly person: Person
  /** What they have to say. */
  readonly sentences: readonly string[]
  readonly clock: Clock
  readonly open: () => SocketLike
  readonly seed: number
  /** A local edit was made. */
  readonly onEdit: (transaction: Y.Transaction) => void
  /** Anything changed in the document. */
  readonly onChange: () => void
  readonly onCut: () => void
}

export class Participant {
  readonly person: Person
  readonly doc = new Y.Doc()
  readonly awareness = new LastingPresence(this.doc)
  readonly line: Line
  readonly provider: Provider
  readonly offline = signal(false)
  readonly #clock: Clock
  readonly #typist: Typist
  readonly #random: () => number
  #hands: Hands | null = null
  #editor: Editor | null = null
  #cancelKey: (() => void) | null = null

  constructor({ person, sentences, clock, open, seed, onEdit, onChange, onCut }: ParticipantOptions) {
    this.person = person
    this.#clock = clock
    this.#random = seeded(seed)
    this.#typist = new Typist(person.habit, sentences, seeded(seed ^ 0x5bd1e995))
    this.line = new Line({ ...clock, random: seeded(~seed) }, onCut)
    this.awareness.setLocalStateField('user', { name: person.name, color: WIRE_COLORS[person.hue] })
    this.provider = new Provider({
      doc: this.doc,
      awareness: this.awareness,
      clock,
      open: () => this.line.connect(open),
    })
    this.doc.on('afterTransaction', (transaction: Y.Transaction) => {
      if (transaction.local) onEdit(transaction)
      onChange()
    })
  }

  /** The editor of this person's document; null while there is none. */
  set editor(editor: Editor | null) {
    if (this.#editor === editor) return
    this.#editor = editor
    this.#hands = editor && new Hands(editor, this.awareness, this.#random)
  }

  setOffline(offline: boolean): void {
    this.offline.value = offline
    this.line.set({ offline })
    if (!offline) this.provider.retryNow()
  }

  startTyping(): void {
    if (!this.#cancelKey) this.#typeNext()
  }

  stopTyping(): void {
    this.#cancelKey?.()
    this.#cancelKey = null
  }

  destroy(): void {
    this.stopTyping()
    this.provider.destroy()
    this.line.destroy()
    this.awareness.destroy()
    this.doc.destroy()
  }

  #typeNext(): void {
    const { key, wait } = this.#typist.next()
    const press = () => {
      if (this.#isTakenOver) {
        this.#cancelKey = this.#clock.after(YIELD_MS, press)
      } else {
        this.#hands?.press(key)
        this.#typeNext()
      }
    }
    this.#cancelKey = this.#clock.after(wait, press)
  }

  /** Somebody sits at this keyboard: two pairs of hands on it would be a mess. */
  get #isTakenOver(): boolean {
    return this.#editor !== null && !this.#editor.isDestroyed && this.#editor.view.hasFocus()
  }
}
