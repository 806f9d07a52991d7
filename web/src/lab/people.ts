//! The four people of the lab and how they write.

import type { Habit } from './typist'

export interface Person {
  readonly name: string
  /** Index into the twelve colours of people. */
  readonly hue: number
  readonly habit: Habit
}

export const PEOPLE: readonly Person[] = [
  { name: 'Ada', hue: 8, habit: { paceMs: 130, slips: 0.02, bold: 0.6, paragraphs: 0.25, remarks: 0.05 } },
  { name: 'Bo', hue: 0, habit: { paceMs: 260, slips: 0.12, bold: 0.1, paragraphs: 0.35, remarks: 0.1 } },
  { name: 'Cleo', hue: 4, habit: { paceMs: 170, slips: 0.04, bold: 0.2, paragraphs: 0.2, remarks: 0.5 } },
  { name: 'Davi', hue: 10, habit: { paceMs: 200, slips: 0.05, bold: 0.3, paragraphs: 0.8, remarks: 0.15 } },
]
