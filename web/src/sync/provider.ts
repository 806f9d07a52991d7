//! Keeps one Y.Doc in step with the server over one WebSocket, and knows what is saved. No DOM: the socket, the clock
//! and the timers come from outside, so that tests can play a whole session without waiting.
//!
//! ```text
//!            start            open            both SyncSteps done
//!   idle ──────────▶ connecting ────▶ syncing ──────────────────▶ live
//!                      ▲    │            │                          │
//!      timer, retryNow │    │ close      │ close                    │ close
//!                      │    ▼            ▼                          ▼
//!                    waiting ◀──────────────────────────────────────┘
//!   any ── a close code that forbids coming back ──▶ halted
//! ```
//!
//! Local edits are sent only once the server has told its state vector and has our SyncStep2: before that it could
//! receive an edit whose predecessors it lacks. After a refusal document messages stop (what follows builds on what
//! was refused), while others' edits still come in; `sync/refusal` of the page repairs the document and starts anew.

import {
  type Awareness,
  applyAwarenessUpdate,
  encodeAwarenessUpdate,
  removeAwarenessStates,
} from 'y-protocols/awareness'
import * as Y from 'yjs'
import { backoffDelay } from './backoff'
import { closeMeaning, type Halt, haltOf, MAX_STRIKES } from './closing'
import { Ledger } from './ledger'
import {
  decodeMessage,
  encodeAwareness,
  encodeStep1,
  encodeStep2,
  encodeUpdate,
  type Refusal,
  type ServerMessage,
} from './protocol'

export type Phase = 'idle' | 'connecting' | 'syncing' | 'live' | 'waiting' | 'halted'

export interface SyncState {
  readonly phase: Phase
  /** When the connection was lost (or first tried); null while it is live. */
  readonly downSince: number | null
  readonly retryAt: number | null
  readonly unsaved: number
  readonly oldestUnsavedAt: number | null
  readonly lastSavedAt: number | null
  readonly everLive: boolean
  /** Why the server cannot store at the moment; null when it can. */
  readonly notStoring: string | null
  readonly refusal: Refusal | null
  readonly halt: Halt | null
}

/** The part of a WebSocket that the provider uses. */
export interface SocketLike {
  binaryType: string
  onopen: (() => void) | null
  onmessage: ((event: { data: unknown }) => void) | null
  onclose: ((event: { code: number; reason: string }) => void) | null
  send(bytes: Uint8Array<ArrayBuffer>): void
  close(code?: number, reason?: string): void
}

export interface Clock {
  now(): number
  random(): number
  after(ms: number, run: () => void): () => void
}

export interface ProviderOptions {
  readonly doc: Y.Doc
  readonly awareness: Awareness
  /** Opens a socket; asked anew for each attempt, as the epoch in the address may have been learnt meanwhile. */
  readonly open: () => SocketLike
  readonly clock: Clock
  /** Edits left on this device by an earlier session. */
  readonly unsaved?: number
  /** Transactions with this origin were read from the store on this device: sent, but not counted as new edits. */
  readonly storeOrigin?: unknown
}

/** The server sends something at least every 20 s; twice that without a byte means the connection is dead. */
const SILENCE_MS = 45_000
/** An attempt that has not opened by then is given up. */
const OPEN_MS = 10_000
/** A connection that held so long starts the backoff from zero when it breaks. */
const STEADY_MS = 10_000
/** The one refusal that is not for good: the server can not store now, and asks again (SyncStep1) when it can. */
const NOT_STORED = 'not-stored'
/** Cursor moves within this time go out as one message. */
const AWARENESS_MS = 30

export class Provider {
  readonly #options: ProviderOptions
  readonly #ledger: Ledger
  readonly #listeners = new Set<(state: SyncState) => void>()
  #state: SyncState
  #socket: SocketLike | null = null
  #sentStep2 = false
  #receivedStep2 = false
  #attempt = 0
  #strikes = 0
  #openedAt = 0
  #lastHeard = 0
  #refusedUpdate: Uint8Array | null = null
  #cancelTimer: () => void = () => {}
  #cancelAwareness: (() => void) | null = null

