import { afterEach, describe, expect, test } from 'vitest'
import * as Y from 'yjs'
import { Session } from './play'

let session: Session
afterEach(() => session.end())

const begin = (unsaved = 0) => {
  session = new Session(unsaved)
  session.provider.start()
  return session
}

describe('acknowledgements', () => {
  test('opening a document sends an empty SyncStep2 and counts no edit', () => {
    const server = new Y.Doc()
    server.getText('t').insert(0, 'there before')
    const { socket, doc, state } = begin()
    expect(state.phase).toBe('connecting')
    socket.welcome(server)
    expect(session.state.phase).toBe('live')
    expect(doc.getText('t').toString()).toBe('there before')
    expect(socket.documentMessages.map((bytes) => [...bytes])).toEqual([[0, 0]])
    expect(session.state.unsaved).toBe(0)
  })

  test('an edit is unsaved until the server says so, and not when others are saved', () => {
    const { socket } = begin()
    socket.welcome()
    session.type('a')
    session.type('b')
    expect(session.state.unsaved).toBe(2)
    socket.saved(1)
    expect(session.state.unsaved).toBe(2)
    socket.saved(1)
    expect(session.state.unsaved).toBe(1)
    socket.saved(1)
    expect(session.state.unsaved).toBe(0)
    expect(session.state.lastSavedAt).toBe(session.clock.now())
  })

  test('nothing is sent before the server told what it has: an edit could lack its predecessors there', () => {
    const { socket } = begin()
    socket.onopen?.()
    session.type('early')
    expect(socket.documentMessages).toEqual([])
    socket.sync(0, Y.encodeStateVector(new Y.Doc()))
    const copy = new Y.Doc()
    for (const update of socket.documentMessages) Y.applyUpdate(copy, update)
    expect(copy.getText('t').toString()).toBe('early')
  })

  test('what was in flight when the connection broke stays unsaved and is covered by the next SyncStep2', () => {
    begin().socket.welcome()
    session.socket.saved(1)
    session.type('x')
    session.socket.drop()
    session.type('y')
    expect(session.state.unsaved).toBe(2)
    session.reconnect().welcome()
    expect(session.sockets.length).toBe(2)
    expect(session.state.unsaved).toBe(2)
    session.socket.saved(1)
    expect(session.state.unsaved).toBe(0)
  })

  test('edits left by an earlier session count until they are covered', () => {
    begin(12)
    expect(session.state.unsaved).toBe(12)
    session.socket.welcome()
    session.socket.saved(1)
    expect(session.state.unsaved).toBe(0)
  })

  test('what the store on this device brings in is sent, but is no new edit', () => {
    begin().socket.welcome()
    const other = new Y.Doc()
    other.getText('t').insert(0, 'from another tab')
    Y.applyUpdate(session.doc, Y.encodeStateAsUpdate(other), 'store')
    expect(session.state.unsaved).toBe(0)
    expect(session.socket.documentMessages.length).toBe(2)
  })
})

describe('refusals', () => {
  test('a refused edit stops further ones, keeps the count and does not reconnect', () => {
    begin().socket.welcome()
    session.type('fine')
    session.type('too big')
    session.socket.saved(2)
    session.socket.json(101, { code: 'update-too-large', reason: 'too large', limit: 10, message: 2 })
    expect(session.state.refusal?.code).toBe('update-too-large')
    expect(session.state.unsaved).toBe(1)
    const sent = session.socket.documentMessages.length
    session.type('after')
    session.clock.pass(20_000)
    expect(session.socket.documentMessages.length).toBe(sent)
    expect(session.state.unsaved).toBe(2)
    expect(session.sockets.length).toBe(1)
    const refused = session.provider.refusedUpdate
    expect(refused && Y.decodeUpdate(refused).structs.length).toBe(1)
  })

  test('a refusal out of order takes its own message, and later acknowledgements skip it', () => {
    begin().socket.welcome()
    session.type('a')
    session.type('b')
    session.type('c')
    session.socket.json(101, { code: 'x', reason: '', message: 2 })
    session.socket.saved(3)
    expect(session.state.unsaved).toBe(1)
  })

  test('a message that is too big for the server is not sent again and again', () => {
    begin().socket.welcome()
    session.type('huge')
    session.socket.drop(1009)
    expect(session.state.refusal?.code).toBe('too-big')
    session.reconnect().welcome()
    expect(session.socket.documentMessages).toEqual([])
    expect(session.state.unsaved).toBe(1)
  })
})

