//! Which of my edits the server has made durable. Pure bookkeeping: it neither sends nor stores.
//!
//! The server answers my document messages (each SyncStep2 and each Update) per connection, saved ones in order.
//! An edit is one change of the local document. It waits either **uncovered** (made offline, or not sent yet) or
//! **in flight** (inside an unanswered message). A lost connection turns what was in flight into uncovered again, as
//! nobody knows whether it arrived; the next SyncStep2 covers all of it.
//!
//! Invariant: `unsaved` = uncovered + in flight + refused, and it falls only by an answer of the server.

interface Sent {
  readonly index: number
  readonly edits: number
  readonly update: Uint8Array
}

export class Ledger {
  #uncovered: number
  #refused = 0
  #sent: Sent[] = []
  #nextIndex = 0

  /** `unsaved`: edits that an earlier session left on this device. */
  constructor(unsaved = 0) {
    this.#uncovered = unsaved
  }

  get unsaved(): number {
    return this.#uncovered + this.#refused + this.#sent.reduce((sum, message) => sum + message.edits, 0)
  }

  get unanswered(): number {
    return this.#sent.length
  }

  edited(): void {
    this.#uncovered += 1
  }

  /** A document message goes out that holds every uncovered edit: SyncStep2, or the update of the only one. */
  sent(update: Uint8Array): void {
    this.#sent.push({ index: this.#nextIndex++, edits: this.#uncovered, update })
    this.#uncovered = 0
  }

  saved(count: number): void {
    this.#sent.splice(0, count)
  }

  /** Returns the update that was refused, so that the page can take back just this change. */
  refused(index?: number): Uint8Array | null {
    const message = this.#take(index)
    this.#refused += message?.edits ?? 0
    return message?.update ?? null
  }

  /** Not taken at the moment: its edits wait for the next SyncStep2. */
  postponed(index?: number): void {
    this.#uncovered += this.#take(index)?.edits ?? 0
  }

  /** The largest unanswered update: the one to suspect when the server closes because a message was too big. */
  largest(): Uint8Array | null {
    return this.#sent.reduce<Uint8Array | null>(
      (largest, { update }) => (largest && largest.length >= update.length ? largest : update),
      null,
    )
  }

  #take(index = this.#sent[0]?.index): Sent | undefined {
    const at = this.#sent.findIndex((message) => message.index === index)
    return at < 0 ? undefined : this.#sent.splice(at, 1)[0]
  }

  disconnected(): void {
    for (const message of this.#sent) this.#uncovered += message.edits
    this.#sent = []
    this.#nextIndex = 0
  }
}
