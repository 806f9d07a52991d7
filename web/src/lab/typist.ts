//! Decides what a person types next, and when: sentences letter by letter, slips that are taken back, a word made bold,
//! a new paragraph, a remark in the middle of what somebody else is writing. Pure: the same random numbers give the
//! same keys. `hands.ts` presses them.

import { ASIDES } from './sentences'

export type Key =
  | { readonly kind: 'letter'; readonly letter: string }
  | { readonly kind: 'backspace' }
  /** Makes the word before the caret bold. */
  | { readonly kind: 'bold-word' }
  /** A new paragraph after the one with the caret. */
  | { readonly kind: 'paragraph' }
  /** To the end of the document, to where somebody else is, or back to where one was before that. */
  | { readonly kind: 'go'; readonly to: 'end' | 'somebody' | 'back' }
  /** Deletes the oldest paragraph when there are many, so that the lab can run for long. */
  | { readonly kind: 'tidy' }

export interface Keystroke {
  readonly key: Key
  /** How long to wait before it, in milliseconds. */
  readonly wait: number
}

/** Shares are between 0 and 1. */
export interface Habit {
  /** Mean time between two letters, in milliseconds. A trained typist needs about 130, a slow one 300. */
  readonly paceMs: number
  /** Share of letters that come out wrong at first. */
  readonly slips: number
  /** Share of sentences with a bold word. */
  readonly bold: number
  /** Share of sentences that begin a new paragraph. */
  readonly paragraphs: number
  /** Share of turns in which they add a remark where somebody else is writing. */
  readonly remarks: number
}

/** A person thinks this long between two sentences, in letters of their own pace. */
const THINKING = 9
const LETTERS = 'abcdefghijklmnopqrstuvwxyz'

export class Typist {
  readonly #habit: Habit
  readonly #random: () => number
  readonly #sentences: readonly string[]
  #unwritten: readonly string[] = []
  #waiting: Keystroke[] = []
  #begun = false

  /** `random` gives numbers in [0, 1). All of `sentences` are written before one comes again. */
  constructor(habit: Habit, sentences: readonly string[], random: () => number) {
    this.#habit = habit
    this.#sentences = sentences
    this.#random = random
  }

  next(): Keystroke {
    for (;;) {
      const keystroke = this.#waiting.shift()
      if (keystroke) return keystroke
      this.#plan()
    }
  }

  #plan(): void {
    const { remarks, paragraphs } = this.#habit
    if (!this.#begun) {
      this.#begun = true
      this.#press({ kind: 'go', to: 'end' }, this.#random() * 4)
      this.#press({ kind: 'paragraph' })
      this.#write(this.#sentence())
    } else if (this.#chance(remarks)) {
      this.#press({ kind: 'go', to: 'somebody' }, THINKING)
      this.#write(this.#pick(ASIDES))
      this.#press({ kind: 'go', to: 'back' }, THINKING / 3)
    } else {
      const apart: Key = this.#chance(paragraphs) ? { kind: 'paragraph' } : { kind: 'letter', letter: ' ' }
      this.#press(apart, THINKING)
      this.#write(this.#sentence())
    }
    this.#press({ kind: 'tidy' })
  }

  #sentence(): string {
    if (this.#unwritten.length === 0) this.#unwritten = this.#sentences
    const sentence = this.#pick(this.#unwritten)
    this.#unwritten = this.#unwritten.filter((other) => other !== sentence)
    return sentence
  }

  #write(sentence: string): void {
    const words = sentence.split(/(?<=\s)/)
    // Not the first word, as a sentence seldom begins with what matters; none when it is out of reach.
    const bold = this.#chance(this.#habit.bold) ? 1 + Math.floor(this.#random() * words.length) : words.length
    for (const [at, word] of words.entries()) {
      for (const letter of word.trimEnd()) this.#letter(letter)
      if (at === bold) this.#press({ kind: 'bold-word' }, 3)
      if (word !== word.trimEnd()) this.#letter(' ')
    }
  }

  #letter(letter: string): void {
    if (/[a-z]/i.test(letter) && this.#chance(this.#habit.slips)) {
      const others = LETTERS.replace(letter.toLowerCase(), '')
      this.#press({ kind: 'letter', letter: this.#pick([...others]) })
      this.#press({ kind: 'backspace' }, 2)
    }
    this.#press({ kind: 'letter', letter })
  }

  /** `effort`: how many letters' worth of time it takes. Nobody types in an even rhythm: it varies by half. */
  #press(key: Key, effort = 1): void {
    this.#waiting.push({ key, wait: this.#habit.paceMs * effort * (0.5 + this.#random()) })
  }

  #chance(share: number): boolean {
    return this.#random() < share
  }

  #pick<T>(from: readonly T[]): T {
    return from[Math.floor(this.#random() * from.length)] as T
  }
}