test('an edit that can not be stored now is held, and sent when the server asks again', () => {
  begin().socket.welcome()
  session.socket.saved(1)
  session.socket.json(103, { ok: false, reason: 'disk full' })
  session.type('a')
  session.socket.json(101, { code: 'not-stored', reason: 'disk full', message: 1 })
  session.type('b')
  expect(session.state).toMatchObject({ refusal: null, notStoring: 'disk full', unsaved: 2 })
  expect(session.socket.documentMessages.length).toBe(2)
  session.socket.json(103, { ok: true })
  session.socket.sync(0, Y.encodeStateVector(new Y.Doc()))
  const copy = new Y.Doc()
  Y.applyUpdate(copy, session.socket.documentMessages.at(-1) as Uint8Array)
  expect(copy.getText('t').toString()).toBe('ab')
  session.socket.saved(1)
  expect(session.state).toMatchObject({ notStoring: null, unsaved: 0 })
})

describe('the connection', () => {
  test.each([
    [4404, 'gone'],
    [4409, 'other-epoch'],
    [4403, 'forbidden'],
  ] as const)('%i ends it: %s', (code, halt) => {
    begin().socket.welcome()
    session.socket.drop(code)
    session.clock.pass(600_000)
    expect(session.state).toMatchObject({ phase: 'halted', halt })
    expect(session.sockets.length).toBe(1)
  })

  test('closes that blame this page are not an endless loop', () => {
    begin()
    for (let round = 0; round < 10; round++) {
      session.socket.welcome()
      session.socket.drop(4400)
      session.reconnect()
    }
    expect(session.sockets.length).toBe(3)
    expect(session.state.halt).toBe('rejected')
  })

  test('silence is a lost connection, a sign of life is not', () => {
    begin().socket.welcome()
    session.clock.pass(30_000)
    session.socket.onmessage?.({ data: Uint8Array.of(1, 1, 0).buffer })
    session.clock.pass(30_000)
    expect(session.state.phase).toBe('live')
    session.clock.pass(60_000)
    expect(session.sockets.length).toBeGreaterThan(1)
  })

  test('waiting grows with each failure and never passes the cap', () => {
    begin()
    const waits: number[] = []
    for (let round = 0; round < 12; round++) {
      session.socket.drop()
      waits.push((session.state.retryAt ?? 0) - session.clock.now())
      session.clock.pass(waits.at(-1) ?? 0)
    }
    expect(waits[0]).toBeLessThan(300)
    expect(Math.max(...waits)).toBeLessThanOrEqual(15_000)
    expect(waits).toEqual([...waits].sort((a, b) => a - b))
  })

  test('"Try now" does not wait, and a late event of an old socket changes nothing', () => {
    begin().socket.welcome()
    const old = session.socket
    old.drop()
    session.provider.retryNow()
    expect(session.sockets.length).toBe(2)
    old.drop(4404)
    expect(session.state.halt).toBeNull()
  })

  test('others’ presence that does not parse costs no connection', () => {
    begin().socket.welcome()
    session.socket.onmessage?.({ data: Uint8Array.of(1, 6, 1, 9, 1, 2, 123, 33).buffer })
    expect(session.state.phase).toBe('live')
  })

  test('others are gone from the presence while the connection is', () => {
    begin().socket.welcome()
    const state = '{"user":{"name":"Ada"}}'
    const bytes = new TextEncoder().encode(state)
    session.socket.onmessage?.({
      data: Uint8Array.of(1, bytes.length + 4, 1, 9, 1, bytes.length, ...bytes).buffer,
    })
    expect(session.awareness.getStates().has(9)).toBe(true)
    session.socket.drop()
    expect(session.awareness.getStates().has(9)).toBe(false)
  })
})
