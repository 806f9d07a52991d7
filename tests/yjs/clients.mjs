// Stock clients (yjs with y-websocket 1.5, 2.1 and 3.1) behind a line protocol: one JSON request per line in, one JSON
// answer per line out, answered in order. A request that waits for a condition answers when it holds, or with an error.
import { setTimeout as pause } from 'node:timers/promises'
import WebSocket from 'ws'
import * as Y from 'yjs'
import { WebsocketProvider as Provider3 } from 'y-websocket'
import { WebsocketProvider as Provider2 } from 'y-websocket-2'
import { WebsocketProvider as Provider1 } from 'y-websocket-1'
import { decode, encode, fingerprint, load, randomness, roots } from './document.mjs'
import { editSomething } from './edits.mjs'
import { serve } from './serve.mjs'

const providers = { '1.5': Provider1, '2.1': Provider2, '3.1': Provider3 }
const versions = Object.keys(providers)
const deadline = 30_000

/** Clients warn about refusals and closes on the console; standard output belongs to the line protocol. */
const warnings = []
for (const level of ['log', 'warn', 'error']) console[level] = (...words) => warnings.push(words.map(String).join(' '))

class Client {
  constructor ({ version = '3.1', url, doc: name, clientID, user, gc = true, params = {}, protocols = [] }) {
    this.doc = new Y.Doc({ gc })
    if (clientID !== undefined) this.doc.clientID = clientID
    roots(this.doc)
    this.closes = []
    this.opens = 0
    this.own = 0
    this.doc.on('update', (_update, origin) => { if (origin !== this.provider) this.own++ })
    this.provider = new providers[version](url, name, this.doc, {
      WebSocketPolyfill: WebSocket, disableBc: true, maxBackoffTime: 300, params, protocols
    })
    this.provider.on('connection-close', (event) => { if (event) this.closes.push(event.code) })
    this.provider.on('status', ({ status }) => { if (status === 'connected') this.opens++ })
    this.provider.awareness.setLocalState(user === undefined ? null : { user })
  }

  get text () { return this.doc.getText('text') }

  present () {
    return [...this.provider.awareness.getStates()].map(([id, state]) => [id, state.user ?? null])
  }

  holds ({ synced, text, contains, absent, present, closes, opens, connected, own }) {
    const ids = () => [...this.provider.awareness.getStates().keys()]
    return (synced === undefined || this.provider.synced === synced) &&
      (connected === undefined || this.provider.wsconnected === connected) &&
      (text === undefined || this.text.toString() === text) &&
      (contains === undefined || this.text.toString().includes(contains)) &&
      (absent === undefined || !ids().includes(absent)) &&
      (present === undefined || ids().includes(present)) &&
      (closes === undefined || this.closes.includes(closes)) &&
      (opens === undefined || this.opens >= opens) &&
      (own === undefined || this.own >= own)
  }

  close () {
    this.provider.destroy()
    this.doc.destroy()
  }
}

const clients = new Map()

const until = async (condition, describe, limit = deadline) => {
  const end = performance.now() + limit
  while (!condition()) {
    if (performance.now() > end) throw new Error(`waited ${limit} ms in vain: ${describe()}`)
    await pause(5)
  }
}

const same = (prints) => prints.every((print) => !print.pending && JSON.stringify(print) === JSON.stringify(prints[0]))

/** Several people edit at random and lose their connections at random; in the end all are connected and must agree. */
const converge = async ({ seed, people, steps, url, doc, lossy, limit }) => {
  const random = randomness(seed)
  const all = Array.from({ length: people }, (_, number) => new Client({ version: versions[number % 3], url, doc, gc: random.chance(0.7) }))
  for (let step = 0; step < steps; step++) {
    const { doc, provider } = random.of(all)
    const act = random.below(24)
    if (act === 0) provider.disconnect()
    else if (act < 3) provider.connect()
    else if (act === 3) provider.ws?.terminate()
    else doc.transact(() => { for (let n = 1 + random.below(3); n > 0; n--) editSomething(doc, random, { lossy: lossy && random.chance(0.3), whole: true }) })
    if (random.chance(0.4)) await pause(random.below(6))
  }
  for (const { provider } of all) provider.connect()
  const fresh = []
  const prints = () => [...all, ...fresh].map(({ doc }) => fingerprint(doc))
  const settled = () => [...all, ...fresh].every(({ provider }) => provider.synced) && same(prints())
  try {
    await until(settled, () => 'people did not become equal', limit)
    fresh.push(...versions.map((version) => new Client({ version, url, doc })))
    await until(settled, () => 'a fresh client differs', limit)
    return { prints: prints(), opens: all.reduce((sum, { opens }) => sum + opens, 0) }
  } catch (error) {
    return { error: error.message, prints: prints() }
  } finally {
    for (const client of [...all, ...fresh]) client.close()
  }
}

/** Values that a replica in another language could change on the way. */
const special = (doc) => doc.transact(() => {
  const map = doc.getMap('map')
  map.set('bigint', 2n ** 62n)
  map.set('minus zero', -0)
  map.set('bytes', new Uint8Array([0, 255, 7]))
  map.set('subdocument', new Y.Doc({ guid: 'child', meta: { kind: 'attachment', size: 12n }, autoLoad: true }))
  map.set('nested', { deep: [-0, { big: -(2n ** 60n) }] })
  doc.getArray('array').insert(0, [[-0, 5n], 1.5, 'ü'])
})

/** An update that nobody can integrate: the second half of something whose first half is nowhere. */
const orphan = () => {
  const lost = new Y.Doc()
  const updates = []
  lost.on('update', (update) => updates.push(update))
  lost.getText('text').insert(0, 'first')
  lost.getText('text').insert(5, 'second')
  return updates[1]
}

const named = ({ name }) => {
  const client = clients.get(name)
  if (client === undefined) throw new Error(`there is no client ${name}`)
  return client
}

const requests = {
  open: (request) => { clients.set(request.name, new Client(request)); return { id: named(request).doc.clientID } },
  until: async ({ limit, ...request }) => {
    const client = named(request)
    await until(() => client.holds(request), () => JSON.stringify({ ...request, have: client.text.toString().slice(0, 300), synced: client.provider.synced, present: client.present(), closes: client.closes }), limit)
  },
  insert: (request) => { named(request).text.insert(request.at ?? named(request).text.length, request.text) },
  delete: (request) => { named(request).text.delete(request.at, request.length) },
  special: (request) => special(named(request).doc),
  hold: (request) => { Y.applyUpdate(named(request).doc, orphan()) },
  user: (request) => { named(request).provider.awareness.setLocalStateField('user', request.user) },
  connect: (request) => { named(request).provider.connect() },
  disconnect: (request) => { named(request).provider.disconnect() },
  /** The socket goes away without a word of WebSocket. */
  terminate: (request) => { named(request).provider.ws.terminate() },
  close: (request) => { named(request).close(); clients.delete(request.name) },
  text: (request) => ({ text: named(request).text.toString() }),
  print: (request) => fingerprint(named(request).doc),
  state: (request) => { const { closes, opens, own } = named(request); return { closes, opens, own, present: named(request).present(), warnings } },
  load: ({ updates, gc }) => fingerprint(load(updates.map(decode), gc)),
  update: (request) => ({ update: encode(Y.encodeStateAsUpdate(named(request).doc)) }),
  converge
}

await serve(requests)