  constructor(options: ProviderOptions) {
    this.#options = options
    this.#ledger = new Ledger(options.unsaved)
    const unsaved = this.#ledger.unsaved
    this.#state = {
      phase: 'idle',
      downSince: null,
      retryAt: null,
      unsaved,
      oldestUnsavedAt: unsaved > 0 ? options.clock.now() : null,
      lastSavedAt: null,
      everLive: false,
      notStoring: null,
      refusal: null,
      halt: null,
    }
    options.doc.on('update', this.#onLocalUpdate)
    options.awareness.on('update', this.#onAwareness)
  }

  get state(): SyncState {
    return this.#state
  }

  /** The update that was refused; the page undoes the change it holds. */
  get refusedUpdate(): Uint8Array | null {
    return this.#refusedUpdate
  }

  subscribe(listener: (state: SyncState) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  start(): void {
    if (this.#state.phase === 'idle') this.#connect()
  }

  /** "Try now", and the browser's word that the network is back. */
  retryNow(): void {
    if (this.#state.phase !== 'waiting') return
    this.#cancelTimer()
    this.#connect()
  }

  /** The browser says that the network is gone: the socket would keep edits in flight for a long time. */
  networkLost(): void {
    if (this.#socket) this.#drop()
  }

  destroy(): void {
    this.#options.doc.off('update', this.#onLocalUpdate)
    this.#options.awareness.off('update', this.#onAwareness)
    this.#options.awareness.setLocalState(null)
    this.#flushAwareness()
    this.#detach()?.close(1000)
    this.#listeners.clear()
  }

  #set(change: Partial<SyncState>): void {
    const unsaved = this.#ledger.unsaved
    const before = this.#state
    const oldestUnsavedAt = unsaved === 0 ? null : (before.oldestUnsavedAt ?? this.#options.clock.now())
    this.#state = { ...before, unsaved, oldestUnsavedAt, ...change }
    for (const listener of this.#listeners) listener(this.#state)
  }

  #connect(): void {
    const { clock, open } = this.#options
    const socket = open()
    socket.binaryType = 'arraybuffer'
    this.#socket = socket
    this.#sentStep2 = false
    this.#receivedStep2 = false
    socket.onopen = () => this.#onOpen(socket)
    socket.onmessage = ({ data }) => {
      if (socket === this.#socket && data instanceof ArrayBuffer) this.#onFrame(new Uint8Array(data))
    }
    socket.onclose = ({ code }) => {
      if (socket === this.#socket) this.#onClose(code)
    }
    this.#cancelTimer = clock.after(OPEN_MS, () => this.#drop())
    this.#set({ phase: 'connecting', retryAt: null, downSince: this.#state.downSince ?? clock.now() })
  }

  #onOpen(socket: SocketLike): void {
    if (socket !== this.#socket) return
    const { clock, doc } = this.#options
    this.#cancelTimer()
    this.#openedAt = clock.now()
    this.#lastHeard = clock.now()
    this.#set({ phase: 'syncing', notStoring: null })
    this.#send(encodeStep1(Y.encodeStateVector(doc)))
    this.#sendAwareness()
    this.#watch()
  }

  /** Closes a connection on which nothing has been heard for too long. */
  #watch(): void {
    const { clock } = this.#options
    this.#cancelTimer = clock.after(SILENCE_MS / 3, () => {
      if (clock.now() - this.#lastHeard >= SILENCE_MS) this.#drop()
      else this.#watch()
    })
  }

  #onFrame(bytes: Uint8Array): void {
    this.#lastHeard = this.#options.clock.now()
    let message: ServerMessage
    try {
      message = decodeMessage(bytes)
    } catch {
      this.#drop()
      return
    }
    this.#onMessage(message)
  }

  #onMessage(message: ServerMessage): void {
    switch (message.kind) {
      case 'step-1':
        this.#answerStep1(message.stateVector)
        break
      case 'step-2':
        this.#apply(message.update)
        this.#receivedStep2 = true
        this.#goLiveWhenSynced()
        break
      case 'update':
        this.#apply(message.update)
        break
      case 'awareness':
        this.#applyAwareness(message.update)
        break
      case 'query-awareness':
        this.#sendAwareness()
        break
      case 'saved':
        this.#onSaved(message.count)
        break
      case 'refused':
        this.#onRefused(message.refusal)
        break
      case 'storing':
        this.#set({ notStoring: message.ok ? null : message.reason })
        break
      case 'denied':
      case 'unknown':
        break
    }
  }

  /** An observer of the document (the editor) may throw; that is reported, and must not end the conversation. */
  #apply(update: Uint8Array): void {
    try {
      Y.applyUpdate(this.#options.doc, update, this)
    } catch (error) {
      queueMicrotask(() => {
        throw error
      })
    }
  }

  #answerStep1(stateVector: Uint8Array): void {
    if (this.#state.refusal) return
    const update = Y.encodeStateAsUpdate(this.#options.doc, stateVector)
    this.#ledger.sent(update)
    this.#send(encodeStep2(update))
    this.#sentStep2 = true
    this.#goLiveWhenSynced()
  }

  #goLiveWhenSynced(): void {
    if (this.#state.phase !== 'syncing' || !this.#sentStep2 || !this.#receivedStep2) return
    this.#set({ phase: 'live', downSince: null, everLive: true })
  }

  #onSaved(count: number): void {
    this.#ledger.saved(count)
    this.#strikes = 0
    const { clock } = this.#options
    const unsaved = this.#ledger.unsaved
    this.#set({ lastSavedAt: clock.now(), oldestUnsavedAt: unsaved === 0 ? null : clock.now() })
  }

  #onRefused(refusal: Refusal): void {
    if (refusal.code === NOT_STORED) {
      // What follows would build on what the server does not have: hold everything until it asks.
      this.#sentStep2 = false
      this.#ledger.postponed(refusal.message)
      this.#set({ notStoring: this.#state.notStoring ?? refusal.reason })
      return
    }
    const update = this.#ledger.refused(refusal.message)
    this.#refusedUpdate ??= update
    this.#set({ refusal: this.#state.refusal ?? refusal })
  }

  readonly #onLocalUpdate = (update: Uint8Array, origin: unknown): void => {
    if (origin === this) return
    if (origin !== this.#options.storeOrigin) this.#ledger.edited()
    if (this.#sentStep2 && this.#socket && !this.#state.refusal) {
      this.#ledger.sent(update)
      this.#send(encodeUpdate(update))
    }
    this.#set({})
  }

  readonly #onAwareness = (
    { added, updated, removed }: { added: number[]; updated: number[]; removed: number[] },
    origin: unknown,
  ): void => {
    const own = this.#options.awareness.clientID
    if (origin === this || ![...added, ...updated, ...removed].includes(own)) return
    this.#cancelAwareness ??= this.#options.clock.after(AWARENESS_MS, () => this.#flushAwareness())
  }

  #flushAwareness(): void {
    this.#cancelAwareness?.()
    this.#cancelAwareness = null
    this.#sendAwareness()
  }

