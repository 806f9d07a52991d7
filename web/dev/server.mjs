//! A small stand-in for the server: the same HTTP and WebSocket interface, in memory, with knobs to make it misbehave
//! in ways the real one can not be made to on demand. For developing the page and for its tests; never for documents.
//!
//! `node dev/server.mjs [--port 8081] [--static ../static]` prints its address. `POST /dev/knobs` takes JSON:
//! `storing` (null or the reason why not), `refuseOver` (bytes), `closeOver` (bytes, then close 1009), `silent` (true: accepts
//! edits, acknowledges them when it is false again), `drop` (true closes all sockets), `refuseSockets` (true).

import { randomBytes } from 'node:crypto'
import { createReadStream, existsSync, statSync } from 'node:fs'
import { createServer } from 'node:http'
import { extname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import * as decoding from 'lib0/decoding'
import * as encoding from 'lib0/encoding'
import { WebSocketServer } from 'ws'
import * as awarenessProtocol from 'y-protocols/awareness'
import * as Y from 'yjs'

const CSP = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "font-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
].join('; ')
const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
  '.woff2': 'font/woff2',
}

const { values } = parseArgs({
  options: { port: { type: 'string', default: '8081' }, static: { type: 'string' } },
})
const staticRoot = values.static ?? fileURLToPath(new URL('../../static', import.meta.url))

const knobs = {
  storing: null,
  refuseOver: null,
  closeOver: null,
  refuseSockets: false,
  silent: false,
}
/** @type {Map<string, Entry>} */
const documents = new Map()

class Entry {
  constructor(id) {
    this.id = id
    this.epoch = 1
    this.state = 'none'
    this.created = new Date().toISOString()
    this.edited = this.created
    this.trashed = null
    this.peers = new Set()
    this.reset()
  }

  reset() {
    this.doc = new Y.Doc()
    this.awareness = new awarenessProtocol.Awareness(this.doc)
    this.awareness.setLocalState(null)
  }

  get title() {
    return String(this.doc.getMap('meta').get('title') ?? '')
  }

  set title(title) {
    this.doc.transact(() => {
      this.doc.getMap('meta').set('title', new Y.Text(title))
    })
    this.broadcast(update(2, Y.encodeStateAsUpdate(this.doc)), null)
  }

  record() {
    const people = [...this.awareness.getStates().values()].map(({ user }) => user).filter(Boolean)
    return {
      id: this.id,
      title: this.title,
      state: this.state,
      epoch: this.epoch,
      created_at: this.created,
      edited_at: this.edited,
      trashed_at: this.trashed,
      people,
    }
  }

  broadcast(bytes, except) {
    for (const peer of this.peers) if (peer !== except) peer.send(bytes)
  }

  closeAll(code) {
    for (const peer of this.peers) peer.close(code)
  }
}

const entry = (id) => documents.get(id) ?? documents.set(id, new Entry(id)).get(id)

const message = (write) => encoding.encode(write)
const update = (step, payload) =>
  message((encoder) => {
    encoding.writeVarUint(encoder, 0)
    encoding.writeVarUint(encoder, step)
    encoding.writeVarUint8Array(encoder, payload)
  })
const awarenessMessage = (entry, clients) =>
  message((encoder) => {
    encoding.writeVarUint(encoder, 1)
    encoding.writeVarUint8Array(encoder, awarenessProtocol.encodeAwarenessUpdate(entry.awareness, clients))
  })
const jsonMessage = (type, value) =>
  message((encoder) => {
    encoding.writeVarUint(encoder, type)
    encoding.writeVarString(encoder, JSON.stringify(value))
  })
const saved = (count) =>
  message((encoder) => {
    encoding.writeVarUint(encoder, 100)
    encoding.writeVarUint(encoder, count)
  })

// --- sockets ---------------------------------------------------------------------------------------------------------

const sockets = new WebSocketServer({ noServer: true })
const open = new Set()

