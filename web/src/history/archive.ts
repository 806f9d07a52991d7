//! The versions of one document as far as they are loaded: page by page downwards, and fresh from the top.

import { computed, signal } from '@preact/signals'
import { Problem } from '../api/problem'
import { listVersions, type Version } from '../api/versions'
import { Tempo } from './tempo'
import { authorsOf, mergeNewest, timelineOf } from './timeline'

const FIRST_PAGE = 50
const PAGE = 200

export type ArchiveState =
  | { readonly kind: 'loading' }
  | { readonly kind: 'ready' }
  | { readonly kind: 'failed'; readonly problem: Problem }

export class Archive {
  readonly versions = signal<readonly Version[]>([])
  readonly state = signal<ArchiveState>({ kind: 'loading' })
  /** Of the pages after the first. */
  readonly older = signal<'idle' | 'loading' | 'failed'>('idle')
  readonly hasOlder = computed(() => this.#cursor.value !== null)
  readonly head = computed(() => this.versions.value.reduce((head, { seq }) => Math.max(head, seq), 0))
  readonly timeline = computed(() => timelineOf(this.versions.value))
  readonly authors = computed(() => authorsOf(this.versions.value))
  readonly tempo = computed(
    () =>
      new Tempo(
        this.versions.value
          .filter(({ kind }) => kind === 'auto')
          .map(({ from_seq, seq, from_at, at }) => ({
            fromSeq: from_seq,
            toSeq: seq,
            fromAt: Date.parse(from_at),
            toAt: Date.parse(at),
          })),
        this.head.value,
      ),
  )
  readonly #cursor = signal<string | null>(null)
  readonly #leave = new AbortController()
  #refreshing: Promise<void> | null = null
  /** Something in the middle of what is loaded may be gone. */
  #isStale = false

  constructor(readonly doc: string) {}

  /** Loads the newest versions, at first and again; failures are in `state` unless there is something to show already. */
  refresh(): Promise<void> {
    this.#refreshing ??= this.#refresh().finally(() => {
      this.#refreshing = null
    })
    return this.#refreshing
  }

  /** Loads as far down as before, and keeps nothing of what was loaded. */
  async reload(): Promise<void> {
    const oldest = this.versions.value.at(-1)?.from_seq ?? 0
    await this.#refreshing
    this.#isStale = true
    await this.refresh()
    await this.loadDownTo(oldest)
  }

  async #refresh(): Promise<void> {
    const isFirst = this.state.value.kind !== 'ready'
    if (isFirst) this.state.value = { kind: 'loading' }
    try {
      const page = await listVersions(this.doc, { limit: FIRST_PAGE }, this.#leave.signal)
      const merged = this.#isStale ? null : mergeNewest(this.versions.value, page.versions)
      this.#isStale = false
      if (!merged || page.next === null) this.#cursor.value = page.next
      this.versions.value = merged && page.next !== null ? merged : page.versions
      this.state.value = { kind: 'ready' }
    } catch (error) {
      const problem = this.#problemOf(error)
      if (!problem) return
      // Nobody has written to it yet, so there is nothing to list.
      if (problem.status === 404) this.state.value = { kind: 'ready' }
      else if (isFirst) this.state.value = { kind: 'failed', problem }
    }
  }

  /** Loads the next page; does nothing while one is on its way or when there is none. */
  async loadOlder(): Promise<void> {
    const cursor = this.#cursor.value
    if (cursor === null || this.older.value === 'loading') return
    this.older.value = 'loading'
    try {
      const page = await listVersions(this.doc, { limit: PAGE, cursor }, this.#leave.signal)
      this.older.value = 'idle'
      // A refresh may have begun anew meanwhile; its page is then asked for next.
      if (this.#cursor.value !== cursor) return
      this.#cursor.value = page.next
      this.versions.value = [...this.versions.value, ...page.versions]
    } catch (error) {
      if (this.#problemOf(error)) this.older.value = 'failed'
    }
  }

  /** Loads pages until the session that holds edit `seq` is there, or one of them fails. */
  loadDownTo(seq: number): Promise<void> {
    return this.#loadUntil(() => (this.versions.value.at(-1)?.from_seq ?? 0) <= seq)
  }

  /** The same for a version by its id. */
  loadDownToVersion(id: string): Promise<void> {
    return this.#loadUntil(() => this.versions.value.some((version) => version.id === id))
  }

  async #loadUntil(isThere: () => boolean): Promise<void> {
    while (this.hasOlder.value && !isThere() && this.older.value === 'idle') await this.loadOlder()
  }

  destroy(): void {
    this.#leave.abort()
  }

  /** Null when the page was left, which is no problem. */
  #problemOf(error: unknown): Problem | null {
    if (this.#leave.signal.aborted) return null
    if (error instanceof Problem) return error
    throw error
  }
}
