//! Two routes: the list of documents and one document. Links are real links; this only spares the reload.

import { signal } from '@preact/signals'

export type Route =
  | { readonly page: 'home'; readonly trash: boolean }
  | { readonly page: 'document'; readonly name: string }
  | { readonly page: 'unknown' }

function parse(): Route {
  const { pathname, hash } = location
  if (pathname === '/') return { page: 'home', trash: hash === '#trash' }
  const raw = /^\/d\/(.+)$/.exec(pathname)?.[1]
  if (raw === undefined) return { page: 'unknown' }
  try {
    return { page: 'document', name: decodeURIComponent(raw) }
  } catch {
    return { page: 'unknown' }
  }
}

export const route = signal<Route>(parse())

const refresh = () => {
  route.value = parse()
}
addEventListener('popstate', refresh)
addEventListener('hashchange', refresh)

export const documentPath = (id: string) => `/d/${encodeURIComponent(id)}`

export function navigate(path: string): void {
  history.pushState(null, '', path)
  refresh()
  scrollTo(0, 0)
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
