// The histories behind known defects of yrs and Yjs, made anew by the real Yjs: for each the updates in the order in
// which they arrive, and what Yjs makes of them in that order.
import * as Y from 'yjs'
import { decode, encode, fingerprint, load } from './document.mjs'
import { serve } from './serve.mjs'

/** A document that notes every update of its own. */
const writer = (clientID, gc = true) => {
  const doc = new Y.Doc({ gc })
  doc.clientID = clientID
  const made = []
  doc.on('update', (update, origin) => { if (origin !== 'heard') made.push(update) })
  return { doc, made, hear: (update) => Y.applyUpdate(doc, update, 'heard') }
}

const state = (doc, of) => of === undefined ? Y.encodeStateAsUpdate(doc) : Y.encodeStateAsUpdate(doc, Y.encodeStateVector(of))

const histories = {
  /** y-crdt #268: merging lost the first structs of a client that the other update did not have. */
  'merged updates lose the beginning of a client': () => {
    const [a, b] = [writer(1), writer(2)]
    a.doc.getText('text').insert(0, 'aaa')
    a.doc.getText('text').insert(0, 'aaa')
    b.doc.getText('text').insert(0, 'bb')
    b.doc.getText('text').insert(2, 'b')
    b.doc.getText('text').insert(2, 'bbb')
    return [Y.mergeUpdates(a.made), Y.mergeUpdates(b.made), Y.mergeUpdates([...b.made, ...a.made])]
  },
  /** y-crdt #407: a delete set over ranges of which some are deleted already cleared a map in part. */
  'a map is cleared in part': () => {
    const [a, b] = [writer(11), writer(12)]
    for (let n = 0; n < 60; n++) {
      const [one, other] = n % 2 === 0 ? [a, b] : [b, a]
      const map = one.doc.getMap('map')
      one.doc.transact(() => { for (let k = 0; k < 5; k++) map.set(`k${(n * 7 + k) % 23}`, n % 3 === 0 ? new Y.Map([['x', n]]) : n) })
      if (n % 4 === 0) map.delete(`k${n % 23}`)
      if (n % 5 === 0) other.hear(state(one.doc, other.doc))
    }
    b.hear(state(a.doc, b.doc))
    b.doc.transact(() => b.doc.getMap('map').clear())
    return [state(a.doc), ...a.made, ...b.made, state(b.doc)]
  },
  /** y-crdt #605: a delete range that began in collected history ended there. */
  'a deletion stops at what is collected': () => {
    const [a, b] = [writer(21), writer(22)]
    const blocks = a.doc.getXmlFragment('xml')
    for (let n = 0; n < 4; n++) blocks.insert(n, [new Y.XmlElement('p')])
    for (let n = 0; n < 4; n++) blocks.get(n).insert(0, [new Y.XmlText(`line ${n}`)])
    const before = state(a.doc)
    b.hear(before)
    blocks.delete(0, 2)
    const first = state(a.doc, b.doc)
    b.hear(first)
    blocks.delete(0, 2)
    a.doc.getText('text').insert(0, 'after')
    return [before, first, state(a.doc, b.doc)]
  },
  /** y-crdt #607: a key that was set in the transaction that deleted its neighbour, a container, outlived its deletion. */
  'a key outlives its deletion': () => {
    const [a, b] = [writer(31), writer(32)]
    a.doc.getMap('map').set('box', new Y.Map())
    b.hear(state(a.doc))
    for (let n = 0; n < 3; n++) b.doc.getMap('map').get('box').set(`n${n}`, new Y.Array())
    b.doc.transact(() => { b.doc.getMap('map').set('new', [1]); b.doc.getMap('map').delete('box') })
    a.hear(state(b.doc, a.doc))
    a.doc.getMap('map').delete('new')
    return [a.made[0], ...b.made, state(a.doc)]
  },
  /** y-crdt #582 and #628: deletions that came before what they delete were forgotten. */
  'a deletion comes before what it deletes': () => {
    const a = writer(41)
    a.doc.getText('text').insert(0, 'foo')
    a.doc.getText('text').delete(0, 1)
    a.doc.getText('text').insert(2, 'bar')
    a.doc.getText('text').delete(1, 2)
    return [a.made[3], a.made[1], a.made[2], a.made[0]]
  },
  /** y-crdt #628: an update that brings structs and deletions, of which the deletions alone are new. */
  'a delete set comes with structs that are known': () => {
    const [a, b] = [writer(51), writer(52)]
    a.doc.getText('text').insert(0, 'some words')
    b.hear(state(a.doc))
    const before = state(b.doc)
    a.doc.getText('text').delete(2, 5)
    return [before, state(a.doc), before, ...a.made]
  },
  /** y-crdt #413: keys of a map that arrived in another order kept an old value. */
  'a key keeps an old value': () => {
    const a = writer(61)
    const map = a.doc.getMap('map')
    map.set('a', 1)
    map.set('a', 1.1)
    map.set('b', 2)
    map.set('a', 3)
    return [3, 1, 2, 0].map((n) => a.made[n])
  },
  /** y-crdt #404: what is inserted into a list that was collected meanwhile was deleted as if it were live. */
  'an insertion into what is collected': () => {
    const [a, b] = [writer(71), writer(72, false)]
    a.doc.getMap('map').set('list', Y.Array.from([1, 2, 3]))
    b.hear(state(a.doc))
    a.doc.getMap('map').delete('list')
    b.doc.getMap('map').get('list').insert(1, ['late', new Y.Text('nested')])
    b.doc.getMap('map').get('list').delete(0, 1)
    return [state(a.doc), ...b.made]
  },
  /** y-crdt #391: after marks next to what is collected the state could not be encoded. */
  'marks beside what is collected': () => {
    const [a, b] = [writer(81), writer(82, false)]
    a.doc.getText('text').insert(0, 'one two three', { bold: true })
    b.hear(state(a.doc))
    a.doc.getText('text').delete(0, 13)
    b.doc.getText('text').format(2, 6, { bold: null, em: true })
    b.doc.getText('text').insert(4, 'late', { link: { href: 'u' } })
    return [state(a.doc), ...b.made, state(b.doc)]
  },
  /** y-crdt #632: structs after a gap at the beginning of their client, which Yjs 13 parks for ever. */
  'a gap at the beginning of a client': () => {
    const a = writer(91)
    for (const letter of 'abc') a.doc.getText('text').insert(a.doc.getText('text').length, letter)
    return [a.made[2], Y.mergeUpdates([a.made[1], a.made[2]]), Y.mergeUpdates([a.made[0], a.made[2]]), a.made[1]]
  },
  /** Pending structs of several clients in a chain: each update needs the one that comes after it. */
  'a chain comes from its end': () => {
    const people = [writer(101), writer(102), writer(103), writer(104)]
    const all = []
    for (let n = 0; n < 12; n++) {
      const { doc, made, hear } = people[n % 4]
      all.forEach((update) => hear(update))
      doc.getText('text').insert(Math.min(n, doc.getText('text').length), `<${n}>`)
      all.push(made.at(-1))
    }
    return all.reverse()
  }
}

await serve({
  histories: () => Object.entries(histories).map(([name, make]) => {
    const updates = make()
    return { name, updates: updates.map(encode) }
  }),
  /** What a document holds that hears the updates one by one. */
  hear: ({ updates }) => {
    const doc = new Y.Doc()
    for (const update of updates) Y.applyUpdate(doc, decode(update))
    return fingerprint(doc)
  },
  load: ({ updates, gc }) => fingerprint(load(updates.map(decode), gc))
})
