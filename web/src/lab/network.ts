//! A bad network between one person and the server. A `Line` stands where the provider expects a WebSocket: it holds
//! every frame back for a while, cuts the connection, or lets none through. It never looks into a frame.
//!
//! As with TCP, what is sent on one connection arrives in order and completely, or the connection breaks. What was
//! under way when it breaks is lost, in both directions, and neither end knows how much of it arrived.

import type { Clock, SocketLike } from '../sync/provider'

export interface Conditions {
  /** How long a frame is under way in one direction, in milliseconds. */
  readonly delayMs: number
  /** How far a delay may lie from `delayMs`, as a share of it: 0 always the same, 1 from nothing to double. */
  readonly jitter: number
  /** How often the connection breaks, on average. */
  readonly cutsPerMinute: number
  /** Nothing gets through, and no connection can be made. */
  readonly offline: boolean
}

export const PERFECT: Conditions = { delayMs: 0, jitter: 0, cutsPerMinute: 0, offline: false }

/** What went over a line so far, as the person's end counts it. */
export interface Traffic {
  readonly sentBytes: number
  readonly sentMessages: number
  readonly receivedBytes: number
  readonly receivedMessages: number
  readonly cuts: number
}

/** As a browser reports a connection that ended without a close frame. */
const ABNORMAL = 1006
const MINUTE_MS = 60_000

export class Line {
  readonly #clock: Clock
  readonly #onCut: () => void
  readonly #sockets = new Set<LineSocket>()
  #conditions = PERFECT
  #traffic: Traffic = { sentBytes: 0, sentMessages: 0, receivedBytes: 0, receivedMessages: 0, cuts: 0 }
  #cancelCut: () => void = () => {}

  /** `onCut` hears of random cuts only, not of going offline. */
  constructor(clock: Clock, onCut: () => void = () => {}) {
    this.#clock = clock
    this.#onCut = onCut
  }

  get conditions(): Conditions {
    return this.#conditions
  }

  get traffic(): Traffic {
    return this.#traffic
  }

  /** A socket for the provider; `open` makes the real one. */
  connect(open: () => SocketLike): SocketLike {
    const socket: LineSocket = new LineSocket({
      clock: this.#clock,
      open: this.#conditions.offline ? null : open,
      delay: () => this.#delay(),
      sent: (bytes) => this.#count({ sentBytes: bytes, sentMessages: 1 }),
      received: (bytes) => this.#count({ receivedBytes: bytes, receivedMessages: 1 }),
      ended: () => this.#sockets.delete(socket),
    })
    this.#sockets.add(socket)
    return socket
  }

