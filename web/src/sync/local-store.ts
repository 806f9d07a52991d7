//! The copy of a document that this device keeps: every update in IndexedDB, and in the same transaction how many edits
//! the server has not made durable yet, so that after a crash the text and the count agree.
//!
//! One database per document and epoch. Several tabs may share it: each keeps a count of its own, and rows are only
//! replaced by a state that was built from them. A browser without working IndexedDB is told with `null`, never with an error.

import * as Y from 'yjs'

const UPDATES = 'updates'
const META = 'meta'
const UNSAVED = 'unsaved:'
/** More rows than this are folded into one when the document is opened or grows. */
const FOLD_ROWS = 300
/** IndexedDB may neither succeed nor fail (a blocked upgrade, a broken profile); the page must not wait for ever. */
const OPEN_MS = 4_000

const PREFIX = 'coscribe'
const databaseName = (doc: string, epoch: number) => `${PREFIX}:${epoch}:${doc}`

export interface LocalCopy {
  readonly epoch: number
  readonly update: Uint8Array
  readonly unsaved: number
}

const done = <T>(request: IDBRequest<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })

function openDatabase(name: string): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('IndexedDB did not answer')), OPEN_MS)
    const request = indexedDB.open(name, 1)
    request.onupgradeneeded = () => {
      request.result.createObjectStore(UPDATES, { autoIncrement: true })
      request.result.createObjectStore(META)
    }
    request.onsuccess = () => {
      clearTimeout(timer)
      resolve(request.result)
    }
    request.onerror = () => {
      clearTimeout(timer)
      reject(request.error)
    }
  })
}

async function readAll(db: IDBDatabase): Promise<{ updates: Uint8Array[]; counts: Map<string, number> }> {
  const transaction = db.transaction([UPDATES, META])
  const [updates, keys, values] = await Promise.all([
    done(transaction.objectStore(UPDATES).getAll() as IDBRequest<Uint8Array[]>),
    done(transaction.objectStore(META).getAllKeys() as IDBRequest<string[]>),
    done(transaction.objectStore(META).getAll() as IDBRequest<number[]>),
  ])
  return { updates, counts: new Map(keys.map((key, at) => [key, Number(values[at]) || 0])) }
}

const sumOf = (counts: Map<string, number>) => [...counts.values()].reduce((sum, count) => sum + count, 0)

export class LocalStore {
  readonly #doc: Y.Doc
  readonly #countKey = UNSAVED + crypto.randomUUID()
  readonly #onKept: (unsaved: number | null) => void
  #db: IDBDatabase | null = null
  #failed = false
  #rows = 0
  #queue: Uint8Array[] = []
  #unsaved = 0
  #writtenUnsaved = 0
  /** Counts that earlier sessions left; they are cleared once everything they counted is saved. */
  #inherited: string[] = []
  readonly #writes = new Set<Promise<void>>()

  /** Edits that were on this device only when it was opened. */
  initialUnsaved = 0
  /** It held something when it was opened. */
  hadContent = false

  private constructor(doc: Y.Doc, onKept: (unsaved: number | null) => void) {
    this.#doc = doc
    this.#onKept = onKept
  }

