// The real Yjs behind a line protocol: one JSON request per line in, one JSON answer per line out. Updates are hex.
import { createInterface } from 'node:readline'
import * as Y from 'yjs'

const decode = (text) => new Uint8Array(Buffer.from(text, 'hex'))
const encode = (bytes) => Buffer.from(bytes).toString('hex')

/** mulberry32: small, seeded, good enough to choose edits by. */
const randomness = (seed) => {
  let state = seed >>> 0
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
  return {
    below: (n) => Math.floor(next() * n),
    chance: (p) => next() < p,
    of: (list) => list[Math.floor(next() * list.length)]
  }
}

const exact = (_key, value) => {
  if (typeof value === 'bigint') return `bigint ${value}`
  if (Object.is(value, -0)) return 'minus zero'
  if (value === undefined) return 'undefined'
  if (value instanceof Uint8Array) return `bytes ${encode(value)}`
  return value
}

/** An object's keys in one order, as yrs does not keep the order in which they were set. */
const sorted = (value) => {
  if (Array.isArray(value)) return value.map(sorted)
  if (value === null || typeof value !== 'object' || value instanceof Uint8Array || value instanceof Y.Doc) return value
  return Object.fromEntries(Object.keys(value).sort().map((key) => [key, sorted(value[key])]))
}

const subdocuments = (value) => value instanceof Y.Doc ? { guid: value.guid, meta: value.meta } : value

/** Everything that replicas must agree on. */
const fingerprint = (doc) => {
  const content = {
    text: doc.getText('text').toDelta(),
    map: doc.getMap('map').toJSON(),
    array: doc.getArray('array').toJSON(),
    xml: doc.getXmlFragment('xml').toString()
  }
  content.map.subdocument = subdocuments(content.map.subdocument)
  const vector = [...Y.decodeStateVector(Y.encodeStateVector(doc))].sort((a, b) => a[0] - b[0])
  const deletes = [...Y.createDeleteSetFromStructStore(doc.store).clients]
    .map(([client, ranges]) => [client, ranges.map(({ clock, len }) => [clock, len])])
    .sort((a, b) => a[0] - b[0])
  const pending = doc.store.pendingStructs !== null || doc.store.pendingDs !== null
  return { content: JSON.stringify(sorted(content), exact), vector: JSON.stringify(vector), deletes: JSON.stringify(deletes), pending }
}

/** One transaction, so that the clean-up of redundant marks sees the final state only. */
const load = (updates, gc) => {
  const doc = new Y.Doc({ gc })
  doc.transact(() => { for (const update of updates) Y.applyUpdate(doc, update) })
  return doc
}

const words = ['a', 'be', 'sea', 'Größe', '文書', '😀', 'x😀y', 'the quick brown fox ']
const values = () => [null, true, false, 0, 7, -65, 1.5, 2 ** 40, 1e300, 'text', '', [1, [2, { k: 3 }]], { b: 1, a: { c: [] } }, new Uint8Array([0, 255]), undefined]
const lossyValues = [12n, -0, { deep: [-0, 2n ** 60n] }]

const editText = (text, random) => {
  const at = random.below(text.length + 1)
  const some = Math.min(text.length - at, 1 + random.below(8))
  switch (random.below(6)) {
    case 0: case 1: return text.insert(at, random.of(words))
    case 2: return text.insert(at, random.of(words), random.of([{ bold: true }, { link: { href: 'u' } }, { bold: null }]))
    case 3: return text.insertEmbed(at, random.of([{ image: 'u"\\' }, { n: 1e20, a: [null, -1.5] }]))
    case 4: return some > 0 && text.format(at, some, random.of([{ bold: true }, { bold: null }, { em: { x: 1, y: '' } }]))
    default: return some > 0 && text.delete(at, some)
  }
}

const newType = (random) => random.of([
  () => new Y.Map([['k', 1], ['l', 'two']]), () => Y.Array.from([1, 'two', [3]]), () => new Y.Text('nested')
])()

const editMap = (map, random, lossy) => {
  const key = random.of(['k', 'l', 'm'])
  const inner = map.get(key)
  switch (random.below(6)) {
    case 0: return map.delete(key)
    case 1: return map.set(key, newType(random))
    case 2: if (inner instanceof Y.Map) return editMap(inner, random, lossy)
    case 3: if (inner instanceof Y.Text) return editText(inner, random)
    case 4: if (inner instanceof Y.Array) return editArray(inner, random, lossy)
    default: return map.set(key, random.of(lossy ? lossyValues : values()))
  }
}

/** A Y.Array refuses some values unless they lie in another one. */
const inList = (value) => value === undefined || typeof value === 'bigint' ? [value] : value

const editArray = (array, random, lossy) => {
  const at = random.below(array.length + 1)
  switch (random.below(4)) {
    case 0: return at < array.length && array.delete(at, Math.min(array.length - at, 1 + random.below(3)))
    case 1: return array.insert(at, [newType(random)])
    default: return array.insert(at, Array.from({ length: 1 + random.below(4) }, () => inList(random.of(lossy ? lossyValues : values()))))
  }
}