  set(change: Partial<Conditions>): void {
    const before = this.#conditions
    this.#conditions = { ...before, ...change }
    // Coming back, an attempt that was made without a network fails at once, so that the next need not wait for it.
    if (this.#conditions.offline !== before.offline) this.#break()
    if (this.#conditions.cutsPerMinute !== before.cutsPerMinute) this.#scheduleCut()
  }

  /** Breaks the connection once; the provider makes another. */
  cut(): void {
    if (!this.#break()) return
    this.#count({ cuts: 1 })
    this.#onCut()
  }

  destroy(): void {
    this.#cancelCut()
    this.#break()
  }

  #break(): boolean {
    const sockets = [...this.#sockets]
    for (const socket of sockets) socket.break()
    return sockets.length > 0
  }

  /** Cuts come as a Poisson process: the time to the next does not depend on how long the last one is ago. */
  #scheduleCut(): void {
    this.#cancelCut()
    const { cutsPerMinute } = this.#conditions
    if (cutsPerMinute <= 0) return
    const wait = (-Math.log(1 - this.#clock.random()) * MINUTE_MS) / cutsPerMinute
    this.#cancelCut = this.#clock.after(wait, () => {
      this.cut()
      this.#scheduleCut()
    })
  }

  #delay(): number {
    const { delayMs, jitter } = this.#conditions
    return delayMs * (1 + jitter * (2 * this.#clock.random() - 1))
  }

  #count(more: Partial<Traffic>): void {
    const sum = { ...this.#traffic }
    for (const key of Object.keys(more) as (keyof Traffic)[]) sum[key] += more[key] ?? 0
    this.#traffic = sum
  }
}

interface Ends {
  readonly clock: Clock
  /** Makes the real socket; null when there is no network. */
  readonly open: (() => SocketLike) | null
  /** How long the next frame is under way, in milliseconds. */
  readonly delay: () => number
  readonly sent: (bytes: number) => void
  readonly received: (bytes: number) => void
  readonly ended: () => void
}

/** One connection over a line. */
class LineSocket implements SocketLike {
  binaryType = 'arraybuffer'
  onopen: (() => void) | null = null
  onmessage: ((event: { data: unknown }) => void) | null = null
  onclose: ((event: { code: number; reason: string }) => void) | null = null

  readonly #ends: Ends
  readonly #up: Pipe
  readonly #down: Pipe
  #real: SocketLike | null = null
  #ended = false

  constructor(ends: Ends) {
    this.#ends = ends
    this.#up = new Pipe(ends.clock)
    this.#down = new Pipe(ends.clock)
    const { open } = ends
    if (!open) {
      // The handlers are set after the constructor returns.
      ends.clock.after(0, () => this.#end(ABNORMAL, ''))
      return
    }
    // The handshake takes one round trip, as the request and its answer do.
    this.#up.push(ends.delay(), () => this.#dial(open))
  }

  send(bytes: Uint8Array<ArrayBuffer>): void {
    if (this.#ended) return
    this.#ends.sent(bytes.length)
    this.#up.push(this.#ends.delay(), () => this.#real?.send(bytes))
  }

  /** The person's end closes: what was sent before still arrives. */
  close(code?: number, reason?: string): void {
    if (this.#ended) return
    this.#down.clear()
    this.#up.push(this.#ends.delay(), () => {
      this.#hangUp(code, reason)
      this.#end(code ?? 1005, reason ?? '')
    })
  }

  /** The connection breaks: what is under way is lost. */
  break(): void {
    if (this.#ended) return
    this.#hangUp()
    this.#end(ABNORMAL, '')
  }

  #dial(open: () => SocketLike): void {
    const real = open()
    this.#real = real
    real.binaryType = this.binaryType
    real.onopen = () => this.#down.push(this.#ends.delay(), () => this.onopen?.())
    real.onmessage = ({ data }) =>
      this.#down.push(this.#ends.delay(), () => {
        this.#ends.received(data instanceof ArrayBuffer ? data.byteLength : 0)
        this.onmessage?.({ data })
      })
    real.onclose = ({ code, reason }) => this.#down.push(this.#ends.delay(), () => this.#end(code, reason))
  }

  #hangUp(code?: number, reason?: string): void {
    const real = this.#real
    if (!real) return
    this.#real = null
    real.onopen = null
    real.onmessage = null
    real.onclose = null
    real.close(code, reason)
  }

  #end(code: number, reason: string): void {
    if (this.#ended) return
    this.#ended = true
    this.#up.clear()
    this.#down.clear()
    this.#ends.ended()
    this.onclose?.({ code, reason })
  }
}

/** One direction of a connection: what is pushed comes out later, in the same order. */
class Pipe {
  readonly #clock: Clock
  #waiting: { readonly at: number; readonly run: () => void }[] = []
  #cancel: () => void = () => {}

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Nothing overtakes: after a slow one, a fast one waits. Without a delay and a queue, `run` runs at once. */
  push(delay: number, run: () => void): void {
    const now = this.#clock.now()
    const at = Math.max(this.#waiting.at(-1)?.at ?? 0, now + delay)
    if (this.#waiting.length === 0 && at <= now) {
      run()
      return
    }
    this.#waiting.push({ at, run })
    if (this.#waiting.length === 1) this.#arm()
  }

  clear(): void {
    this.#cancel()
    this.#waiting = []
  }

  #arm(): void {
    // What runs may have pushed, and armed already.
    this.#cancel()
    const [first] = this.#waiting
    if (!first) return
    this.#cancel = this.#clock.after(Math.max(0, first.at - this.#clock.now()), () => {
      // The clock may be a little early for the first; it is due all the same.
      const due = this.#waiting.filter(({ at }) => at <= Math.max(first.at, this.#clock.now()))
      for (const { run } of due) {
        // Whoever runs may clear the pipe.
        if (this.#waiting.length === 0) return
        this.#waiting.shift()
        run()
      }
      this.#arm()
    })
  }
}
