import { beforeEach, describe, expect, test } from 'vitest'
import * as Y from 'yjs'
import { Line } from '../src/lab/network'
import { seeded } from '../src/lab/random'
import type { SocketLike } from '../src/sync/provider'
import { PlayedClock, PlayedSocket, Session } from './play'

let clock: PlayedClock
let line: Line
let cuts: number
let real: RecordingSocket[]

/** The real socket behind a line: takes down what reaches it. */
class RecordingSocket implements SocketLike {
  binaryType = ''
  onopen: (() => void) | null = null
  onmessage: ((event: { data: unknown }) => void) | null = null
  onclose: ((event: { code: number; reason: string }) => void) | null = null
  readonly got: number[] = []
  closedWith: number | null | undefined = null

  send(bytes: Uint8Array<ArrayBuffer>): void {
    this.got.push(bytes[0] ?? -1)
  }

  close(code?: number): void {
    this.closedWith = code
  }

  tell(byte: number): void {
    this.onmessage?.({ data: new Uint8Array([byte]).buffer })
  }
}

const frame = (byte: number) => new Uint8Array([byte])

beforeEach(() => {
  clock = new PlayedClock()
  cuts = 0
  real = []
  line = new Line({ ...clock, random: seeded(7) }, () => cuts++)
})

/** A person's end of a connection, and what it heard. */
function dial() {
  const heard: (number | string)[] = []
  const socket = line.connect(() => {
    const socket = new RecordingSocket()
    real.push(socket)
    return socket
  })
  socket.onopen = () => heard.push('open')
  socket.onmessage = ({ data }) => heard.push(new Uint8Array(data as ArrayBuffer)[0] ?? -1)
  socket.onclose = ({ code }) => heard.push(`closed ${code}`)
  return { socket, heard }
}

const server = () => {
  const socket = real.at(-1)
  if (!socket) throw new Error('nobody has dialled')
  return socket
}

describe('delay', () => {
  test('without one, frames pass at once', () => {
    const { socket, heard } = dial()
    server().onopen?.()
    socket.send(frame(1))
    server().tell(2)
    expect(server().got).toEqual([1])
    expect(heard).toEqual(['open', 2])
  })

  test('the handshake takes a round trip and each frame one way', () => {
    line.set({ delayMs: 300 })
    const { socket, heard } = dial()
    expect(real).toEqual([])
    clock.pass(300)
    server().onopen?.()
    clock.pass(299)
    expect(heard).toEqual([])
    clock.pass(1)
    expect(heard).toEqual(['open'])
    socket.send(frame(1))
    clock.pass(299)
    expect(server().got).toEqual([])
    clock.pass(1)
    expect(server().got).toEqual([1])
  })

  test('frames that vary by their whole delay still arrive in order, in both directions', () => {
    line.set({ delayMs: 500, jitter: 1 })
    const { socket, heard } = dial()
    clock.pass(1_000)
    server().onopen?.()
    clock.pass(1_000)
    const numbers = Array.from({ length: 60 }, (_, at) => at)
    for (const number of numbers) {
      socket.send(frame(number))
      server().tell(number)
      clock.pass(13)
    }
    clock.pass(1_000)
    expect(server().got).toEqual(numbers)
    expect(heard).toEqual(['open', ...numbers])
  })

  test('a frame sent after the network got faster does not overtake', () => {
    const { socket } = dial()
    server().onopen?.()
    line.set({ delayMs: 1_000 })
    socket.send(frame(1))
    line.set({ delayMs: 0 })
    socket.send(frame(2))
    expect(server().got).toEqual([])
    clock.pass(1_000)
    expect(server().got).toEqual([1, 2])
  })

  test('delays lie within the variation, and differ', () => {
    line.set({ delayMs: 100, jitter: 0.5 })
    const arrivals = new Set<number>()
    for (let turn = 0; turn < 40; turn++) {
      const { socket } = dial()
      clock.pass(200)
      const before = clock.time
      socket.send(frame(1))
      while (server().got.length === 0) clock.pass(1)
      arrivals.add(clock.time - before)
      socket.close()
      clock.pass(200)
    }
    expect(Math.min(...arrivals)).toBeGreaterThanOrEqual(50)
    expect(Math.max(...arrivals)).toBeLessThanOrEqual(151)
    expect(arrivals.size).toBeGreaterThan(10)
  })

  test('the server’s close comes after what it said before', () => {
    line.set({ delayMs: 100 })
    const { heard } = dial()
    clock.pass(100)
    server().onopen?.()
    server().tell(5)
    server().onclose?.({ code: 4404, reason: 'gone' })
    clock.pass(100)
    expect(heard).toEqual(['open', 5, 'closed 4404'])
  })

  test('what was sent before one’s own close arrives, and then the close', () => {
    line.set({ delayMs: 100 })
    const { socket, heard } = dial()
    clock.pass(100)
    server().onopen?.()
    clock.pass(100)
    socket.send(frame(1))
    socket.close(1000)
    expect(server().closedWith).toBe(null)
    clock.pass(100)
    expect(server().got).toEqual([1])
    expect(server().closedWith).toBe(1000)
    expect(heard).toEqual(['open', 'closed 1000'])
  })
})

