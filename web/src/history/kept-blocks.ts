//! Which blocks of a document are still there a moment later: the same at both ends, and between them, in order, those
//! whose text stands only once in each (a patience difference).

/** For the number of each block of `next` that stays, its number in `before`; both grow together. */
export function keptBlocks(before: readonly string[], next: readonly string[]): ReadonlyMap<number, number> {
  const kept = new Map<number, number>()
  const shorter = Math.min(before.length, next.length)
  let start = 0
  for (; start < shorter && before[start] === next[start]; start++) kept.set(start, start)
  let end = 0
  for (; end < shorter - start && before.at(-1 - end) === next.at(-1 - end); end++)
    kept.set(next.length - 1 - end, before.length - 1 - end)
  const old = onlyOnce(before, start, before.length - end)
  const pairs = [...onlyOnce(next, start, next.length - end)]
    .map(([block, to]) => [to, old.get(block)] as const)
    .filter((pair): pair is readonly [number, number] => pair[1] !== undefined)
  for (const [to, from] of longestRise(pairs)) kept.set(to, from)
  return kept
}

/** The blocks that stand once between two places, with where; in order. */
function onlyOnce(blocks: readonly string[], from: number, to: number): Map<string, number> {
  const places = new Map<string, number>()
  const twice = new Set<string>()
  for (let at = from; at < to; at++) {
    const block = blocks[at] as string
    if (places.has(block)) twice.add(block)
    places.set(block, at)
  }
  for (const block of twice) places.delete(block)
  return places
}

type Pair = readonly [to: number, from: number]

/** Of pairs in the order of their first number, the most whose second number grows, too. */
function longestRise(pairs: readonly Pair[]): readonly Pair[] {
  /** For each length, the pair with the smallest end, and for each pair the one before it. */
  const ends: number[] = []
  const previous: number[] = []
  for (const [index, [, from]] of pairs.entries()) {
    let low = 0
    let high = ends.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((pairs[ends[middle] as number] as Pair)[1] < from) low = middle + 1
      else high = middle
    }
    previous[index] = ends[low - 1] ?? -1
    ends[low] = index
  }
  const rise: Pair[] = []
  for (let at = ends.at(-1) ?? -1; at >= 0; at = previous[at] as number) rise.push(pairs[at] as Pair)
  return rise
}
