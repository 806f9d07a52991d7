//! What can be said about several replicas of one document: who lacks what, whether they are equal, which edits have
//! not reached everyone, and how long it took. Nothing here changes a document.

import * as Y from 'yjs'

/** A state vector: for each client, how many of its operations (clocks) a replica has. */
export type Vector = ReadonlyMap<number, number>

export const vectorOf = (doc: Y.Doc): Vector => Y.decodeStateVector(Y.encodeStateVector(doc))

/** The entry-wise maximum: what a replica would have that knew everything the others know. */
export function furthest(vectors: readonly Vector[]): Vector {
  const most = new Map<number, number>()
  for (const vector of vectors) {
    for (const [client, clock] of vector) most.set(client, Math.max(clock, most.get(client) ?? 0))
  }
  return most
}

/** For each client that `vector` lacks something of: how many clocks. */
export function missing(vector: Vector, most: Vector): Vector {
  const lacking = new Map<number, number>()
  for (const [client, clock] of most) {
    const known = vector.get(client) ?? 0
    if (known < clock) lacking.set(client, clock - known)
  }
  return lacking
}

export const total = (vector: Vector): number => [...vector.values()].reduce((sum, clock) => sum + clock, 0)

/** So many durations are kept for a median: enough to be steady, few enough to follow a change of the network. */
const KEPT_TIMES = 100

export type Verdict =
  | 'equal'
  | 'apart'
  /** The same operations gave different texts: what a CRDT promises never to do. A bug, to be shown as one. */
  | 'diverged'

/**
 * Equal means: the same state vector, the same delete set, and the same content under `root`. The delete set has to be
 * looked at, as a deletion does not move a state vector.
 */
export function judge(docs: readonly Y.Doc[], root: string): Verdict {
  const [first, ...others] = docs
  if (!first) return 'equal'
  const vector = vectorOf(first)
  if (others.some((doc) => !sameVector(vector, vectorOf(doc)))) return 'apart'
  const deletions = Y.createDeleteSetFromStructStore(first.store)
  const sameDeletions = (doc: Y.Doc) =>
    Y.equalDeleteSets(deletions, Y.createDeleteSetFromStructStore(doc.store))
  if (!others.every(sameDeletions)) return 'apart'
  const content = first.getXmlFragment(root).toString()
  return others.every((doc) => doc.getXmlFragment(root).toString() === content) ? 'equal' : 'diverged'
}

const sameVector = (a: Vector, b: Vector) =>
  a.size === b.size && [...a].every(([client, clock]) => b.get(client) === clock)

interface Range {
  readonly client: number
  readonly from: number
  /** Exclusive. */
  readonly to: number
}

interface Edit {
  readonly madeAt: number
  readonly inserted: Range | null
  readonly deleted: readonly Range[]
}

/**
 * Edits that not every replica has yet. The edits of one client are looked at in their order: a connection delivers
 * them so, and the oldest one that is missing somewhere holds the rest up.
 */
export class EditsUnderWay {
  readonly #queues = new Map<number, Edit[]>()
  readonly #times = new Times()

  get count(): number {
    return [...this.#queues.values()].reduce((sum, queue) => sum + queue.length, 0)
  }

  /** Median time from an edit until every replica has it, in milliseconds; null before the first. */
  get medianMs(): number | null {
    return this.#times.median
  }

  /** Takes down what a local transaction did; false when it did nothing. */
  made(transaction: Y.Transaction, at: number): boolean {
    const client = transaction.doc.clientID
    const from = transaction.beforeState.get(client) ?? 0
    const to = transaction.afterState.get(client) ?? 0
    const inserted = to > from ? { client, from, to } : null
    const deleted = [...transaction.deleteSet.clients].flatMap(([client, items]) =>
      items.map(({ clock, len }) => ({ client, from: clock, to: clock + len })),
    )
    if (!inserted && deleted.length === 0) return false
    const queue = this.#queues.get(client) ?? []
    queue.push({ madeAt: at, inserted, deleted })
    this.#queues.set(client, queue)
    return true
  }

  /** Forgets the edits that have arrived in all `docs`. */
  arrived(docs: readonly Y.Doc[], at: number): void {
    for (const queue of this.#queues.values()) {
      for (let [edit] = queue; edit && docs.every((doc) => holds(doc, edit as Edit)); [edit] = queue) {
        queue.shift()
        this.#times.add(Math.max(0, at - edit.madeAt))
      }
    }
  }
}

const holds = (doc: Y.Doc, { inserted, deleted }: Edit): boolean =>
  (inserted === null || Y.getState(doc.store, inserted.client) >= inserted.to) &&
  deleted.every((range) => isDeletedIn(doc, range))

function isDeletedIn(doc: Y.Doc, { client, from, to }: Range): boolean {
  if (Y.getState(doc.store, client) < to) return false
  for (let clock = from; clock < to; ) {
    const struct = Y.getItem(doc.store, Y.createID(client, clock))
    if (!struct.deleted) return false
    clock = struct.id.clock + struct.length
  }
  return true
}

/** Durations in milliseconds: the last ones, for the median, and the longest of all. */
class Times {
  #kept: number[] = []
  #longest: number | null = null

  add(ms: number): void {
    this.#kept = [...this.#kept.slice(1 - KEPT_TIMES), ms]
    this.#longest = Math.max(ms, this.#longest ?? 0)
  }

  get last(): number | null {
    return this.#kept.at(-1) ?? null
  }

  get median(): number | null {
    const sorted = [...this.#kept].sort((a, b) => a - b)
    const upper = sorted[sorted.length >> 1]
    const lower = sorted[(sorted.length - 1) >> 1]
    return upper === undefined || lower === undefined ? null : (lower + upper) / 2
  }

  get longest(): number | null {
    return this.#longest
  }
}

/** Time to convergence: from the last edit until all replicas are equal. */
export class Convergence {
  readonly times = new Times()
  #lastEditAt: number | null = null

  edited(at: number): void {
    this.#lastEditAt = at
  }

  /** The replicas are equal now; counted once after each edit. */
  converged(at: number): void {
    if (this.#lastEditAt === null) return
    this.times.add(Math.max(0, at - this.#lastEditAt))
    this.#lastEditAt = null
  }
}
