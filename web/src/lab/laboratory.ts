//! The lab as a whole: four people on one document, the network between them and the server, and what is measured.
//! It measures by looking at the four documents themselves, not at what somebody reports about them.

import { type Signal, signal } from '@preact/signals'
import type * as Y from 'yjs'
import { BODY } from '../editor/editor'
import { Title, titleText } from '../session/title'
import type { Clock, SocketLike, SyncState } from '../sync/provider'
import {
  Convergence,
  EditsUnderWay,
  furthest,
  judge,
  missing,
  total,
  type Vector,
  type Verdict,
  vectorOf,
} from './meter'
import type { Conditions, Traffic } from './network'
import { Participant } from './participant'
import { PEOPLE } from './people'
import { SENTENCES } from './sentences'
import { Timeline } from './timeline'

/** How often the meters are read. Rarely enough that a sign that changes each time does not flash. */
export const READ_MS = 400
/** A lab that somebody forgot stops writing after this time. */
const LONGEST_RUN_MS = 10 * 60_000

/** A network that shows something at once: a slow mobile connection. */
export const FIRST_CONDITIONS: Network = { delayMs: 400, jitter: 0.4, cutsPerMinute: 0 }

/** The conditions that all four share. */
export type Network = Omit<Conditions, 'offline'>

export interface PersonReading {
  readonly vector: Vector
  /** What this person lacks of what anybody here has. */
  readonly missing: Vector
  readonly behind: number
  readonly traffic: Traffic
  readonly sync: SyncState
  readonly offline: boolean
}

export interface Reading {
  readonly at: number
  readonly people: readonly PersonReading[]
  readonly verdict: Verdict
  /** Edits made here that not all four have. */
  readonly underWay: number
  /** Median time until an edit has reached all four. */
  readonly reachMs: number | null
  /** Edits made here so far. */
  readonly edits: number
  /** Times to convergence. */
  readonly lastMs: number | null
  readonly medianMs: number | null
  readonly longestMs: number | null
}

export interface LaboratoryOptions {
  readonly clock: Clock
  /** Opens a real socket to the document. */
  readonly open: () => SocketLike
  readonly seed: number
  /** The document's title, written with the first edit when it has none. */
  readonly title: string
}

export class Laboratory {
  readonly people: readonly Participant[]
  readonly timeline = new Timeline()
  readonly reading: Signal<Reading>
  readonly network = signal<Network>(FIRST_CONDITIONS)
  readonly typing = signal(false)
  readonly #options: LaboratoryOptions
  readonly #underWay = new EditsUnderWay()
  readonly #convergence = new Convergence()
  #edits = 0
  #isJudging = false
  #isTitled = false
  #isDestroyed = false
  #cancelTick: () => void = () => {}
  #cancelRun: () => void = () => {}

  constructor(options: LaboratoryOptions) {
    this.#options = options
    const { clock, open, seed } = options
    this.people = PEOPLE.map(
      (person, at) =>
        new Participant({
          person,
          // Dealt out like cards, so that no two write the same.
          sentences: SENTENCES.filter((_, index) => index % PEOPLE.length === at),
          clock,
          open,
          seed: seed + at,
          onEdit: (transaction) => this.#onEdit(transaction),
          onChange: () => this.#judgeSoon(),
          onCut: () => this.timeline.cut(clock.now(), at),
        }),
    )
    for (const { line } of this.people) line.set(FIRST_CONDITIONS)
    this.reading = signal(this.#read())
  }

  start(): void {
    for (const { provider } of this.people) provider.start()
    this.#tick()
  }

  destroy(): void {
    this.#isDestroyed = true
    this.#cancelTick()
    this.#cancelRun()
    for (const participant of this.people) participant.destroy()
  }

  setNetwork(change: Partial<Network>): void {
    this.network.value = { ...this.network.value, ...change }
    for (const { line } of this.people) line.set(change)
  }

  setOffline(at: number, offline: boolean): void {
    const now = this.#options.clock.now()
    this.people[at]?.setOffline(offline)
    if (offline) this.timeline.wentOffline(now, at)
    else this.timeline.cameBack(now, at)
    this.reading.value = this.#read()
  }

  setAllOffline(offline: boolean): void {
    for (const at of this.people.keys()) this.setOffline(at, offline)
  }

  startTyping(): void {
    this.typing.value = true
    for (const participant of this.people) participant.startTyping()
    this.#cancelRun = this.#options.clock.after(LONGEST_RUN_MS, () => this.stopTyping())
  }

  stopTyping(): void {
    this.#cancelRun()
    this.typing.value = false
    for (const participant of this.people) participant.stopTyping()
  }

  get #docs(): readonly Y.Doc[] {
    return this.people.map(({ doc }) => doc)
  }

  #onEdit(transaction: Y.Transaction): void {
    const now = this.#options.clock.now()
    if (!this.#underWay.made(transaction, now)) return
    this.#edits += 1
    this.#convergence.edited(now)
    this.#giveTitle(transaction.doc)
  }

  /** So that the list of documents says what this one is. The title is an edit like any other. */
  #giveTitle(doc: Y.Doc): void {
    // A copy that has not heard of the server yet may lack a title that is there.
    const hasHeard = this.people.some((person) => person.doc === doc && person.provider.state.everLive)
    if (this.#isTitled || !hasHeard) return
    this.#isTitled = true
    queueMicrotask(() => {
      if (this.#isDestroyed || titleText(doc) !== '') return
      const title = new Title(doc)
      title.edit(this.#options.title)
      title.destroy()
    })
  }

  /** Once for all changes of one task, and at once after it, so that the times are exact. */
  #judgeSoon(): void {
    if (this.#isJudging) return
    this.#isJudging = true
    queueMicrotask(() => {
      this.#isJudging = false
      if (this.#isDestroyed) return
      const now = this.#options.clock.now()
      this.#underWay.arrived(this.#docs, now)
      if (judge(this.#docs, BODY) === 'equal') this.#convergence.converged(now)
      // "Equal" must not be said a moment longer than it holds; "apart" may wait for the next reading.
      else if (this.reading.value.verdict === 'equal') this.reading.value = this.#read()
    })
  }

  #tick(): void {
    const reading = this.#read()
    this.timeline.sample(
      reading.at,
      reading.people.map(({ behind }) => behind),
    )
    this.reading.value = reading
    this.#cancelTick = this.#options.clock.after(READ_MS, () => this.#tick())
  }

  #read(): Reading {
    const docs = this.#docs
    const vectors = docs.map(vectorOf)
    const most = furthest(vectors)
    return {
      at: this.#options.clock.now(),
      people: this.people.map((participant, at) => {
        const vector = vectors[at] ?? new Map()
        const lacking = missing(vector, most)
        return {
          vector,
          missing: lacking,
          behind: total(lacking),
          traffic: participant.line.traffic,
          sync: participant.provider.state,
          offline: participant.line.conditions.offline,
        }
      }),
      verdict: judge(docs, BODY),
      underWay: this.#underWay.count,
      reachMs: this.#underWay.medianMs,
      edits: this.#edits,
      lastMs: this.#convergence.times.last,
      medianMs: this.#convergence.times.median,
      longestMs: this.#convergence.times.longest,
    }
  }
}
