//! The last minute of the lab, for the chart: how far behind each replica was, and when somebody had no connection.

export interface Sample {
  readonly at: number
  /** Clocks that each person lacked. */
  readonly behind: readonly number[]
}

export interface Cut {
  readonly at: number
  readonly person: number
}

/** A time without a network; `to` is null while it lasts. */
export interface Gap {
  readonly person: number
  readonly from: number
  readonly to: number | null
}

/** How much of the past is kept and drawn. */
export const WINDOW_MS = 60_000

export class Timeline {
  #samples: readonly Sample[] = []
  #cuts: readonly Cut[] = []
  #gaps: readonly Gap[] = []

  get samples(): readonly Sample[] {
    return this.#samples
  }

  get cuts(): readonly Cut[] {
    return this.#cuts
  }

  get gaps(): readonly Gap[] {
    return this.#gaps
  }

  sample(at: number, behind: readonly number[]): void {
    const start = at - WINDOW_MS
    // One sample from before the window stays, so that the line reaches its edge.
    const first = this.#samples.findLastIndex((sample) => sample.at <= start)
    this.#samples = [...this.#samples.slice(Math.max(0, first)), { at, behind }]
    this.#cuts = this.#cuts.filter((cut) => cut.at >= start)
    this.#gaps = this.#gaps.filter((gap) => gap.to === null || gap.to >= start)
  }

  cut(at: number, person: number): void {
    this.#cuts = [...this.#cuts, { at, person }]
  }

  wentOffline(at: number, person: number): void {
    if (this.#gaps.some((gap) => gap.person === person && gap.to === null)) return
    this.#gaps = [...this.#gaps, { person, from: at, to: null }]
  }

  cameBack(at: number, person: number): void {
    this.#gaps = this.#gaps.map((gap) =>
      gap.person === person && gap.to === null ? { ...gap, to: at } : gap,
    )
  }
}

/** The smallest of 10, 20, 50, 100, … that is not below `value`: a scale that seldom changes. */
export function scaleFor(value: number): number {
  for (let decade = 10; ; decade *= 10) {
    for (const step of [1, 2, 5]) if (step * decade >= value) return step * decade
  }
}
