//! HTML as the server tells it: in blocks.

const TAG = /<(\/?)([a-z][a-z0-9-]*)[^>]*>\n?/gi
/** They have no end tag. */
const VOID: ReadonlySet<string> = new Set(['br', 'hr', 'img', 'input', 'meta', 'link', 'wbr'])

/** The elements at the top of a fragment, found by counting tags, and what stands between them. */
export function blocksOf(html: string): readonly string[] {
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
  if (start < html.length) blocks.push(html.slice(start))
  return blocks
}
