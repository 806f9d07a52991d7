//! The list of documents as the home page holds it: pages loaded so far, refreshed while somebody looks.

import { signal } from '@preact/signals'
import { type DocumentRecord, listDocuments } from '../../api/documents'
import { Problem } from '../../api/problem'

const PAGE = 50
/** A refresh reads at most so many rows again; what lies further down changes rarely. */
const REFRESH_MAX = 100
const REFRESH_MS = 4_000

export type ListState = 'loading' | 'loaded' | { readonly failed: string }

export class DocumentList {
  readonly documents = signal<readonly DocumentRecord[]>([])
  readonly state = signal<ListState>('loading')
  readonly next = signal<string | null>(null)
  readonly #trash: boolean
  #query = ''
  #request: AbortController | null = null
  #timer: ReturnType<typeof setInterval> | null = null

  constructor(trash: boolean) {
    this.#trash = trash
  }

  /** Begins to load and to refresh; returns how to stop. */
  watch(): () => void {
    void this.reload()
    const refresh = () => {
      if (document.visibilityState === 'visible' && this.state.value === 'loaded') void this.#refresh()
    }
    this.#timer = setInterval(refresh, REFRESH_MS)
    document.addEventListener('visibilitychange', refresh)
    return () => {
      if (this.#timer) clearInterval(this.#timer)
      document.removeEventListener('visibilitychange', refresh)
      this.#request?.abort()
    }
  }

  search(query: string): void {
    if (query === this.#query) return
    this.#query = query
    void this.reload()
  }

  async reload(): Promise<void> {
    this.state.value = 'loading'
    await this.#load(PAGE, (documents, next) => {
      this.documents.value = documents
      this.next.value = next
    })
  }

  async more(): Promise<void> {
    const cursor = this.next.value
    if (cursor === null) return
    await this.#load(
      PAGE,
      (documents, next) => {
        this.documents.value = unique([...this.documents.value, ...documents])
        this.next.value = next
      },
      cursor,
    )
  }

  /** Changes one row at once; the next refresh brings the server's view of it. */
  update(id: string, change: Partial<DocumentRecord> | null): void {
    this.documents.value = this.documents.value.flatMap((document) => {
      if (document.id !== id) return [document]
      return change ? [{ ...document, ...change }] : []
    })
  }

  async #refresh(): Promise<void> {
    const size = Math.min(Math.max(this.documents.value.length, PAGE), REFRESH_MAX)
    await this.#load(
      size,
      (documents, next) => {
        const tail = this.documents.value.slice(size)
        this.documents.value = unique([...documents, ...tail])
        if (tail.length === 0) this.next.value = next
      },
      undefined,
      true,
    )
  }

  async #load(
    limit: number,
    take: (documents: readonly DocumentRecord[], next: string | null) => void,
    cursor?: string,
    quiet = false,
  ): Promise<void> {
    this.#request?.abort()
    const request = new AbortController()
    this.#request = request
    try {
      const page = await listDocuments(
        {
          state: this.#trash ? 'trashed' : 'live',
          limit,
          ...(this.#query ? { q: this.#query } : {}),
          ...(cursor ? { cursor } : {}),
        },
        request.signal,
      )
      if (request.signal.aborted) return
      take(page.documents, page.next)
      this.state.value = 'loaded'
    } catch (error) {
      // A refresh that fails leaves the list as it is; the next one may succeed.
      if (request.signal.aborted || quiet) return
      this.state.value = { failed: error instanceof Problem ? error.detail || error.message : String(error) }
    }
  }
}

function unique(documents: readonly DocumentRecord[]): readonly DocumentRecord[] {
  const seen = new Set<string>()
  return documents.filter(({ id }) => !seen.has(id) && seen.add(id))
}