function onSocket(socket, id, parameters) {
  const document = entry(id)
  const epoch = Number(parameters.get('epoch') ?? 0)
  if (document.state === 'trashed' || document.state === 'deleted') return socket.close(4404, 'deleted')
  if (epoch !== 0 && document.state === 'live' && epoch !== document.epoch)
    return socket.close(4409, 'other epoch')
  const ownClients = new Set()
  const isOwn = parameters.get('client') === 'coscribe'
  let received = 0
  let parked = 0
  document.peers.add(socket)
  open.add(socket)
  const answer = (bytes) => isOwn && socket.readyState === 1 && socket.send(bytes)

  const onDocument = (bytes) => {
    const index = received++
    if (knobs.closeOver && bytes.length > knobs.closeOver) return socket.close(1009, 'too big')
    if (knobs.refuseOver && bytes.length > knobs.refuseOver) {
      return answer(
        jsonMessage(101, {
          code: 'update-too-large',
          reason: 'the update is too large',
          limit: knobs.refuseOver,
          message: index,
        }),
      )
    }
    const empty = bytes.length === 2
    if (!empty) {
      Y.applyUpdate(document.doc, bytes)
      if (document.state === 'none') {
        document.state = 'live'
        document.created = new Date().toISOString()
      }
      document.edited = new Date().toISOString()
      document.broadcast(update(2, bytes), socket)
    }
    parked++
    if (withholds()) waiting.add(acknowledge)
    else acknowledge()
  }
  const acknowledge = () => {
    if (parked > 0) answer(saved(parked))
    parked = 0
  }

  socket.on('message', (data) => {
    const decoder = decoding.createDecoder(new Uint8Array(data))
    const type = decoding.readVarUint(decoder)
    if (type === 0) {
      const step = decoding.readVarUint(decoder)
      const payload = decoding.readVarUint8Array(decoder)
      if (step === 0) socket.send(update(1, Y.encodeStateAsUpdate(document.doc, payload)))
      else onDocument(payload)
    } else if (type === 1) {
      const payload = decoding.readVarUint8Array(decoder)
      const clients = awarenessClients(payload)
      for (const client of clients) ownClients.add(client)
      awarenessProtocol.applyAwarenessUpdate(document.awareness, payload, socket)
      document.broadcast(awarenessMessage(document, clients), socket)
    }
  })
  socket.on('close', () => {
    document.peers.delete(socket)
    open.delete(socket)
    awarenessProtocol.removeAwarenessStates(document.awareness, [...ownClients], socket)
    document.broadcast(awarenessMessage(document, [...ownClients]), socket)
  })
  socket.send(update(0, Y.encodeStateVector(document.doc)))
  const present = [...document.awareness.getStates().keys()]
  if (present.length > 0) socket.send(awarenessMessage(document, present))
  if (knobs.storing !== null) answer(jsonMessage(103, { ok: false, reason: knobs.storing }))
  socket.isOwn = isOwn
}

/** Whether acknowledgements wait: the server is silent, or "the disk is full". */
const withholds = () => knobs.silent || knobs.storing !== null
const waiting = new Set()

function awarenessClients(payload) {
  const decoder = decoding.createDecoder(payload)
  return Array.from({ length: decoding.readVarUint(decoder) }, () => {
    const client = decoding.readVarUint(decoder)
    decoding.readVarUint(decoder)
    decoding.readVarString(decoder)
    return client
  })
}

setInterval(() => {
  for (const socket of open) socket.send(Uint8Array.of(1, 1, 0))
}, 15_000).unref()

// --- HTTP ------------------------------------------------------------------------------------------------------------

class Refusal extends Error {
  constructor(status, code, title) {
    super(title)
    this.status = status
    this.code = code
  }
}

async function api(request, url) {
  const [id, action] = url.pathname
    .replace(/^\/api\/docs\/?/, '')
    .split('/')
    .map(decodeURIComponent)
  const { method } = request
  if (
    method !== 'GET' &&
    !request.headers['x-requested-with'] &&
    !/json/.test(request.headers['content-type'] ?? '')
  ) {
    throw new Refusal(403, 'csrf', 'Missing header')
  }
  if (!id) return method === 'GET' ? list(url.searchParams) : create(await body(request))
  const document = documents.get(id)
  if (!document || document.state === 'none') throw new Refusal(404, 'not-found', 'There is no such document')
  // It keeps no past.
  if (action === 'versions' || action === 'at')
    throw new Refusal(404, 'no-such-route', 'There is nothing here')
  if (document.state === 'deleted') throw new Refusal(410, 'deleted', 'The document was deleted')
  if (method === 'PATCH') document.title = (await body(request)).title
  if (method === 'POST' && action === 'trash') {
    document.state = 'trashed'
    document.trashed = new Date().toISOString()
    document.closeAll(4404)
  }
  if (method === 'POST' && action === 'restore') {
    document.state = 'live'
    document.trashed = null
  }
  if (method === 'DELETE') {
    document.state = 'deleted'
    document.reset()
    return null
  }
  return document.record()
}

