//! What the server wrote as HTML, as the page keeps it: cut into its top-level elements, so that a step costs what changed.

/** An answer, told by the one before it: what stays at its two ends, in code units, and what stands between. */
export interface Splice {
  readonly start: number
  readonly middle: string
  readonly end: number
}

const TAG = /<(\/?)([a-z][a-z0-9-]*)[^>]*>/gi
/** They have no end tag. */
const VOID: ReadonlySet<string> = new Set(['br', 'hr', 'img', 'input', 'meta', 'link', 'wbr'])

/**
 * Cuts a fragment into its top-level elements by counting tags. That is enough for the server's HTML, in which `<` and
 * `>` are escaped wherever they are text; in any other the cuts are elsewhere, and each piece is still parsed by itself.
 */
export const blocksOf = (html: string): readonly string[] => pieces(html).blocks

/** The blocks of the answer that follows on the one with the blocks `held`: the same as `blocksOf` makes of the whole of it. */
export function splicedBlocks(held: readonly string[], { start, middle, end }: Splice): readonly string[] {
  let [first, before] = [0, 0]
  // The last block may be an open one, to which what follows belongs.
  for (; first < held.length - 1; first++) {
    const { length } = held[first] as string
    if (before + length > start) break
    before += length
  }
  let [last, after] = [held.length, 0]
  for (; last > first; last--) {
    const { length } = held[last - 1] as string
    if (after + length > end) break
    after += length
  }
  const cut = held.slice(first, last).join('')
  const html = cut.slice(0, start - before) + middle + cut.slice(cut.length - (end - after))
  const between = pieces(html)
  const tail = held.slice(last)
  // Where an element is open there, it goes on in what looked like the end.
  if (between.isOpen) return [...held.slice(0, first), ...blocksOf(html + tail.join(''))]
  return [...held.slice(0, first), ...between.blocks, ...tail]
}

function pieces(html: string): { readonly blocks: readonly string[]; readonly isOpen: boolean } {
  const blocks: string[] = []
  let depth = 0
  let start = 0
  for (const { 0: tag, 1: isEnd, 2: name, index } of html.matchAll(TAG)) {
    if (isEnd) depth--
    else if (!VOID.has(name as string)) depth++
    if (depth > 0) continue
    depth = 0
    blocks.push(html.slice(start, index + tag.length))
    start = index + tag.length
  }
  const isOpen = start < html.length
  if (isOpen) blocks.push(html.slice(start))
  return { blocks, isOpen }
}
