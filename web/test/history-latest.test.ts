//! Latest wins: nothing queues up, a slow request is aborted, and a fast one is not wasted.

import { beforeEach, expect, test } from 'vitest'
import { Latest, type LatestClock, PATIENCE_MS } from '../src/history/latest'

class Clock implements LatestClock {
  time = 0
  #timers: { at: number; run: () => void }[] = []
  now = () => this.time
  after = (ms: number, run: () => void) => {
    const timer = { at: this.time + ms, run }
    this.#timers.push(timer)
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer)
    }
  }
  pass(ms: number): void {
    this.time += ms
    const due = this.#timers.filter(({ at }) => at <= this.time)
    this.#timers = this.#timers.filter(({ at }) => at > this.time)
    for (const { run } of due) run()
  }
}

interface Request {
  readonly wanted: number
  readonly signal: AbortSignal
  readonly answer: (text: string) => Promise<void>
  readonly fail: (error: unknown) => Promise<void>
}

let clock: Clock
let requests: Request[]
let log: string[]
let latest: Latest<number, string>
const settled = () => new Promise<void>((resolve) => setTimeout(resolve))

beforeEach(() => {
  clock = new Clock()
  requests = []
  log = []
  latest = new Latest(
    (wanted, signal) =>
      new Promise<string>((resolve, reject) => {
        requests.push({
          wanted,
          signal,
          answer: (text) => {
            resolve(text)
            return settled()
          },
          fail: (error) => {
            reject(error)
            return settled()
          },
        })
      }),
    (wanted, answer) => log.push(`${wanted} ${answer}`),
    (wanted, error) => log.push(`${wanted} failed: ${error}`),
    clock,
  )
})

const sent = () => requests.map(({ wanted }) => wanted)

test('of what is asked for while a request runs, only the newest is sent', async () => {
  for (const wanted of [1, 2, 3, 4]) latest.want(wanted)
  expect(sent()).toEqual([1])
  await requests[0]?.answer('one')
  expect(log).toEqual(['1 one'])
  expect(sent()).toEqual([1, 4])
  await requests[1]?.answer('four')
  expect(log).toEqual(['1 one', '4 four'])
  expect(requests.some(({ signal }) => signal.aborted)).toBe(false)
})

test('a slow request is aborted for a newer one, and what it still answers is not shown', async () => {
  latest.want(1)
  latest.want(2)
  clock.pass(PATIENCE_MS - 1)
  expect(sent()).toEqual([1])
  clock.pass(1)
  expect(sent()).toEqual([1, 2])
  expect(requests[0]?.signal.aborted).toBe(true)
  await requests[0]?.answer('late')
  await requests[1]?.answer('two')
  expect(log).toEqual(['2 two'])
})

test('what is asked for after a long wait goes out at once', () => {
  latest.want(1)
  clock.pass(10 * PATIENCE_MS)
  expect(requests[0]?.signal.aborted).toBe(false)
  latest.want(2)
  expect(sent()).toEqual([1, 2])
  expect(requests[0]?.signal.aborted).toBe(true)
})

test('a failure is told, unless something newer is wanted already', async () => {
  latest.want(1)
  await requests[0]?.fail('no')
  expect(log).toEqual(['1 failed: no'])
  latest.want(2)
  latest.want(3)
  await requests[1]?.fail('no')
  expect(sent()).toEqual([1, 2, 3])
  expect(log).toEqual(['1 failed: no'])
})

test('what the answer itself asks for is sent once', async () => {
  latest = new Latest(
    latest.run,
    (wanted) => wanted < 3 && latest.want(wanted + 1),
    () => {},
    clock,
  )
  latest.want(1)
  await requests[0]?.answer('')
  expect(sent()).toEqual([1, 2])
  await requests[1]?.answer('')
  expect(sent()).toEqual([1, 2, 3])
})

test('after the end nothing is sent or told', async () => {
  latest.want(1)
  latest.want(2)
  latest.stop()
  expect(requests[0]?.signal.aborted).toBe(true)
  await requests[0]?.answer('one')
  latest.want(3)
  clock.pass(10 * PATIENCE_MS)
  expect(sent()).toEqual([1])
  expect(log).toEqual([])
})