  /**
   * Reads what this device has into `doc`, then keeps what changes. Updates from here have the store as origin. `onKept`
   * hears how many of the unsaved edits are on this device by now; `null` once the store has failed.
   */
  static async open(
    name: string,
    epoch: number,
    doc: Y.Doc,
    onKept: (unsaved: number | null) => void,
  ): Promise<LocalStore> {
    const store = new LocalStore(doc, onKept)
    try {
      store.#db = await openDatabase(databaseName(name, epoch))
      await store.#load(store.#db)
    } catch {
      store.#fail()
    }
    doc.on('update', store.#onUpdate)
    if (!store.#failed) onKept(store.#writtenUnsaved)
    return store
  }

  setUnsaved(count: number): void {
    this.#unsaved = count
    if (count !== this.#writtenUnsaved) this.#schedule()
  }

  /** The page may be gone in a moment: what waits for a write that is under way is handed over now. */
  hurry(): void {
    if (!this.#failed && this.#pending) this.#begin()
  }

  /** Resolves once everything so far is on this device (or the store has failed). */
  async flushed(): Promise<void> {
    while (this.#writes.size > 0) await Promise.all(this.#writes)
  }

  /** Writes what is left, then lets the database go. */
  async close(): Promise<void> {
    this.#doc.off('update', this.#onUpdate)
    await this.flushed()
    this.#db?.close()
    this.#db = null
  }

  async #load(db: IDBDatabase): Promise<void> {
    const { updates, counts } = await readAll(db)
    this.#rows = updates.length
    this.hadContent = updates.length > 0
    this.#inherited = [...counts.keys()]
    this.initialUnsaved = sumOf(counts)
    this.#unsaved = this.initialUnsaved
    this.#writtenUnsaved = this.initialUnsaved
    Y.transact(
      this.#doc,
      () => {
        for (const update of updates) Y.applyUpdate(this.#doc, update, this)
      },
      this,
      false,
    )
  }

  readonly #onUpdate = (update: Uint8Array, origin: unknown): void => {
    if (origin === this || this.#failed) return
    this.#queue.push(update)
    this.#schedule()
  }

  /** One write at a time, as long as there is no hurry. */
  #schedule(): void {
    if (!this.#failed && this.#writes.size === 0) this.#begin()
  }

  /** Begun after the current task, so that one change and its count share a transaction. */
  #begin(): void {
    const write = Promise.resolve()
      .then(() => this.#write())
      .catch(() => this.#fail())
      .finally(() => {
        this.#writes.delete(write)
        if (this.#pending) this.#schedule()
      })
    this.#writes.add(write)
  }

  get #pending(): boolean {
    return this.#queue.length > 0 || this.#unsaved !== this.#writtenUnsaved
  }

  async #write(): Promise<void> {
    const db = this.#db
    if (!db) throw new Error('no database')
    const queue = this.#queue
    const unsaved = this.#unsaved
    this.#queue = []
    const transaction = db.transaction([UPDATES, META], 'readwrite')
    const rows = transaction.objectStore(UPDATES)
    const meta = transaction.objectStore(META)
    for (const update of queue) rows.add(update)
    this.#rows += queue.length
    for (const key of this.#inherited) meta.delete(key)
    this.#inherited = []
    if (unsaved === 0) meta.delete(this.#countKey)
    else meta.put(unsaved, this.#countKey)
    // A transaction that is told to commit is finished by the browser, also when the page goes away before it hears of it.
    if (this.#rows > FOLD_ROWS) this.#fold(rows)
    else transaction.commit()
    await new Promise<void>((resolve, reject) => {
      transaction.oncomplete = () => resolve()
      transaction.onerror = () => reject(transaction.error)
      transaction.onabort = () => reject(transaction.error)
    })
    this.#writtenUnsaved = unsaved
    this.#onKept(unsaved)
  }

  /** Replaces all rows by one, after taking in those that other tabs have written. */
  #fold(rows: IDBObjectStore): void {
    const request = rows.getAll() as IDBRequest<Uint8Array[]>
    request.onsuccess = () => {
      Y.transact(
        this.#doc,
        () => {
          for (const update of request.result) Y.applyUpdate(this.#doc, update, this)
        },
        this,
        false,
      )
      rows.clear()
      rows.add(Y.encodeStateAsUpdate(this.#doc))
      this.#rows = 1
      rows.transaction.commit()
    }
  }

  #fail(): void {
    if (this.#failed) return
    this.#failed = true
    this.#queue = []
    this.#db?.close()
    this.#db = null
    this.#onKept(null)
  }
}

/** The epochs of a document that this device holds something of, newest first. Empty where the browser can not tell. */
export async function localEpochs(doc: string): Promise<number[]> {
  try {
    const databases = await indexedDB.databases()
    return databases
      .map(({ name }) => name ?? '')
      .filter(
        (name) => name.startsWith(`${PREFIX}:`) && name.slice(PREFIX.length + 1).replace(/^\d+:/, '') === doc,
      )
      .map((name) => Number.parseInt(name.slice(PREFIX.length + 1), 10))
      .sort((a, b) => b - a)
  } catch {
    return []
  }
}

/** What this device holds of one epoch of a document, without changing it. */
export async function readLocalCopy(doc: string, epoch: number): Promise<LocalCopy | null> {
  try {
    const db = await openDatabase(databaseName(doc, epoch))
    const { updates, counts } = await readAll(db).finally(() => db.close())
    if (updates.length === 0) return null
    return { epoch, update: Y.mergeUpdates(updates), unsaved: sumOf(counts) }
  } catch {
    return null
  }
}

/** Makes a state the whole of what this device has of a document, counted as one unsaved edit. */
export async function writeLocalCopy(doc: string, epoch: number, update: Uint8Array): Promise<void> {
  const db = await openDatabase(databaseName(doc, epoch))
  const transaction = db.transaction([UPDATES, META], 'readwrite')
  transaction.objectStore(UPDATES).clear()
  transaction.objectStore(UPDATES).add(update)
  transaction.objectStore(META).clear()
  transaction.objectStore(META).put(1, `${UNSAVED}copy`)
  await new Promise<void>((resolve, reject) => {
    transaction.oncomplete = () => resolve()
    transaction.onerror = () => reject(transaction.error)
  }).finally(() => db.close())
}

export function dropLocalCopy(doc: string, epoch: number): Promise<void> {
  return new Promise((resolve) => {
    const request = indexedDB.deleteDatabase(databaseName(doc, epoch))
    request.onsuccess = request.onerror = request.onblocked = () => resolve()
  })
}
