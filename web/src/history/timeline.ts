//! The list of versions as people look for them: named ones on top, then days, and in them sessions of writing and
//! restores, newest first.

import type { Author, Version } from '../api/versions'

export interface Entry {
  /** Names the entry also after its session has grown. */
  readonly key: string
  readonly kind: 'named' | 'session' | 'restore'
  readonly version: Version
  /** The state that its changes are told against. */
  readonly base: number
  readonly fromAt: Date
  readonly at: Date
}

export interface Day {
  /** Its first millisecond, local time. */
  readonly start: number
  readonly entries: readonly Entry[]
}

export interface Timeline {
  readonly named: readonly Entry[]
  readonly days: readonly Day[]
  /** All entries in the order in which they are shown. */
  readonly all: readonly Entry[]
}

/** `versions` newest first, as the server lists them. */
export function timelineOf(versions: readonly Version[]): Timeline {
  const named: Entry[] = []
  const days: { start: number; entries: Entry[] }[] = []
  for (const [at, version] of versions.entries()) {
    if (version.kind === 'named') {
      const before = versions.slice(at + 1).find((other) => other.kind === 'named' && other.seq < version.seq)
      named.push(entryOf(version, 'named', before?.seq ?? 0))
    } else if (version.kind === 'auto') {
      addToDay(days, entryOf(version, 'session', version.from_seq - 1))
    } else if (version.kind === 'restored') {
      addToDay(days, entryOf(version, 'restore', version.seq - 1))
    }
    // The moment before a restore is the end of what was written until then: the entry below shows it.
  }
  return { named, days, all: [...named, ...days.flatMap((day) => day.entries)] }
}

function entryOf(version: Version, kind: Entry['kind'], base: number): Entry {
  const name = kind === 'session' ? version.from_seq : version.id
  return {
    key: `${kind}-${name}`,
    kind,
    version,
    base: Math.max(0, base),
    fromAt: new Date(version.from_at),
    at: new Date(version.at),
  }
}

function addToDay(days: { start: number; entries: Entry[] }[], entry: Entry): void {
  const start = startOfDay(entry.at)
  const day = days.at(-1)
  if (day?.start === start) day.entries.push(entry)
  else days.push({ start, entries: [entry] })
}

export function startOfDay(at: Date): number {
  return new Date(at.getFullYear(), at.getMonth(), at.getDate()).getTime()
}

/**
 * Puts a fresh first page before what was loaded earlier; what the fresh page covers is replaced, also where a session
 * has grown or a name is gone. Null when the two do not meet: then only the fresh page is certain.
 */
export function mergeNewest(known: readonly Version[], fresh: readonly Version[]): readonly Version[] | null {
  const oldest = fresh.at(-1)
  if (!oldest) return null
  const keys = new Set(fresh.map(identity))
  if (!known.some((version) => keys.has(identity(version)))) return null
  return [...fresh, ...known.filter((version) => !keys.has(identity(version)) && !isAbove(version, oldest))]
}

/** A session is the same when it has grown. */
const identity = ({ kind, id, from_seq }: Version) =>
  kind === 'auto' ? `session ${from_seq}` : `${kind} ${id}`

/** Where versions of one edit stand in the list, from its bottom. */
const RANK = { auto: 0, 'before-restore': 1, restored: 2, named: 3 } as const
const isAbove = (version: Version, other: Version) =>
  version.seq > other.seq || (version.seq === other.seq && RANK[version.kind] > RANK[other.kind])

/** Everybody in these versions, each once, the newest first. */
export function authorsOf(versions: readonly Version[]): ReadonlyMap<string, Author> {
  const authors = new Map<string, Author>()
  for (const version of versions) {
    for (const author of version.authors) if (!authors.has(author.id)) authors.set(author.id, author)
  }
  return authors
}

/** The session that holds edit `seq`, of what is loaded. */
export const sessionAt = (versions: readonly Version[], seq: number): Version | undefined =>
  versions.find(({ kind, from_seq, seq: to }) => kind === 'auto' && from_seq <= seq && seq <= to)

/** Everybody who wrote after edit `seq`, as far as sessions tell: who wrote in one that goes on over it counts. */
export const writersSince = (versions: readonly Version[], seq: number): readonly Author[] => [
  ...authorsOf(versions.filter((version) => version.kind === 'auto' && version.seq > seq)).values(),
]

/** The entries that may be chosen instead of one that is gone, the next one below it first. */
export function neighbours(all: readonly Entry[], key: string): readonly Entry[] {
  const at = all.findIndex((entry) => entry.key === key)
  return at < 0 ? [] : [...all.slice(at + 1), ...all.slice(0, at).reverse()]
}

/** When edit `seq` was made, about: within a session its edits are taken as spread evenly. Null where nothing is known. */
export function timeOfEdit(versions: readonly Version[], seq: number): Date | null {
  const session = sessionAt(versions, seq)
  if (!session) return null
  const from = Date.parse(session.from_at)
  const edits = session.seq - session.from_seq
  const part = edits === 0 ? 1 : (seq - session.from_seq) / edits
  return new Date(from + (Date.parse(session.at) - from) * part)
}

/** The end of the session before or after `seq`, as far as it is loaded: where Shift with an arrow goes. */
export function neighbourSession(
  versions: readonly Version[],
  seq: number,
  direction: -1 | 1,
  head: number,
): number {
  const ends = versions.filter(({ kind }) => kind === 'auto').map(({ seq }) => seq)
  if (direction > 0) return Math.min(...ends.filter((end) => end > seq), head)
  const before = ends.filter((end) => end < seq)
  return before.length > 0 ? Math.max(...before) : 0
}
