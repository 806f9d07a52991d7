import * as encoding from 'lib0/encoding'
import { describe, expect, test } from 'vitest'
import { decodeMessage, encodeAwareness, encodeStep1, encodeStep2, encodeUpdate } from '../src/sync/protocol'

const bytes = (write: (encoder: encoding.Encoder) => void) => new Uint8Array(encoding.encode(write))
const json = (type: number, value: unknown) =>
  bytes((encoder) => {
    encoding.writeVarUint(encoder, type)
    encoding.writeVarString(encoder, JSON.stringify(value))
  })

describe('framing', () => {
  test('is that of y-websocket', () => {
    expect([...encodeStep1(Uint8Array.of(0))]).toEqual([0, 0, 1, 0])
    expect([...encodeStep2(Uint8Array.of(0, 0))]).toEqual([0, 1, 2, 0, 0])
    expect([...encodeUpdate(Uint8Array.of(7))]).toEqual([0, 2, 1, 7])
    expect([...encodeAwareness(Uint8Array.of(0))]).toEqual([1, 1, 0])
  })

  test('what is encoded is decoded', () => {
    expect(decodeMessage(encodeStep1(Uint8Array.of(3)))).toEqual({
      kind: 'step-1',
      stateVector: Uint8Array.of(3),
    })
    expect(decodeMessage(encodeUpdate(Uint8Array.of(3)))).toEqual({
      kind: 'update',
      update: Uint8Array.of(3),
    })
  })

  test('the private messages', () => {
    expect(decodeMessage(Uint8Array.of(100, 5))).toEqual({ kind: 'saved', count: 5 })
    expect(decodeMessage(json(101, { code: 'c', reason: 'r', limit: 9, message: 4, other: 1 }))).toEqual({
      kind: 'refused',
      refusal: { code: 'c', reason: 'r', limit: 9, message: 4 },
    })
    expect(decodeMessage(json(103, { ok: false, reason: 'disk full' }))).toEqual({
      kind: 'storing',
      ok: false,
      reason: 'disk full',
    })
  })

  test('an unknown type is named, not thrown', () => {
    expect(decodeMessage(Uint8Array.of(99))).toEqual({ kind: 'unknown', type: 99 })
  })

  test.each([[[]], [[0]], [[0, 2, 9, 1]], [[0, 7, 0]], [[101, 2, 123, 33]]])('%j is broken', (broken) => {
    expect(() => decodeMessage(Uint8Array.from(broken))).toThrow()
  })
})
