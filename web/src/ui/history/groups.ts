//! A document in groups of blocks, which the browser lays out and paints apart: a step that changes one of two thousand blocks
//! leaves all groups but one as they are, and only moves them.

/** Blocks of a group, about: up to twice as many are no reason to cut. */
const GROUP = 64

/** The blocks of a place, in their order. */
export const blocksIn = (place: Element): readonly ChildNode[] =>
  [...place.children].flatMap((group) => [...group.childNodes])

/** Puts a block in its place: after another one, or before all. */
export function putAfter(place: Element, previous: ChildNode | null, block: ChildNode): void {
  if (previous) previous.after(block)
  else (place.firstElementChild ?? place.appendChild(emptyGroup())).prepend(block)
}

function emptyGroup(): HTMLElement {
  const group = document.createElement('div')
  group.className = 'history-group'
  return group
}

/** Sees to it that no group is empty or long, after blocks were put and removed. */
export function regroup(place: Element): void {
  for (const group of [...place.children]) {
    const previous = group.previousElementSibling
    const [first] = group.childNodes
    if (first && (!previous || isCut(first))) continue
    previous?.append(...group.childNodes)
    group.remove()
  }
  for (const group of [...place.children]) if (group.childNodes.length > 2 * GROUP) cut(group)
}

/** Margins do not collapse between groups, so one begins only where there is none above. */
const isCut = (block: ChildNode): boolean => block.nodeName === 'P'

function cut(group: Element): void {
  let [last, blocks] = [group, 0]
  for (const block of [...group.childNodes]) {
    if (blocks >= GROUP && isCut(block)) {
      const next = emptyGroup()
      last.after(next)
      last = next
      blocks = 0
    }
    if (last !== group) last.append(block)
    blocks++
  }
}
