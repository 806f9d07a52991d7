//! A server and a clock for the sync tests, driven by hand: a test reads as the script of a session.

import * as decoding from 'lib0/decoding'
import * as encoding from 'lib0/encoding'
import { Awareness } from 'y-protocols/awareness'
import * as Y from 'yjs'
import { type Clock, Provider, type SocketLike } from '../src/sync/provider'

export class PlayedClock implements Clock {
  time = 1_000_000
  #timers: { at: number; run: () => void }[] = []

  now = () => this.time
  random = () => 0.5

  after = (ms: number, run: () => void) => {
    const timer = { at: this.time + ms, run }
    this.#timers.push(timer)
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer)
    }
  }

  /** Runs what falls due within `ms`, in order. */
  pass(ms: number): void {
    const end = this.time + ms
    for (;;) {
      const due = this.#timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0]
      if (!due) break
      this.#timers = this.#timers.filter((timer) => timer !== due)
      this.time = due.at
      due.run()
    }
    this.time = end
  }
}

export type Received = { kind: 'step-1' | 'step-2' | 'update'; bytes: Uint8Array } | { kind: 'awareness' }

/** The server's end of one socket. */
export class PlayedSocket implements SocketLike {
  binaryType = ''
  onopen: (() => void) | null = null
  onmessage: ((event: { data: unknown }) => void) | null = null
  onclose: ((event: { code: number; reason: string }) => void) | null = null
  closed = false
  readonly received: Received[] = []

  send(bytes: Uint8Array<ArrayBuffer>): void {
    const decoder = decoding.createDecoder(bytes)
    if (decoding.readVarUint(decoder) === 1) {
      this.received.push({ kind: 'awareness' })
      return
    }
    const step = decoding.readVarUint(decoder)
    const kind = (['step-1', 'step-2', 'update'] as const)[step as 0 | 1 | 2]
    this.received.push({ kind, bytes: decoding.readVarUint8Array(decoder) })
  }

  close(): void {
    this.closed = true
  }

  /** Document messages: what the server owes an answer for. */
  get documentMessages(): Uint8Array[] {
    return this.received.flatMap((message) =>
      message.kind === 'step-2' || message.kind === 'update' ? [message.bytes] : [],
    )
  }

  tell(write: (encoder: encoding.Encoder) => void): void {
    this.onmessage?.({ data: new Uint8Array(encoding.encode(write)).buffer })
  }

  sync(step: 0 | 1 | 2, payload: Uint8Array): void {
    this.tell((encoder) => {
      encoding.writeVarUint(encoder, 0)
      encoding.writeVarUint(encoder, step)
      encoding.writeVarUint8Array(encoder, payload)
    })
  }

  saved(count: number): void {
    this.tell((encoder) => {
      encoding.writeVarUint(encoder, 100)
      encoding.writeVarUint(encoder, count)
    })
  }

  json(type: 101 | 103, value: unknown): void {
    this.tell((encoder) => {
      encoding.writeVarUint(encoder, type)
      encoding.writeVarString(encoder, JSON.stringify(value))
    })
  }

  /** Open, and both SyncSteps, from a server that holds `doc`. */
  welcome(doc = new Y.Doc()): void {
    this.onopen?.()
    this.sync(0, Y.encodeStateVector(doc))
    this.sync(1, Y.encodeStateAsUpdate(doc))
  }

  drop(code = 1006): void {
    this.onclose?.({ code, reason: '' })
  }
}

export class Session {
  readonly doc = new Y.Doc()
  readonly awareness = new Awareness(this.doc)
  readonly clock = new PlayedClock()
  readonly sockets: PlayedSocket[] = []
  readonly provider: Provider

  /** `over`: puts something between the provider and the socket. */
  constructor(unsaved = 0, over?: (clock: PlayedClock) => () => SocketLike) {
    this.provider = new Provider({
      doc: this.doc,
      awareness: this.awareness,
      clock: this.clock,
      unsaved,
      storeOrigin: 'store',
      open:
        over?.(this.clock) ??
        (() => {
          const socket = new PlayedSocket()
          this.sockets.push(socket)
          return socket
        }),
    })
  }

  get socket(): PlayedSocket {
    const socket = this.sockets.at(-1)
    if (!socket) throw new Error('no socket yet')
    return socket
  }

  get state() {
    return this.provider.state
  }

  /** Lets the time pass until the next attempt to connect. */
  reconnect(): PlayedSocket {
    this.clock.pass((this.state.retryAt ?? this.clock.now()) - this.clock.now())
    return this.socket
  }

  type(text: string): void {
    const target = this.doc.getText('t')
    target.insert(target.length, text)
  }

  end(): void {
    this.provider.destroy()
    this.awareness.destroy()
  }
}