  /** Only my own entry: others speak for themselves. */
  #sendAwareness(): void {
    const { awareness } = this.#options
    if (!this.#socket || this.#state.phase === 'connecting' || !awareness.meta.has(awareness.clientID)) return
    this.#send(encodeAwareness(encodeAwarenessUpdate(awareness, [awareness.clientID])))
  }

  #applyAwareness(update: Uint8Array): void {
    try {
      applyAwarenessUpdate(this.#options.awareness, update, this)
    } catch {
      // Somebody's presence does not parse. Their cursor is not worth the connection.
    }
  }

  #send(bytes: Uint8Array<ArrayBuffer>): void {
    this.#socket?.send(bytes)
  }

  #drop(): void {
    const socket = this.#detach()
    this.#onClose(1006)
    socket?.close()
  }

  /** Takes the socket out of use; whatever it still reports is ignored. */
  #detach(): SocketLike | null {
    const socket = this.#socket
    this.#socket = null
    this.#cancelTimer()
    return socket
  }

  #onClose(code: number): void {
    const { awareness, clock } = this.#options
    this.#detach()
    const suspect = this.#ledger.largest()
    this.#ledger.disconnected()
    this.#sentStep2 = false
    const others = [...awareness.getStates().keys()].filter((id) => id !== awareness.clientID)
    removeAwarenessStates(awareness, others, this)
    const downSince = this.#state.downSince ?? clock.now()

    const meaning = closeMeaning(code)
    if (meaning === 'too-big') {
      this.#refusedUpdate ??= suspect
      this.#set({ refusal: this.#state.refusal ?? { code: 'too-big', reason: '' } })
    }
    if (meaning === 'strike') this.#strikes += 1
    const halt = this.#strikes >= MAX_STRIKES ? 'rejected' : haltOf(meaning)
    if (halt) this.#set({ phase: 'halted', halt, downSince })
    else this.#scheduleRetry(downSince)
  }

  #scheduleRetry(downSince: number): void {
    const { clock } = this.#options
    if (this.#openedAt > 0 && clock.now() - this.#openedAt > STEADY_MS) this.#attempt = 0
    const delay = backoffDelay(this.#attempt++, clock.random())
    this.#cancelTimer = clock.after(delay, () => this.#connect())
    this.#set({ phase: 'waiting', retryAt: clock.now() + delay, downSince })
  }
}
