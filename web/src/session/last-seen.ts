//! Which edit of a document this browser has seen last, so that the next visit can tell what is new.

import type { Author, Version } from '../api/versions'

export interface Seen {
  /** The number of the edit. */
  readonly seq: number
  /** When it was seen, in milliseconds since 1970. */
  readonly at: number
}

const KEY = 'coscribe.seen'
/** Documents that are remembered; the ones that were not opened for longest are forgotten first. */
const MOST_DOCUMENTS = 300

type Book = Readonly<Record<string, Seen>>

function load(): Book {
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(KEY) ?? '{}')
    return typeof kept === 'object' && kept !== null ? (kept as Book) : {}
  } catch {
    // Unreadable or blocked storage: nothing was seen.
    return {}
  }
}

export function lastSeen(doc: string): Seen | null {
  const seen = load()[doc]
  return Number.isInteger(seen?.seq) && Number.isFinite(seen?.at) ? (seen as Seen) : null
}

export function remember(doc: string, seen: Seen): void {
  const newest = Object.entries({ ...load(), [doc]: seen })
    .sort(([, a], [, b]) => b.at - a.at)
    .slice(0, MOST_DOCUMENTS)
  try {
    localStorage.setItem(KEY, JSON.stringify(Object.fromEntries(newest)))
  } catch {
    // The next visit will not know what is new.
  }
}

export interface News {
  readonly since: Seen
  /** Who wrote since, apart from the reader, the newest first. */
  readonly authors: readonly Author[]
}

/**
 * What others wrote since `since`, in `versions` (newest first). The server does not tell which author the reader is, so
 * it is the one with the reader's name and colour.
 */
export function newsSince(
  versions: readonly Version[],
  since: Seen | null,
  reader: { readonly name: string; readonly color: string | undefined },
): News | null {
  if (!since) return null
  const authors = new Map<string, Author>()
  for (const version of versions) {
    if (version.kind !== 'auto' || version.seq <= since.seq) continue
    for (const author of version.authors) {
      if (author.name !== reader.name || author.color !== reader.color) authors.set(author.id, author)
    }
  }
  return authors.size > 0 ? { since, authors: [...authors.values()] } : null
}