function list(parameters) {
  const state = parameters.get('state') ?? 'live'
  const q = (parameters.get('q') ?? '').toLowerCase()
  const from = Number(parameters.get('cursor') ?? 0)
  const limit = Number(parameters.get('limit') ?? 50)
  const all = [...documents.values()]
    .filter((document) => document.state === state && document.title.toLowerCase().includes(q))
    .sort((a, b) => (b.edited < a.edited ? -1 : 1))
  const next = from + limit < all.length ? String(from + limit) : null
  return { documents: all.slice(from, from + limit).map((document) => document.record()), next }
}

function create({ title, id = randomBytes(12).toString('base64url'), edited_at }) {
  const document = entry(id)
  if (document.state === 'deleted') document.epoch++
  document.state = 'live'
  if (title) document.title = title
  document.edited = edited_at ?? new Date().toISOString()
  return document.record()
}

async function body(request) {
  let text = ''
  for await (const chunk of request) text += chunk
  return text === '' ? {} : JSON.parse(text)
}

function setKnobs(change) {
  Object.assign(knobs, change)
  if ('storing' in change) {
    for (const socket of open) {
      if (socket.isOwn)
        socket.send(
          jsonMessage(103, change.storing === null ? { ok: true } : { ok: false, reason: change.storing }),
        )
    }
  }
  if (!withholds()) {
    for (const acknowledge of waiting) acknowledge()
    waiting.clear()
  }
  if (change.drop || change.refuseSockets) for (const socket of open) socket.terminate()
  delete knobs.drop
  return knobs
}

function send(response, status, value, type = 'application/json') {
  response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' })
  response.end(value === null ? undefined : JSON.stringify(value))
}

function sendFile(response, pathname) {
  const isPage = pathname === '/' || pathname === '/lab' || pathname.startsWith('/d/')
  const file = join(staticRoot, isPage ? 'index.html' : normalize(pathname))
  if (!file.startsWith(staticRoot) || !existsSync(file) || !statSync(file).isFile()) {
    return send(response, 404, { title: 'Not found', code: 'not-found' }, 'application/problem+json')
  }
  response.writeHead(200, {
    'content-type': TYPES[extname(file)] ?? 'application/octet-stream',
    'cache-control': 'no-cache',
    'content-security-policy': CSP,
    'x-content-type-options': 'nosniff',
  })
  createReadStream(file).pipe(response)
}

const server = createServer(async (request, response) => {
  const url = new URL(request.url ?? '/', 'http://localhost')
  try {
    if (url.pathname === '/dev/knobs') return send(response, 200, setKnobs(await body(request)))
    if (url.pathname === '/healthz') return send(response, 200, { ok: true })
    if (url.pathname.startsWith('/api/docs')) {
      const value = await api(request, url)
      return send(
        response,
        value === null ? 204 : request.method === 'POST' && url.pathname === '/api/docs' ? 201 : 200,
        value,
      )
    }
    sendFile(response, url.pathname)
  } catch (error) {
    const { status = 500, code = 'internal' } = error
    send(response, status, { title: error.message, detail: error.message, code }, 'application/problem+json')
  }
})

server.on('upgrade', (request, socket, head) => {
  const url = new URL(request.url ?? '/', 'http://localhost')
  if (!url.pathname.startsWith('/ws/') || knobs.refuseSockets) return socket.destroy()
  const id = decodeURIComponent(url.pathname.slice('/ws/'.length))
  sockets.handleUpgrade(request, socket, head, (ws) => onSocket(ws, id, url.searchParams))
})

server.listen(Number(values.port), '127.0.0.1', () => {
  console.log(`http://127.0.0.1:${server.address().port}`)
})
