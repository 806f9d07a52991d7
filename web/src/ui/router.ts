//! Four routes: the list of documents, one document, its history, and the lab. Links are real links; this only spares the reload.

import { signal } from '@preact/signals'

export type Route =
  | { readonly page: 'home'; readonly trash: boolean }
  | { readonly page: 'document'; readonly name: string }
  /** `at`: a version's id or the number of an edit, the present without it. `since`: an edit to compare with. */
  | {
      readonly page: 'history'
      readonly name: string
      readonly at: string | null
      readonly since: number | null
    }
  /** Without a name the lab picks a scratch document; without a seed its typists write something else each time. */
  | { readonly page: 'lab'; readonly name: string | null; readonly seed: number | null }
  | { readonly page: 'unknown' }

const HISTORY = 'history'
const SINCE = 'since'

function parse(): Route {
  const { pathname, hash, search } = location
  if (pathname === '/') return { page: 'home', trash: hash === '#trash' }
  if (pathname === '/lab') return parseLab(new URLSearchParams(search))
  const raw = /^\/d\/(.+)$/.exec(pathname)?.[1]
  if (raw === undefined) return { page: 'unknown' }
  let name: string
  try {
    name = decodeURIComponent(raw)
  } catch {
    return { page: 'unknown' }
  }
  const query = new URLSearchParams(search)
  const at = query.get(HISTORY)
  if (at === null) return { page: 'document', name }
  const since = query.get(SINCE)
  return {
    page: 'history',
    name,
    at: at === '' ? null : at,
    since: since !== null && /^\d+$/.test(since) ? Number(since) : null,
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

export function historyPath(id: string, place: { at?: string | null; since?: number | null } = {}): string {
  const at = place.at ? `=${encodeURIComponent(place.at)}` : ''
  const since = place.since == null ? '' : `&${SINCE}=${place.since}`
  return `${documentPath(id)}?${HISTORY}${at}${since}`
}

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

/** Marks a step of the browser's history that began in the document, so that leaving goes back to it. */
const FROM_DOCUMENT = 'from-document'

/** Opens the history over the document, which stays as it is. */
export function openHistory(path: string): void {
  history.pushState(FROM_DOCUMENT, '', path)
  refresh()
}

/** Goes back to the document that the history was opened from, or to it for the first time. */
export function leaveHistory(name: string): void {
  if (history.state === FROM_DOCUMENT) history.back()
  else redirect(documentPath(name))
}

/** Lets the address follow what the page shows, without a step and without the page being told. */
export function rewriteAddress(path: string): void {
  history.replaceState(history.state, '', path)
}
