// The real Yjs behind a line protocol: one JSON request per line in, one JSON answer per line out. Updates are hex.
import * as Y from 'yjs'
import { decode, encode, fingerprint, load, randomness, roots } from './document.mjs'
import { editSomething } from './edits.mjs'
import { serve } from './serve.mjs'

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
    roots(doc)
    const person = { doc, heard: 0 }
    doc.on('update', (update, origin) => { if (origin !== 'heard') made.push(update) })
    person.undo = new Y.UndoManager(roots(doc), { captureTimeout: 0, trackedOrigins: new Set(['edit']) })
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
    person.doc.transact(() => { for (let n = 0; n < several; n++) editSomething(person.doc, random, { lossy: lossy && random.chance(0.3) }) }, 'edit')
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
  for (let n = 0; n < late; n++) people[n % people.length].doc.transact(() => editSomething(people[n % people.length].doc, random, {}), 'edit')
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

await serve(requests)
