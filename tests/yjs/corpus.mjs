// Writes the seeds of the fuzz targets (`fuzz/corpus-seed`): what the real clients say and send, and the delete sets,
// state vectors and programs that go with it. Always the same: `node tests/yjs/corpus.mjs`.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import * as encoding from 'lib0/encoding'
import * as awareness from 'y-protocols/awareness'
import * as sync from 'y-protocols/sync'
import * as Y from 'yjs'
import { randomness, roots } from './document.mjs'
import { editSomething } from './edits.mjs'

const folder = new URL('../../fuzz/corpus-seed/', import.meta.url)
const LIST = 2
/** Seeds of at most so many bytes: what is found with short ones can be read. */
const SHORT = 1500

const written = {}
const seed = (target, bytes) => {
  const number = written[target] = (written[target] ?? 0) + 1
  const place = new URL(`${target}/`, folder)
  // Only what is written here is written anew: others made theirs by hand.
  if (number === 1) rmSync(place, { recursive: true, force: true })
  mkdirSync(place, { recursive: true })
  writeFileSync(new URL(String(number).padStart(2, '0'), place), bytes)
}

const bytesOf = (write) => {
  const encoder = encoding.createEncoder()
  write(encoder)
  return encoding.toUint8Array(encoder)
}

/** Updates as the targets take a list of them. */
const list = (updates) => {
  const fits = updates.filter((update) => update.length < SHORT)
  return Buffer.concat([Buffer.from([LIST]), ...fits.flatMap((update) => [Buffer.from([update.length & 255, update.length >> 8]), update])])
}

/** The delete set of an update, cut out of its bytes: after the structs of an update without any. */
const deleteSet = (doc) => Y.encodeStateAsUpdate(doc, Y.encodeStateVector(doc)).slice(1)

for (let number = 1; number <= 8; number++) {
  const random = randomness(number)
  const people = [5, 300, 2 ** 32 - 2].map((clientID) => {
    const doc = new Y.Doc({ gc: number % 3 !== 0 })
    doc.clientID = clientID
    roots(doc)
    return doc
  })
  const made = []
  for (const doc of people) doc.on('update', (update, origin) => { if (origin !== 'heard') made.push(update) })
  for (let n = 0; n < 10 + number * 2; n++) {
    const [one, other] = [random.of(people), random.of(people)]
    one.transact(() => editSomething(one, random, { whole: true, marks: number % 4 === 0, lossy: number % 5 === 0 }))
    if (random.chance(0.3) && one !== other) Y.applyUpdate(other, Y.encodeStateAsUpdate(one, Y.encodeStateVector(other)), 'heard')
  }
  const all = new Y.Doc()
  for (const update of made) Y.applyUpdate(all, update)
  const whole = Y.encodeStateAsUpdate(all)
  for (const target of ['apply', 'splice', 'strip', 'log', 'restore']) {
    seed(target, list(made.slice(0, 12)))
    seed(target, list([whole, ...made.slice(-4)]))
    // The same targets in their other ways: an honest session, and one with changed bytes.
    for (const way of [0, 1]) seed(target, Uint8Array.from({ length: 200 }, (_, at) => at === 0 ? way : random.below(256)))
  }
  const pieces = [made[0], made.at(-1), Y.mergeUpdates([made[1], made.at(-1)]), whole]
  for (const update of pieces.filter((update) => update.length < SHORT)) seed('scan', update)
  seed('state_vector', Y.encodeStateVector(all))
  seed('id_set', deleteSet(all))
  const [one, other] = people
  seed('frame', bytesOf((encoder) => { encoding.writeVarUint(encoder, 0); sync.writeSyncStep1(encoder, one) }))
  seed('frame', bytesOf((encoder) => { encoding.writeVarUint(encoder, 0); sync.writeUpdate(encoder, made.at(-1)) }))
  if (whole.length < SHORT) seed('frame', bytesOf((encoder) => { encoding.writeVarUint(encoder, 0); sync.writeSyncStep2(encoder, all) }))
  const here = new awareness.Awareness(other)
  here.setLocalState({ user: { name: `Ada ${number}`, color: '#30bced' }, cursor: number % 2 === 0 ? null : { anchor: { type: null, tname: 'text', item: null, assoc: 0 } } })
  const states = awareness.encodeAwarenessUpdate(here, [other.clientID])
  seed('awareness', states)
  seed('frame', bytesOf((encoder) => { encoding.writeVarUint(encoder, 1); encoding.writeVarUint8Array(encoder, states) }))
  if (number % 2 === 0) seed('awareness', bytesOf((encoder) => {
    encoding.writeVarUint(encoder, 2)
    for (const [client, state] of [[7, 'null'], [8, '{}']]) {
      encoding.writeVarUint(encoder, client)
      encoding.writeVarUint(encoder, number)
      encoding.writeVarString(encoder, state)
    }
  }))
  here.destroy()
}
seed('frame', Uint8Array.of(3))
console.log(written)
process.exit(0)
