//! What of the past is looked at: a moment, what it is compared with, and what the server made of it.

import { batch, computed, effect, signal } from '@preact/signals'
import { Problem } from '../api/problem'
import { differenceHtml, isPurged, momentHtml, type Page } from '../api/versions'
import { type AfterPaint, Ahead, afterPaint } from './ahead'
import type { Archive } from './archive'
import { Latest } from './latest'
import { type Entry, neighbourSession, sessionAt } from './timeline'

export interface Wanted {
  readonly seq: number
  /** Null: without differences. */
  readonly base: number | null
}

export interface Shown extends Wanted, Page {
  /** Whether the moment stands without differences, as what it was to be compared with has been removed for good. */
  readonly isAlone: boolean
}

type Answer = Page & Pick<Shown, 'isAlone'>

interface Step {
  readonly direction: -1 | 1
  readonly by: 'edit' | 'session'
}

/** An address of the history names a version, or a moment and what it is compared with. */
export interface Place {
  readonly at: string | null
  readonly since: number | null
}

export class Viewer {
  readonly seq = signal(0)
  /** The entry of the timeline that was chosen; null when the scrubber was moved since. */
  readonly chosen = signal<string | null>(null)
  /** The reader was last here after this edit. */
  readonly since = signal<number | null>(null)
  readonly showsChanges = signal(true)
  readonly shown = signal<Shown | null>(null)
  /** The address was followed; before that nothing is asked for. */
  readonly isStarted = signal(false)
  readonly problem = signal<Problem | null>(null)
  /** What is asked for is not there yet. */
  readonly isBusy = computed(() => {
    const shown = this.shown.value
    return this.problem.value === null && (shown?.seq !== this.seq.value || shown.base !== this.#base.value)
  })

  readonly #archive: Archive
  readonly #latest: Latest<Wanted, Answer>
  readonly #ahead: Ahead<Wanted, Answer>
  /** How the reader came to this moment, and will probably go on; null after a leap. */
  #lastStep: Step | null = null
  readonly #stops: readonly (() => void)[]
  #stopAhead: (() => void) | null = null
  readonly #attempt = signal(0)
  readonly #base = computed(() => (this.showsChanges.value ? this.comparedWith.value : null))

  constructor(archive: Archive, whenPainted: AfterPaint = afterPaint) {
    this.#archive = archive
    // Not followed: what is shown is no reason to ask again.
    const ask = (wanted: Wanted, signal: AbortSignal) =>
      pageOf(archive.doc, wanted, this.shown.peek(), signal)
    this.#ahead = new Ahead(ask, (one, other) => one.seq === other.seq && one.base === other.base)
    this.#latest = new Latest(
      async (wanted, signal) => (await this.#ahead.take(wanted, signal)) ?? ask(wanted, signal),
      (wanted, answer) => {
        batch(() => {
          this.problem.value = null
          this.shown.value = { ...wanted, ...answer }
        })
        // What is shown does not share the processor with what may be shown next.
        this.#stopAhead?.()
        this.#stopAhead = whenPainted(() => this.#lookAhead())
      },
      (_, error) => {
        if (!(error instanceof Problem)) throw error
        this.problem.value = error
      },
    )
    this.#stops = [
      // Somebody goes on writing in the session that is looked at.
      effect(() => {
        const entry = this.entry.value
        if (entry) this.seq.value = entry.version.seq
      }),
      effect(() => {
        void this.#attempt.value
        if (this.isStarted.value) this.#latest.want({ seq: this.seq.value, base: this.#base.value })
      }),
    ]
  }

  /** The edit after which the moment is compared with this one, changes shown or not. */
  readonly comparedWith = computed(() => {
    const seq = this.seq.value
    const since = this.since.value
    if (since !== null) return Math.min(since, seq)
    const entry = this.entry.value
    if (entry) return Math.min(entry.base, seq)
    return this.#startOfSession(seq)
  })

  /** The last edit before the session of a moment. */
  #startOfSession(seq: number): number {
    const session = sessionAt(this.#archive.versions.value, seq)
    return Math.max(0, session ? session.from_seq - 1 : seq - 1)
  }

  /** The chosen entry, as it is now. */
  readonly entry = computed((): Entry | null => {
    const key = this.chosen.value
    if (key === null) return null
    return this.#archive.timeline.value.all.find((entry) => entry.key === key) ?? null
  })

  /** Opens the moment of an address; the newest one without it. */
  start({ at, since }: Place): void {
    const { timeline, head } = this.#archive
    const entries = timeline.value.all
    const named = entries.find(({ version }) => version.id === at)
    const seq = Number(at ?? Number.NaN)
    batch(() => {
      this.since.value = since !== null && since < head.value ? since : null
      if (named) this.choose(named, this.since.value)
      else if (Number.isInteger(seq) && seq >= 0) this.moveTo(Math.min(seq, head.value), this.since.value)
      else {
        const newest = entries.find(({ kind, version }) => kind !== 'named' && version.seq === head.value)
        if (newest) this.choose(newest, this.since.value)
        else this.moveTo(head.value, this.since.value)
      }
      this.isStarted.value = true
    })
  }

  choose(entry: Entry, since: number | null = null): void {
    this.#lastStep = null
    batch(() => {
      this.since.value = since
      this.chosen.value = entry.key
      this.seq.value = entry.version.seq
    })
  }

  moveTo(seq: number, since: number | null = null): void {
    this.#lastStep = null
    const to = this.#within(seq)
    batch(() => {
      this.since.value = since
      this.chosen.value = null
      this.seq.value = to
    })
  }

  step(direction: -1 | 1, by: 'edit' | 'session'): void {
    const step = { direction, by }
    this.moveTo(this.#after(step))
    this.#lastStep = step
  }

  /** The moment to which a step leads. */
  #after({ direction, by }: Step): number {
    const { versions, head } = this.#archive
    const at = this.seq.value
    return by === 'edit' ? at + direction : neighbourSession(versions.value, at, direction, head.value)
  }

  #within(seq: number): number {
    return Math.max(0, Math.min(this.#archive.head.value, Math.round(seq)))
  }

  /** Who steps through the history does not wait for the server: the next step in the same direction is asked for already. */
  #lookAhead(): void {
    if (!this.#lastStep || this.isBusy.value) return
    const seq = this.#within(this.#after(this.#lastStep))
    if (seq === this.seq.value) return
    this.#ahead.ask({ seq, base: this.showsChanges.value ? this.#startOfSession(seq) : null })
  }

  retry(): void {
    this.problem.value = null
    this.#attempt.value++
  }

  destroy(): void {
    for (const stop of this.#stops) stop()
    this.#latest.stop()
    this.#stopAhead?.()
    this.#ahead.drop()
  }
}

/** `held` is what the page has when it asks, and so what the answer may be told by. */
async function pageOf(
  doc: string,
  { seq, base }: Wanted,
  held: Page | null,
  signal: AbortSignal,
): Promise<Answer> {
  if (base !== null) {
    try {
      return { ...(await differenceHtml(doc, base, seq, held, signal)), isAlone: false }
    } catch (error) {
      // Either of the two may be gone; when it is the moment itself, that is what the next request says.
      if (!(error instanceof Problem && isPurged(error))) throw error
    }
  }
  return { ...(await momentHtml(doc, seq, held, signal)), isAlone: base !== null }
}
