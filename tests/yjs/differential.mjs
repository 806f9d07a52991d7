// Several people with real Yjs replicas, who speak y-websocket's messages over lines that belong to the Rust test, and
// beside them the model: a plain Yjs document that is told everything the server is told and never hears of the server.
import * as encoding from 'lib0/encoding'
import * as decoding from 'lib0/decoding'
import * as sync from 'y-protocols/sync'
import * as Y from 'yjs'
import { decode, encode, fingerprint, load, randomness, roots } from './document.mjs'
import { editSomething } from './edits.mjs'
import { serve } from './serve.mjs'

const SYNC = 0

class Party {
  constructor (clientID, gc) {
    this.doc = new Y.Doc({ gc })
    this.doc.clientID = clientID
    this.undo = new Y.UndoManager(roots(this.doc), { captureTimeout: 0, trackedOrigins: new Set(['edit']) })
    /** Frames that nobody has taken yet. */
    this.said = []
    // What Yjs does by itself after hearing something, the clean-up of marks, is its own edit and is said, too.
    this.doc.on('update', (update, origin) => { if (origin !== 'heard') this.say((encoder) => sync.writeUpdate(encoder, update)) })
  }

  say (write) {
    const encoder = encoding.createEncoder()
    encoding.writeVarUint(encoder, SYNC)
    write(encoder)
    if (encoding.length(encoder) > 1) this.said.push(encode(encoding.toUint8Array(encoder)))
  }

  hear (frame) {
    const decoder = decoding.createDecoder(decode(frame))
    if (decoding.readVarUint(decoder) !== SYNC) throw new Error(`not a sync message: ${frame}`)
    this.say((encoder) => sync.readSyncMessage(decoder, encoder, this.doc, 'heard', (error) => { throw error }))
  }
}

/** The model comes first. */
let parties = []

const acts = {
  edit: (who, seed, { lossy, marks }) => {
    const { doc, undo } = parties[who]
    const random = randomness(seed)
    if (random.chance(0.08)) return undo.undo()
    if (random.chance(0.05)) return undo.redo()
    const options = { whole: true, paste: true, lossy: lossy && random.chance(0.2), marks: marks && random.chance(0.7) }
    const several = random.chance(0.25) ? 1 + random.below(6) : 1
    doc.transact(() => {
      for (let n = 0; n < several; n++) editSomething(doc, random, options)
      if (options.lossy && random.chance(0.1)) doc.getMap('map').set('subdocument', new Y.Doc({ guid: `g${seed}`, meta: { m: 1 } }))
    }, 'edit')
  },
  greet: (who) => parties[who].say((encoder) => sync.writeSyncStep1(encoder, parties[who].doc)),
  hear: (who, frames) => { for (const frame of frames) parties[who].hear(frame) },
  /** The model is told what the server is told; it answers no questions. */
  tell: (frames) => {
    for (const frame of frames) {
      const decoder = decoding.createDecoder(decode(frame))
      decoding.readVarUint(decoder)
      if (decoding.readVarUint(decoder) !== sync.messageYjsSyncStep1) Y.applyUpdate(parties[0].doc, decoding.readVarUint8Array(decoder), 'heard')
    }
  },
  /** Two tabs of one browser tell each other what the server need not know yet. */
  whisper: (from, to) => Y.applyUpdate(parties[to].doc, Y.encodeStateAsUpdate(parties[from].doc, Y.encodeStateVector(parties[to].doc)), 'heard'),
  /** Somebody new, without any edit. */
  come: (clientID, gc) => { parties.push(new Party(clientID, gc)) }
}

await serve({
  begin: () => { parties = [] },
  /** Does things in turn; answers who said what because of that. */
  act: ({ acts: list }) => {
    for (const [name, ...rest] of list) acts[name](...rest)
    return { said: parties.map((party) => party.said.splice(0)) }
  },
  prints: () => parties.map(({ doc }) => fingerprint(doc)),
  /** What a fresh document holds. */
  load: ({ updates, gc }) => fingerprint(load(updates.map(decode), gc))
})
