//! How the writing is replayed: when each edit appears. The server tells when a session began and ended, so its edits are
//! spread evenly over it; pauses are shortened, as nobody wants to watch them.

/** A session of writing, with times in milliseconds since 1970. */
export interface Span {
  readonly fromSeq: number
  readonly toSeq: number
  readonly fromAt: number
  readonly toAt: number
}

/** An edit takes this long when its session's times say less, or nothing is known of it yet. */
export const MIN_EDIT_MS = 40
/** An edit takes at most this long: within a session somebody thought, or had coffee. */
export const MAX_EDIT_MS = 1_000
/** A pause between two sessions, however long it was. */
export const PAUSE_MS = 1_000
/** How fast the replay may go, in multiples of the writing. */
export const SPEEDS = [1, 4, 16, 64, 256] as const
/** The speed that is proposed brings the whole history into about this time. */
const WHOLE_MS = 60_000

interface Piece {
  readonly fromSeq: number
  readonly toSeq: number
  /** Time of the replay at which its first edit is still missing. */
  readonly start: number
  readonly perEdit: number
}

/** The times of all edits 1..`head` in a replay that starts at 0. Immutable: made anew when more is known. */
export class Tempo {
  readonly #pieces: readonly Piece[]
  readonly length: number

  /** `spans` in any order; edits in none of them get the shortest time. */
  constructor(spans: readonly Span[], head: number) {
    const pieces: Piece[] = []
    let start = 0
    let next = 1
    const add = (toSeq: number, perEdit: number) => {
      if (toSeq < next) return
      pieces.push({ fromSeq: next, toSeq, start, perEdit })
      start += (toSeq - next + 1) * perEdit
      next = toSeq + 1
    }
    for (const span of [...spans].sort((a, b) => a.fromSeq - b.fromSeq)) {
      const toSeq = Math.min(span.toSeq, head)
      if (toSeq < next) continue
      add(span.fromSeq - 1, MIN_EDIT_MS)
      if (next > 1) start += PAUSE_MS
      const edits = span.toSeq - span.fromSeq + 1
      const perEdit = (span.toAt - span.fromAt) / edits
      add(toSeq, Math.min(MAX_EDIT_MS, Math.max(MIN_EDIT_MS, perEdit)))
    }
    add(head, MIN_EDIT_MS)
    this.#pieces = pieces
    this.length = start
  }

  /** When the replay shows edit `seq`; 0 for the empty document. */
  timeOf(seq: number): number {
    const piece = this.#pieces[this.#last((piece) => piece.fromSeq <= seq)]
    if (!piece) return 0
    return piece.start + (Math.min(seq, piece.toSeq) - piece.fromSeq + 1) * piece.perEdit
  }

  /** The last edit that the replay shows at `time`. */
  seqAt(time: number): number {
    const piece = this.#pieces[this.#last((piece) => piece.start <= time)]
    if (!piece) return 0
    const edits = Math.floor((time - piece.start) / piece.perEdit + 1e-9)
    return Math.min(piece.toSeq, piece.fromSeq - 1 + edits)
  }

  proposedSpeed(): number {
    return SPEEDS.find((speed) => this.length / speed <= WHOLE_MS) ?? (SPEEDS.at(-1) as number)
  }

  #last(holds: (piece: Piece) => boolean): number {
    let low = 0
    let high = this.#pieces.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (holds(this.#pieces[middle] as Piece)) low = middle + 1
      else high = middle
    }
    return low - 1
  }
}
