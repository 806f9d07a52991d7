//! What is probably wanted next, asked for before it is.

/** Runs once what was just changed in the page is on the screen, unless what this returns is called before. */
export type AfterPaint = (run: () => void) => () => void

export const afterPaint: AfterPaint = (run) => {
  let timer: ReturnType<typeof setTimeout> | undefined
  const frame = requestAnimationFrame(() => {
    timer = setTimeout(run)
  })
  return () => {
    cancelAnimationFrame(frame)
    clearTimeout(timer)
  }
}

interface Asked<Wanted, Answer> {
  readonly wanted: Wanted
  /** Null when it failed: what is wanted then is asked for again, and fails by itself. */
  readonly answer: Promise<Answer | null>
  readonly abort: AbortController
}

export class Ahead<Wanted, Answer> {
  #asked: Asked<Wanted, Answer> | null = null

  constructor(
    readonly run: (wanted: Wanted, signal: AbortSignal) => Promise<Answer>,
    readonly isSame: (one: Wanted, other: Wanted) => boolean,
  ) {}

  /** Asks for this and gives up what was asked for before. */
  ask(wanted: Wanted): void {
    if (this.#asked && this.isSame(this.#asked.wanted, wanted)) return
    this.drop()
    const abort = new AbortController()
    const answer = this.run(wanted, abort.signal).catch(() => null)
    this.#asked = { wanted, answer, abort }
  }

  /** What was asked for, if it is this; anything else is given up. The signal ends it, too. */
  take(wanted: Wanted, signal: AbortSignal): Promise<Answer | null> | null {
    const asked = this.#asked
    if (!asked || !this.isSame(asked.wanted, wanted)) {
      this.drop()
      return null
    }
    this.#asked = null
    signal.addEventListener('abort', () => asked.abort.abort(), { once: true })
    return asked.answer
  }

  drop(): void {
    this.#asked?.abort.abort()
    this.#asked = null
  }
}