const editXml = (parent, random) => {
  const at = random.below(parent.length + 1)
  const child = at < parent.length ? parent.get(at) : null
  switch (random.below(6)) {
    case 0: return child !== null && parent.delete(at, 1)
    case 1: if (child instanceof Y.XmlElement) return child.setAttribute(random.of(['id', 'class']), random.of(words))
    case 2: if (child instanceof Y.XmlElement) return child.removeAttribute('id')
    case 3: if (child instanceof Y.XmlElement) return editXml(child, random)
    case 4: if (child instanceof Y.XmlText) return editText(child, random)
    default: return parent.insert(at, [random.chance(0.5) ? new Y.XmlElement('p') : new Y.XmlText(random.of(words))])
  }
}

const editSomething = (doc, random, lossy) => {
  switch (random.below(8)) {
    case 0: return editMap(doc.getMap('map'), random, lossy)
    case 1: return editArray(doc.getArray('array'), random, lossy)
    case 2: case 3: return editXml(doc.getXmlFragment('xml'), random)
    default: return editText(doc.getText('text'), random)
  }
}

/**
 * People edit at once, hear of each other late, undo, and finally all know everything. Returns each update in the order
 * in which it was made, how many of them were made before the late edits, and canaries that were typed and deleted.
 */
const session = ({ seed, edits, lossy, late }) => {
  const random = randomness(seed)
  const made = []
  const canaries = []
  const people = Array.from({ length: 2 + random.below(4) }, (_, number) => {
    const doc = new Y.Doc({ gc: random.chance(0.5) })
    doc.clientID = random.chance(0.5) ? 1 + number * 3 + random.below(3) : random.below(2 ** 32)
    for (const root of [doc.getText('text'), doc.getXmlFragment('xml'), doc.getMap('map'), doc.getArray('array')]) root.length
    const person = { doc, heard: 0 }
    doc.on('update', (update, origin) => { if (origin !== 'heard') made.push(update) })
    person.undo = new Y.UndoManager([doc.getText('text'), doc.getMap('map'), doc.getArray('array'), doc.getXmlFragment('xml')], { captureTimeout: 0, trackedOrigins: new Set(['edit']) })
    return person
  })
  const hear = (person, until) => {
    while (person.heard < until) {
      const upTo = Math.min(until, person.heard + 1 + random.below(5))
      const heard = made.slice(person.heard, upTo)
      if (random.chance(0.2)) heard.reverse()
      for (const update of heard) Y.applyUpdate(person.doc, update, 'heard')
      person.heard = upTo
    }
  }
  const act = () => {
    const person = random.of(people)
    if (random.chance(0.3)) hear(person, person.heard + random.below(made.length - person.heard + 1))
    if (random.chance(0.07)) return person.undo.undo()
    if (random.chance(0.04)) return person.undo.redo()
    if (random.chance(0.05)) {
      const canary = `CANARY${canaries.length}Y${seed}`
      const text = person.doc.getText('text')
      const at = random.below(text.length + 1)
      text.insert(at, canary)
      text.delete(at, canary.length)
      return canaries.push(canary)
    }
    const several = random.chance(0.2) ? 1 + random.below(6) : 1
    person.doc.transact(() => { for (let n = 0; n < several; n++) editSomething(person.doc, random, lossy && random.chance(0.3)) }, 'edit')
  }
  for (let n = 0; n < edits; n++) act()
  if (lossy) people[0].doc.getMap('map').set('subdocument', new Y.Doc({ guid: `g${seed}`, meta: { m: 1 } }))
  const settle = () => {
    for (let before = -1; before !== made.length;) {
      before = made.length
      for (const person of people) hear(person, made.length)
    }
  }
  settle()
  const early = made.length
  // Each of these was made by somebody who had seen everything, and not the other late ones.
  for (let n = 0; n < late; n++) people[n % people.length].doc.transact(() => editSomething(people[n % people.length].doc, random, false), 'edit')
  return { updates: made.map(encode), early, canaries, kept: encode(Y.encodeStateAsUpdate(load(made.slice(0, early), false))) }
}

const requests = {
  session,
  /** What a fresh document shows after these updates. */
  load: ({ updates, gc }) => fingerprint(load(updates.map(decode), gc)),
  merge: ({ updates }) => ({ update: encode(Y.mergeUpdates(updates.map(decode))) }),
  /** What somebody who has `have` is still sent by somebody who has `updates`. */
  diff: ({ updates, have }) => ({ update: encode(Y.encodeStateAsUpdate(load(updates.map(decode), false), Y.encodeStateVector(load(have.map(decode), false)))) })
}

for await (const line of createInterface({ input: process.stdin })) {
  const { ask, ...rest } = JSON.parse(line)
  let answer
  try {
    answer = requests[ask](rest)
  } catch (error) {
    answer = { error: String(error.stack) }
  }
  process.stdout.write(JSON.stringify(answer) + '\n')
}
