//! Cleans what comes from the clipboard before the schema reads it. The schema keeps only its own blocks and marks;
//! this removes what would become text (style sheets, comments of Word) and keeps what only styles say (bold, italic).

/** Elements whose content is never text of the document. */
const DROPPED = 'style, script, meta, link, title, template'

/**
 * Works on text, before any parser sees it: the page's policy blocks style attributes in parsed HTML and reports them,
 * so their meaning is turned into elements first and the attributes are removed.
 */
export function cleanPastedHtml(html: string): string {
  const body = /<!--StartFragment-->([\s\S]*?)<!--EndFragment-->/.exec(html)?.[1] ?? html
  const safe = body
    .replace(/<!--[\s\S]*?-->/g, '')
    .replace(/<(style|script|xml|o:p)\b[\s\S]*?<\/\1\s*>/gi, '')
    .replace(
      /(<[a-z][^\s>]*(?:\s[^>]*?)?)\sstyle\s*=\s*("[^"]*"|'[^']*'|[^\s>]+)/gi,
      (_, start: string, value: string) => `${start} data-pasted-style=${value}`,
    )
  const page = new DOMParser().parseFromString(safe, 'text/html')
  for (const element of page.querySelectorAll(DROPPED)) element.remove()
  for (const element of page.querySelectorAll<HTMLElement>('[data-pasted-style]')) {
    const style = element.dataset.pastedStyle ?? ''
    element.removeAttribute('data-pasted-style')
    applyMeaning(page, element, style.toLowerCase())
  }
  return page.body.innerHTML
}

const MEANINGS: readonly (readonly [RegExp, string])[] = [
  [/font-weight\s*:\s*(bold|[6-9]00)/, 'strong'],
  [/font-style\s*:\s*italic/, 'em'],
  [/text-decoration[^;]*:[^;]*underline/, 'u'],
  [/text-decoration[^;]*:[^;]*line-through/, 's'],
]

const HEADING = /^h[1-6]$/i

function applyMeaning(page: Document, element: HTMLElement, style: string): void {
  // Google Docs wraps everything in a bold element that says it is not bold.
  if (/^(b|strong)$/i.test(element.tagName) && /font-weight\s*:\s*(normal|400)/.test(style)) {
    element.replaceWith(...element.childNodes)
    return
  }
  // A link is underlined and a heading is bold by what it is.
  if (element.tagName !== 'SPAN' || element.closest('a')) return
  for (const [pattern, tag] of MEANINGS) {
    if (
      !pattern.test(style) ||
      (tag === 'strong' && element.parentElement && HEADING.test(element.parentElement.tagName))
    )
      continue
    const wrapper = page.createElement(tag)
    wrapper.append(...element.childNodes)
    element.append(wrapper)
  }
}
