//! Which blocks of what is shown can be brought back by themselves, and as of when. The server names them; of a difference
//! it is the older side that comes back.

import type { BlockId } from '../../api/versions'
import type { Shown } from '../../history/viewer'
import type { MarkedChange } from './changes'
import type { Change } from './fragment'
import { blocksIn } from './groups'

export interface RestorableBlock {
  readonly element: HTMLElement
  readonly id: BlockId
  /** The edit after which the block was as it will be. */
  readonly version: number
  /** What became of it; null where no changes are shown. */
  readonly change: Change | null
  /** What stands here now is another block, which will stay. */
  readonly isBeside: boolean
}

/** What elements in a line of text belong to. */
const BLOCKS = 'p, h1, h2, h3, h4, h5, h6, pre, li, blockquote, div'
const INLINE: ReadonlySet<string> = new Set(['ins', 'del', 'span'])

/**
 * In the order of the document. Without differences these are the blocks at the top, as they were then, but none of the
 * present; with them those that changed, as they were before. What was only added is as it is shown, if that is no more.
 */
export function blocksToRestore(
  place: HTMLElement,
  shown: Pick<Shown, 'seq' | 'base' | 'isAlone'>,
  head: number,
  changes: readonly MarkedChange[],
): readonly RestorableBlock[] {
  const { seq, base, isAlone } = shown
  if (base === null || isAlone) {
    if (seq >= head) return []
    const blocks = blocksIn(place).map((node) =>
      node instanceof HTMLElement ? block(node, seq, null) : null,
    )
    return blocks.filter((found) => found !== null)
  }
  const found = new Map<HTMLElement, RestorableBlock>()
  for (const { elements } of changes) {
    const [first] = elements
    const element = first && (INLINE.has(first.localName) ? first.closest<HTMLElement>(BLOCKS) : first)
    if (!element || found.has(element) || !place.contains(element)) continue
    const change = (element.dataset.change ?? 'changed') as Change
    if (change === 'added' && seq >= head) continue
    const one = block(element, change === 'added' ? seq : base, change)
    if (one) found.set(element, one)
  }
  return [...found.values()]
}

function block(element: HTMLElement, version: number, change: Change | null): RestorableBlock | null {
  const { id, beside } = element.dataset
  if (id === undefined) return null
  const [client, clock] = id.split('.').map(Number) as [number, number]
  return { element, id: [client, clock], version, change, isBeside: beside !== undefined }
}

/** The innermost of these blocks around a node of the page. */
export const blockAround = (
  blocks: readonly RestorableBlock[],
  node: Node | null | undefined,
): RestorableBlock | null => (node && blocks.findLast(({ element }) => element.contains(node))) ?? null

/** Names a block of a version, also after the page was drawn anew. */
export const nameOf = ({ id, version }: RestorableBlock): string => `${id.join('.')} ${version}`