describe('a connection that breaks', () => {
  test('loses what was under way in both directions, and both ends end', () => {
    line.set({ delayMs: 100 })
    const { socket, heard } = dial()
    clock.pass(100)
    server().onopen?.()
    clock.pass(100)
    socket.send(frame(1))
    server().tell(2)
    line.cut()
    clock.pass(1_000)
    expect(heard).toEqual(['open', 'closed 1006'])
    expect(server().got).toEqual([])
    expect(server().closedWith).not.toBe(null)
    expect(cuts).toBe(1)
    expect(line.traffic.cuts).toBe(1)
    socket.send(frame(3))
    clock.pass(1_000)
    expect(server().got).toEqual([])
    expect(line.traffic.sentMessages).toBe(1)
  })

  test('cuts come at about the rate asked for, at uneven times', () => {
    const times: number[] = []
    line = new Line({ ...clock, random: seeded(3) }, () => times.push(clock.time))
    line.set({ cutsPerMinute: 6 })
    const minutes = 100
    for (let second = 0; second < minutes * 60; second++) {
      dial()
      clock.pass(1_000)
    }
    expect(times.length / minutes).toBeGreaterThan(4.8)
    expect(times.length / minutes).toBeLessThan(7.2)
    const pauses = times.slice(1).map((time, at) => time - (times[at] ?? 0))
    expect(Math.min(...pauses)).toBeLessThan(2_000)
    expect(Math.max(...pauses)).toBeGreaterThan(25_000)
    line.set({ cutsPerMinute: 0 })
    const before = times.length
    clock.pass(600_000)
    expect(times.length).toBe(before)
  })

  test('a line without a connection has nothing to cut', () => {
    line.cut()
    expect(line.traffic.cuts).toBe(0)
    expect(cuts).toBe(0)
  })
})

describe('offline', () => {
  test('an attempt made without a network does not hold up the return', () => {
    line.set({ offline: true })
    const { heard } = dial()
    line.set({ offline: false })
    expect(heard).toEqual(['closed 1006'])
    clock.pass(0)
    expect(heard).toEqual(['closed 1006'])
  })

  test('breaks what is open, refuses what is tried, and is no cut', () => {
    const { heard } = dial()
    server().onopen?.()
    line.set({ offline: true })
    expect(heard).toEqual(['open', 'closed 1006'])
    const second = dial()
    expect(second.heard).toEqual([])
    clock.pass(0)
    expect(second.heard).toEqual(['closed 1006'])
    expect(real.length).toBe(1)
    expect(line.traffic.cuts).toBe(0)
    line.set({ offline: false })
    dial()
    expect(real.length).toBe(2)
  })
})

test('traffic counts what the person handed over and what reached them', () => {
  line.set({ delayMs: 50 })
  const { socket } = dial()
  clock.pass(50)
  server().onopen?.()
  clock.pass(50)
  socket.send(new Uint8Array(10))
  socket.send(new Uint8Array(5))
  server().onmessage?.({ data: new Uint8Array(7).buffer })
  expect(line.traffic).toEqual({
    sentBytes: 15,
    sentMessages: 2,
    receivedBytes: 0,
    receivedMessages: 0,
    cuts: 0,
  })
  clock.pass(50)
  expect(line.traffic).toMatchObject({ receivedBytes: 7, receivedMessages: 1 })
})

test('the provider reconnects over a line that was cut, and sends again what was lost', () => {
  const sockets: PlayedSocket[] = []
  const session = new Session(0, (time) => {
    clock = time
    line = new Line(time)
    line.set({ delayMs: 200 })
    return () =>
      line.connect(() => {
        const socket = new PlayedSocket()
        sockets.push(socket)
        return socket
      })
  })
  session.provider.start()
  clock.pass(200)
  sockets[0]?.welcome()
  clock.pass(400)
  expect(session.state.phase).toBe('live')
  session.type('lost on the way')
  line.cut()
  expect(session.state.phase).toBe('waiting')
  clock.pass(1_000)
  sockets[1]?.welcome()
  clock.pass(400)
  const received = new Y.Doc()
  for (const update of sockets[1]?.documentMessages ?? []) Y.applyUpdate(received, update)
  expect(received.getText('t').toString()).toBe('lost on the way')
  expect(sockets[0]?.documentMessages.length).toBe(1)
  session.end()
})
