import { beforeEach, describe, expect, test } from 'vitest'
import * as Y from 'yjs'
import { Convergence, EditsUnderWay, furthest, judge, missing, total, vectorOf } from '../src/lab/meter'
import { scaleFor, Timeline, WINDOW_MS } from '../src/lab/timeline'

const ROOT = 'default'
let docs: [Y.Doc, Y.Doc, Y.Doc]
let edits: EditsUnderWay

beforeEach(() => {
  docs = [new Y.Doc(), new Y.Doc(), new Y.Doc()]
  edits = new EditsUnderWay()
  for (const doc of docs) {
    doc.on('afterTransaction', (transaction: Y.Transaction) => {
      if (transaction.local) edits.made(transaction, 0)
    })
  }
})

const write = (doc: Y.Doc, text: string) => {
  const paragraph = new Y.XmlElement('paragraph')
  paragraph.insert(0, [new Y.XmlText(text)])
  doc.getXmlFragment(ROOT).insert(0, [paragraph])
}
const bring = (from: Y.Doc, to: Y.Doc) =>
  Y.applyUpdate(to, Y.encodeStateAsUpdate(from, Y.encodeStateVector(to)))
const meet = () => {
  for (const from of docs) for (const to of docs) bring(from, to)
}

describe('state vectors', () => {
  test('what a replica lacks is told per client and in clocks', () => {
    const [a, b, c] = docs
    a.getText('t').insert(0, 'four')
    b.getText('t').insert(0, 'sixsix')
    bring(a, b)
    a.getText('t').insert(4, '!')
    const most = furthest(docs.map(vectorOf))
    expect([...most].sort()).toEqual(
      [
        [a.clientID, 5],
        [b.clientID, 6],
      ].sort(),
    )
    expect(missing(vectorOf(a), most)).toEqual(new Map([[b.clientID, 6]]))
    expect(missing(vectorOf(b), most)).toEqual(new Map([[a.clientID, 1]]))
    expect(total(missing(vectorOf(c), most))).toBe(11)
  })
})

describe('the verdict', () => {
  test('empty replicas are equal, and so are those that have met', () => {
    expect(judge(docs, ROOT)).toBe('equal')
    write(docs[0], 'one')
    write(docs[1], 'two')
    expect(judge(docs, ROOT)).toBe('apart')
    meet()
    expect(judge(docs, ROOT)).toBe('equal')
  })

  test('a deletion that not everyone has keeps them apart, though the state vectors are the same', () => {
    write(docs[0], 'one')
    meet()
    docs[0].getXmlFragment(ROOT).delete(0, 1)
    expect(vectorOf(docs[0])).toEqual(vectorOf(docs[1]))
    expect(judge(docs, ROOT)).toBe('apart')
    meet()
    expect(judge(docs, ROOT)).toBe('equal')
  })

  test('the same operations with another content are told as what they are', () => {
    write(docs[0], 'good')
    meet()
    const paragraph = docs[1].getXmlFragment(ROOT).get(0) as Y.XmlElement
    // No operation can do this; a bug could.
    const text = (paragraph.get(0) as Y.XmlText)._start
    ;(text?.content as Y.ContentString).str = 'evil'
    expect(judge(docs, ROOT)).toBe('diverged')
  })
})

describe('edits under way', () => {
  test('an edit is under way until the last replica has it', () => {
    write(docs[0], 'one')
    write(docs[0], 'two')
    write(docs[1], 'three')
    expect(edits.count).toBe(3)
    bring(docs[0], docs[1])
    edits.arrived(docs, 10)
    expect(edits.count).toBe(3)
    bring(docs[0], docs[2])
    edits.arrived(docs, 20)
    expect(edits.count).toBe(1)
    meet()
    edits.arrived(docs, 30)
    expect(edits.count).toBe(0)
    expect(edits.medianMs).toBe(20)
  })

  test('a deletion is an edit as well, and arrives when all have deleted', () => {
    docs[0].getText('t').insert(0, 'hello')
    meet()
    edits.arrived(docs, 0)
    docs[0].getText('t').delete(1, 2)
    edits.arrived(docs, 1)
    expect(edits.count).toBe(1)
    bring(docs[0], docs[1])
    edits.arrived(docs, 2)
    expect(edits.count).toBe(1)
    // Half of it, by another hand, is not all of it.
    docs[2].getText('t').delete(1, 1)
    edits.arrived(docs, 3)
    expect(edits.count).toBe(1)
    meet()
    edits.arrived(docs, 4)
    expect(edits.count).toBe(0)
  })

  test('a transaction that changes nothing is no edit', () => {
    docs[0].transact(() => {})
    expect(edits.count).toBe(0)
  })
})

test('time to convergence runs from the last edit, once, and keeps last, median and longest', () => {
  const convergence = new Convergence()
  const { times } = convergence
  convergence.converged(5)
  expect([times.last, times.median, times.longest]).toEqual([null, null, null])
  for (const [edited, equal] of [
    [100, 300],
    [1_000, 1_050],
    [2_000, 3_000],
  ] as const) {
    convergence.edited(edited - 90)
    convergence.edited(edited)
    convergence.converged(equal)
    convergence.converged(equal + 500)
  }
  expect([times.last, times.median, times.longest]).toEqual([1_000, 200, 1_000])
  convergence.edited(4_000)
  convergence.converged(4_010)
  expect([times.last, times.median, times.longest]).toEqual([10, 125, 1_000])
})

describe('the timeline', () => {
  test('keeps a minute, and one sample from before it so that the line reaches the edge', () => {
    const timeline = new Timeline()
    for (let at = 0; at <= WINDOW_MS * 2; at += 1_000) timeline.sample(at, [at])
    expect(timeline.samples[0]?.at).toBe(WINDOW_MS)
    expect(timeline.samples.at(-1)?.at).toBe(WINDOW_MS * 2)
    expect(timeline.samples.length).toBe(61)
  })

  test('a time without network is forgotten a minute after its end, and never while it lasts', () => {
    const timeline = new Timeline()
    timeline.wentOffline(0, 1)
    timeline.wentOffline(5, 1)
    timeline.wentOffline(0, 2)
    timeline.cut(10, 0)
    timeline.cameBack(1_000, 2)
    timeline.sample(WINDOW_MS + 500, [0])
    expect(timeline.gaps).toEqual([
      { person: 1, from: 0, to: null },
      { person: 2, from: 0, to: 1_000 },
    ])
    expect(timeline.cuts).toEqual([])
    timeline.sample(WINDOW_MS + 1_001, [0])
    expect(timeline.gaps).toEqual([{ person: 1, from: 0, to: null }])
  })

  test('the scale is the next round number', () => {
    expect([0, 10, 11, 21, 99, 101, 4_000].map(scaleFor)).toEqual([10, 10, 20, 50, 100, 200, 5_000])
  })
})
