// What the scripts share: bytes as hex, seeded chance, and what replicas of a document must agree on.
import * as Y from 'yjs'

export const decode = (text) => new Uint8Array(Buffer.from(text, 'hex'))
export const encode = (bytes) => Buffer.from(bytes).toString('hex')

/** mulberry32: small, seeded, good enough to choose edits by. */
export const randomness = (seed) => {
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

/** A shared type or a value as JSON; an object's keys in one order, as yrs does not keep the order in which they were set. */
const tree = (value) => {
  if (value instanceof Y.Text) return { text: value.toDelta().map(({ insert, attributes }) => ({ insert: tree(insert), attributes: tree(attributes ?? {}) })) }
  if (value instanceof Y.XmlElement) return { name: value.nodeName, attributes: tree(value.getAttributes()), children: value.toArray().map(tree) }
  if (value instanceof Y.XmlFragment || value instanceof Y.Array) return value.toArray().map(tree)
  if (value instanceof Y.Map) return tree(Object.fromEntries(value.entries()))
  if (value instanceof Y.Doc) return { guid: value.guid, meta: tree(value.meta) }
  if (Array.isArray(value)) return value.map(tree)
  if (value === null || typeof value !== 'object' || value instanceof Uint8Array) return value
  return Object.fromEntries(Object.keys(value).sort().map((key) => [key, tree(value[key])]))
}

/** Everything that replicas must agree on. */
export const fingerprint = (doc) => {
  const content = {
    text: tree(doc.getText('text')).text,
    map: tree(doc.getMap('map')),
    array: tree(doc.getArray('array')),
    xml: tree(doc.getXmlFragment('xml')),
    prosemirror: tree(doc.getXmlFragment('prosemirror'))
  }
  const vector = [...Y.decodeStateVector(Y.encodeStateVector(doc))].sort((a, b) => a[0] - b[0])
  const deletes = [...Y.createDeleteSetFromStructStore(doc.store).clients]
    .map(([client, ranges]) => [client, ranges.map(({ clock, len }) => [clock, len])])
    .sort((a, b) => a[0] - b[0])
  const pending = doc.store.pendingStructs !== null || doc.store.pendingDs !== null
  return { content: JSON.stringify(content, exact), vector: JSON.stringify(vector), deletes: JSON.stringify(deletes), pending }
}

/** The roots that people edit; a replica knows their types from the start. */
export const roots = (doc) => [doc.getText('text'), doc.getMap('map'), doc.getArray('array'), doc.getXmlFragment('xml'), doc.getXmlFragment('prosemirror')]

/** One transaction, so that the clean-up of redundant marks sees the final state only. */
export const load = (updates, gc) => {
  const doc = new Y.Doc({ gc })
  doc.transact(() => { for (const update of updates) Y.applyUpdate(doc, update) })
  return doc
}
