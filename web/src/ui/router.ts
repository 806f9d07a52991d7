//! Three routes: the list of documents, one document, and the lab. Links are real links; this only spares the reload.

import { signal } from '@preact/signals'

export type Route =
  | { readonly page: 'home'; readonly trash: boolean }
  | { readonly page: 'document'; readonly name: string }
  /** Without a name the lab picks a scratch document; without a seed its typists write something else each time. */
  | { readonly page: 'lab'; readonly name: string | null; readonly seed: number | null }
  | { readonly page: 'unknown' }

function parse(): Route {
  const { pathname, hash, search } = location
  if (pathname === '/') return { page: 'home', trash: hash === '#trash' }
  if (pathname === '/lab') return parseLab(new URLSearchParams(search))
  const raw = /^\/d\/(.+)$/.exec(pathname)?.[1]
  if (raw === undefined) return { page: 'unknown' }
  try {
    return { page: 'document', name: decodeURIComponent(raw) }
  } catch {
    return { page: 'unknown' }
  }
}

function parseLab(query: URLSearchParams): Route {
  const seed = Number.parseInt(query.get('seed') ?? '', 10)
  return { page: 'lab', name: query.get('doc') || null, seed: Number.isNaN(seed) ? null : seed }
}

export const route = signal<Route>(parse())

const refresh = () => {
  route.value = parse()
}
addEventListener('popstate', refresh)
addEventListener('hashchange', refresh)

export const documentPath = (id: string) => `/d/${encodeURIComponent(id)}`

export const labPath = (name: string) => `/lab?doc=${encodeURIComponent(name)}`

export function navigate(path: string): void {
  history.pushState(null, '', path)
  refresh()
  scrollTo(0, 0)
}

/** Changes the address without a step in the history: going back must not lead here again. */
export function redirect(path: string): void {
  history.replaceState(null, '', path)
  refresh()
}

/** For `onClick` of a link: follows it inside the page unless the person asked for a new tab or window. */
export function followLink(event: MouseEvent): void {
  const link = event.currentTarget as HTMLAnchorElement
  if (
    event.defaultPrevented ||
    event.button !== 0 ||
    event.metaKey ||
    event.ctrlKey ||
    event.shiftKey ||
    event.altKey
  )
    return
  event.preventDefault()
  navigate(link.getAttribute('href') ?? '/')
}
