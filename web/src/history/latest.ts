//! Latest wins: of many things that are wanted one after the other, only the newest matters, and nothing queues up.

export interface LatestClock {
  /** Milliseconds on a clock that never goes back. */
  now(): number
  /** Runs once after a time, unless what it returns is called before. */
  after(ms: number, run: () => void): () => void
}

/** An answer that is due within this time is waited for, so that a long drag shows something on its way. */
export const PATIENCE_MS = 150

const latestClock: LatestClock = {
  now: () => performance.now(),
  after: (ms, run) => {
    const timer = setTimeout(run, ms)
    return () => clearTimeout(timer)
  },
}

/**
 * Runs one request at a time. What is asked for meanwhile replaces what was asked for before, and goes out when the one
 * that runs has answered, or is aborted because it took longer than `PATIENCE_MS`.
 */
export class Latest<Wanted, Answer> {
  #running: { readonly wanted: Wanted; readonly abort: AbortController; readonly since: number } | null = null
  #next: { readonly wanted: Wanted } | null = null
  #stopWaiting: (() => void) | null = null
  #stopped = false

  constructor(
    readonly run: (wanted: Wanted, signal: AbortSignal) => Promise<Answer>,
    readonly done: (wanted: Wanted, answer: Answer) => void,
    readonly failed: (wanted: Wanted, error: unknown) => void,
    readonly clock: LatestClock = latestClock,
  ) {}

  want(wanted: Wanted): void {
    if (this.#stopped) return
    if (!this.#running) {
      this.#start(wanted)
      return
    }
    this.#next = { wanted }
    const age = this.clock.now() - this.#running.since
    if (age >= PATIENCE_MS) this.#goOn()
    else this.#stopWaiting ??= this.clock.after(PATIENCE_MS - age, () => this.#goOn())
  }

  /** Aborts what runs; nothing is reported any more. */
  stop(): void {
    this.#stopped = true
    this.#next = null
    this.#clear()
  }

  #goOn(): void {
    const next = this.#next
    this.#clear()
    if (next) this.#start(next.wanted)
  }

  #clear(): void {
    this.#stopWaiting?.()
    this.#stopWaiting = null
    this.#running?.abort.abort()
    this.#running = null
    this.#next = null
  }

  #start(wanted: Wanted): void {
    const running = { wanted, abort: new AbortController(), since: this.clock.now() }
    this.#running = running
    // What was aborted may still answer or fail; nobody listens to it.
    const end = (report: () => void) => {
      if (this.#running !== running) return
      this.#running = null
      report()
      // The report may have asked for something else.
      if (!this.#running) this.#goOn()
    }
    this.run(wanted, running.abort.signal).then(
      (answer) => end(() => this.done(wanted, answer)),
      (error) => end(() => this.#next === null && this.failed(wanted, error)),
    )
  }
}
