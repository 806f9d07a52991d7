//! Plays the writing: moves the moment that is looked at along the tempo, frame by frame.

import { signal } from '@preact/signals'
import type { Tempo } from './tempo'

export interface Frames {
  /** Runs at the next frame with its time in milliseconds, unless what it returns is called before. */
  request(run: (now: number) => void): () => void
}

export const browserFrames: Frames = {
  request: (run) => {
    const frame = requestAnimationFrame(run)
    return () => cancelAnimationFrame(frame)
  },
}

interface Screen {
  readonly tempo: () => Tempo
  readonly head: () => number
  readonly seq: () => number
  readonly show: (seq: number) => void
}

/** A tab that was in the background does not leap when it comes back. */
const LONGEST_FRAME_MS = 100

export class Player {
  readonly isPlaying = signal(false)
  /** Null: the one that the tempo proposes. */
  readonly chosenSpeed = signal<number | null>(null)
  #time = 0
  #last: number | null = null
  #cancel: (() => void) | null = null

  constructor(
    readonly screen: Screen,
    readonly frames: Frames = browserFrames,
  ) {}

  get speed(): number {
    return this.chosenSpeed.value ?? this.screen.tempo().proposedSpeed()
  }

  /** From the moment that is shown; from the beginning when that is the last one. */
  play(): void {
    if (this.isPlaying.value || this.screen.head() === 0) return
    if (this.screen.seq() >= this.screen.head()) this.screen.show(0)
    this.#time = this.screen.tempo().timeOf(this.screen.seq())
    this.#last = null
    this.isPlaying.value = true
    this.#next()
  }

  pause(): void {
    this.#cancel?.()
    this.#cancel = null
    this.isPlaying.value = false
  }

  toggle(): void {
    if (this.isPlaying.value) this.pause()
    else this.play()
  }

  #next(): void {
    this.#cancel = this.frames.request((now) => this.#frame(now))
  }

  #frame(now: number): void {
    const tempo = this.screen.tempo()
    // More of the past may have been loaded, which gives the edits other times.
    const seq = this.screen.seq()
    if (tempo.seqAt(this.#time) !== seq) this.#time = tempo.timeOf(seq)
    const passed = Math.min(LONGEST_FRAME_MS, now - (this.#last ?? now))
    this.#last = now
    this.#time += passed * this.speed
    const wanted = tempo.seqAt(this.#time)
    if (wanted > seq) this.screen.show(wanted)
    if (this.#time < tempo.length && wanted < this.screen.head()) this.#next()
    else this.pause()
  }
}
