//! Which addresses a link may have. An allow-list: what is not named here never becomes an `href`.

const SCHEMES = new Set(['http:', 'https:', 'mailto:', 'tel:'])

/** Has a scheme, also one hidden behind white space or control characters as browsers would read it. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: browsers strip these before they look for the scheme
const IGNORED = /[\u0000-\u0020\u00a0\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f\u2060\u3000\ufeff]/g
const SCHEME = /^[a-z][a-z0-9+.-]*:/i

export function isAllowedHref(href: string): boolean {
  const scheme = SCHEME.exec(href.replace(IGNORED, ''))?.[0].toLowerCase()
  return scheme === undefined ? /^[/#?]/.test(href) && !href.startsWith('//') : SCHEMES.has(scheme)
}

/** What a person typed into the link field, as an address; null when it can not be one. */
export function normalizeHref(typed: string): string | null {
  const text = typed.trim()
  if (text === '') return null
  if (/^[^\s@/:]+@[^\s@/:]+\.[^\s@/:]+$/.test(text)) return `mailto:${text}`
  const isHost = /^(localhost|[^\s/:?#]+\.[^\s/:?#]+)(:\d+)?([/?#]|$)/i.test(text)
  const candidate = isHost ? `https://${text}` : text
  return isAllowedHref(candidate) ? candidate : null
}
