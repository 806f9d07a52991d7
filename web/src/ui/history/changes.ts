//! The changes that are marked in the shown document, in their order: what "next change" goes through.

import { hueOf } from '../../editor/palette'
import type { Change } from './fragment'
import { blocksIn } from './groups'

export interface MarkedChange {
  readonly change: Change
  /** The author's id, or empty. */
  readonly author: string
  /** Its elements: a replacement is a deletion and an insertion that touch. */
  readonly elements: readonly HTMLElement[]
}

/** A change that may still grow. */
interface Found {
  change: Change
  author: string
  elements: HTMLElement[]
}

export const MARKED = 'ins, del, [data-change]'
const INLINE: ReadonlySet<string> = new Set(['ins', 'del', 'span'])

function kindOf(element: HTMLElement): Change {
  const { change } = element.dataset
  if (change !== undefined) return change as Change
  return element.localName === 'ins' ? 'added' : 'removed'
}

/** Of blocks that were looked at: what they hold stays as it is as long as they are shown. */
const known = new WeakMap<HTMLElement, readonly Found[]>()

/** The changes of all blocks of a place, in their order. */
export function changesIn(place: HTMLElement): readonly MarkedChange[] {
  const found: Found[] = []
  for (const block of blocksIn(place)) {
    if (!(block instanceof HTMLElement)) continue
    // Only runs of text that stand between blocks go on in the next one.
    if (INLINE.has(block.localName)) collect(block, found)
    else for (const change of changesOf(block)) found.push(change)
  }
  return found
}

function changesOf(block: HTMLElement): readonly Found[] {
  const before = known.get(block)
  if (before) return before
  const changes = collect(block, [])
  known.set(block, changes)
  return changes
}

function collect(block: HTMLElement, found: Found[]): readonly Found[] {
  for (const element of matching(block, MARKED)) {
    const last = found.at(-1)
    const previous = last?.elements.at(-1)
    // A block that is new holds only new text, so it is one change; one that was moved may have been edited as well.
    if (last?.elements.some((outer) => isWhole(kindOf(outer)) && outer.contains(element))) continue
    const change = kindOf(element)
    const author = element.dataset.author ?? ''
    if (last && previous && last.author === author && touch(previous, element)) {
      last.elements.push(element)
      if (last.change !== change) last.change = 'changed'
    } else found.push({ change, author, elements: [element] })
  }
  return found
}

const isWhole = (change: Change) => change === 'added' || change === 'removed'

/** Runs of text; blocks that follow each other are changes of their own. */
const touch = (first: HTMLElement, second: HTMLElement) =>
  first.nextSibling === second && INLINE.has(first.localName) && INLINE.has(second.localName)

/** Of a text, as much as is read aloud. */
const SAID = 120

export const excerpt = (text: string): string => (text.length > SAID ? `${text.slice(0, SAID)}…` : text)

/** What matches in a place, the place itself among it. */
export function matching(place: HTMLElement, selector: string): readonly HTMLElement[] {
  const inside = place.querySelectorAll<HTMLElement>(selector)
  return place.matches(selector) ? [place, ...inside] : [...inside]
}

/** Gives what somebody changed, the place itself or in it, that person's colour; `claimed` is the colour they have with the server. */
export function colourAuthors(place: HTMLElement, claimed: (author: string) => string): void {
  for (const element of matching(place, '[data-author]')) {
    const author = element.dataset.author ?? ''
    const name = `hue-${hueOf(claimed(author), author)}`
    if (element.classList.contains(name)) continue
    element.classList.remove(...[...element.classList].filter((other) => other.startsWith('hue-')))
    element.classList.add(name)
  }
}
