//! The tempo of a replay, and the player that follows it.

import { describe, expect, test } from 'vitest'
import { type Frames, Player } from '../src/history/player'
import { MAX_EDIT_MS, MIN_EDIT_MS, PAUSE_MS, SPEEDS, Tempo } from '../src/history/tempo'

const HOUR = 3_600_000
/** Ten edits in two seconds, then, a day later, four in a minute each. */
const SPANS = [
  { fromSeq: 11, toSeq: 14, fromAt: 24 * HOUR, toAt: 24 * HOUR + 4 * 60_000 },
  { fromSeq: 1, toSeq: 10, fromAt: 0, toAt: 2_000 },
]

describe('the tempo', () => {
  test('keeps the pace of the writing and shortens what lies between', () => {
    const tempo = new Tempo(SPANS, 14)
    expect(tempo.timeOf(0)).toBe(0)
    expect(tempo.timeOf(1)).toBe(200)
    expect(tempo.timeOf(10)).toBe(2_000)
    expect(tempo.timeOf(11)).toBe(2_000 + PAUSE_MS + MAX_EDIT_MS)
    expect(tempo.length).toBe(2_000 + PAUSE_MS + 4 * MAX_EDIT_MS)
  })

  test('stands still in a pause', () => {
    const tempo = new Tempo(SPANS, 14)
    expect(tempo.seqAt(1_999)).toBe(9)
    expect(tempo.seqAt(2_000)).toBe(10)
    expect(tempo.seqAt(2_000 + PAUSE_MS)).toBe(10)
    expect(tempo.seqAt(2_000 + PAUSE_MS + MAX_EDIT_MS)).toBe(11)
    expect(tempo.seqAt(1e9)).toBe(14)
    expect(tempo.seqAt(-1)).toBe(0)
  })

  test('time and edit are each other’s inverse', () => {
    const thirds = { fromSeq: 4, toSeq: 303, fromAt: 0, toAt: 100_001 }
    for (const tempo of [new Tempo(SPANS, 14), new Tempo([thirds], 5_000)])
      for (let seq = 0; seq <= 5_000; seq += 7) {
        const known = Math.min(seq, tempo.seqAt(tempo.length))
        expect(tempo.seqAt(tempo.timeOf(known))).toBe(known)
      }
  })

  test('what is not loaded passes at the shortest time, and counts up to the head', () => {
    const tempo = new Tempo([{ fromSeq: 101, toSeq: 200, fromAt: 0, toAt: 10_000 }], 250)
    expect(tempo.timeOf(100)).toBe(100 * MIN_EDIT_MS)
    expect(tempo.seqAt(tempo.length)).toBe(250)
  })

  test('a clock that went back does not stop it', () => {
    const tempo = new Tempo([{ fromSeq: 1, toSeq: 2, fromAt: 5_000, toAt: 0 }], 2)
    expect(tempo.length).toBe(2 * MIN_EDIT_MS)
  })

  test('proposes a speed that shows everything in a minute where one does', () => {
    expect(new Tempo(SPANS, 14).proposedSpeed()).toBe(1)
    expect(new Tempo([], 6_000).proposedSpeed()).toBe(4)
    expect(new Tempo([], 100_000_000).proposedSpeed()).toBe(SPEEDS.at(-1))
  })
})

class FakeFrames implements Frames {
  now = 0
  #run: ((now: number) => void) | null = null
  request = (run: (now: number) => void) => {
    this.#run = run
    return () => {
      this.#run = null
    }
  }
  /** Frames of 20 ms. */
  pass(ms: number): void {
    for (let left = ms; left > 0; left -= 20) {
      this.now += 20
      const run = this.#run
      this.#run = null
      run?.(this.now)
    }
  }
}

describe('the player', () => {
  const setUp = () => {
    const frames = new FakeFrames()
    const state = { seq: 0, tempo: new Tempo(SPANS, 14), shown: [] as number[] }
    const player = new Player(
      {
        tempo: () => state.tempo,
        head: () => 14,
        seq: () => state.seq,
        show: (seq) => {
          state.seq = seq
          state.shown.push(seq)
        },
      },
      frames,
    )
    // The first frame only tells what time it is.
    const play = () => {
      player.play()
      frames.pass(20)
    }
    return { frames, state, player, play }
  }

  test('shows every edit once, in order, and stops at the end', () => {
    const { frames, state, player, play } = setUp()
    play()
    frames.pass(20_000)
    expect(state.shown).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14])
    expect(player.isPlaying.value).toBe(false)
  })

  test('a higher speed leaves out what is between two frames', () => {
    const { frames, state, player, play } = setUp()
    player.chosenSpeed.value = 64
    play()
    frames.pass(40)
    expect(state.seq).toBe(10)
    expect(state.shown).toEqual([6, 10])
  })

  test('goes on from where somebody moved it, and from the beginning at the end', () => {
    const { frames, state, play, player } = setUp()
    play()
    frames.pass(200)
    expect(state.seq).toBe(1)
    state.seq = 8
    frames.pass(200)
    expect(state.seq).toBe(9)
    player.pause()
    frames.pass(5_000)
    expect(state.seq).toBe(9)
    state.seq = 14
    play()
    expect(state.seq).toBe(0)
  })

  test('keeps its place when more of the past is known', () => {
    const { frames, state, play } = setUp()
    state.tempo = new Tempo([], 14)
    play()
    frames.pass(5 * MIN_EDIT_MS)
    expect(state.seq).toBe(5)
    state.tempo = new Tempo(SPANS, 14)
    frames.pass(200)
    expect(state.seq).toBe(6)
  })
})
