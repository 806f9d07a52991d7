//! The API of a document's past, typed: its versions, and its content at any moment. Failures are `Problem`s.

import type { Problem } from './problem'
import { documentRoute, request, send } from './request'

/** Somebody who wrote. `name` and `color` are empty for who never said. */
export interface Author {
  readonly id: string
  readonly name: string
  readonly color: string
}

/** `auto`: the end of a session of writing. `before-restore` and `restored`: the moments around a restore. */
export type VersionKind = 'auto' | 'before-restore' | 'restored' | 'named'

/** How finely a session's moments are still kept: every one, or the last of each second or minute, of the session, or named ones. */
export type Kept = 'all' | 'seconds' | 'minutes' | 'sessions' | 'named'

export interface Version {
  readonly id: string
  /** The number of the last edit that it contains. */
  readonly seq: number
  readonly at: string
  readonly kind: VersionKind
  readonly label: string
  readonly authors: readonly Author[]
  /** The first edit of its session. */
  readonly from_seq: number
  readonly from_at: string
  /** For a restore, the moment that was brought back. */
  readonly source_seq?: number
  /** For a restore, whether only a part of that moment was brought back. */
  readonly part?: boolean
  /** Of a time that was thinned, a moment that is gone is shown as the one before it that is kept. */
  readonly kept: Kept
}

/** What of a version is brought back: all of it without a part. */
export interface Part {
  /** Takes back what this author did since. */
  readonly author?: string
  /** Brings back one block: client and clock of its id. */
  readonly block?: BlockId
}

export type BlockId = readonly [client: number, clock: number]

export interface VersionPage {
  /** Newest first. */
  readonly versions: readonly Version[]
  readonly next: string | null
}

export interface RestoreResult {
  readonly changed: boolean
  readonly version: Version | null
  /** What the document was before; restoring it undoes the restore. */
  readonly before: Version | null
}

const versionRoute = (doc: string, id: string | number, action = '') =>
  documentRoute(doc, `/versions/${encodeURIComponent(id)}${action}`)

export function listVersions(
  doc: string,
  { limit, cursor }: { readonly limit?: number; readonly cursor?: string | null } = {},
  signal?: AbortSignal,
): Promise<VersionPage> {
  const query = new URLSearchParams()
  if (limit) query.set('limit', String(limit))
  if (cursor) query.set('cursor', cursor)
  return request('GET', documentRoute(doc, `/versions?${query}`), undefined, signal)
}

/** Names the moment after edit `seq`; the present one without it. */
export const nameVersion = (doc: string, label: string, seq?: number): Promise<Version> =>
  request('POST', documentRoute(doc, '/versions'), seq === undefined ? { label } : { label, seq })

/** `id`: of a version, or the number of an edit, as every moment has a version. */
export const getVersion = (doc: string, id: string | number, signal?: AbortSignal): Promise<Version> =>
  request('GET', versionRoute(doc, id), undefined, signal)

export const relabelVersion = (doc: string, id: string, label: string): Promise<Version> =>
  request('PATCH', versionRoute(doc, id), { label })

/** Takes the name away; the moment stays, and its version is the answer. */
export const unnameVersion = (doc: string, id: string): Promise<Version> =>
  request('PATCH', versionRoute(doc, id), { label: null })

export interface PurgeResult {
  /** The edits whose moments are gone; null when there was nothing but the present state, which never goes. */
  readonly purged: { readonly from_seq: number; readonly to_seq: number } | null
}

/** Removes one moment for good, with its name. */
export const purgeVersion = (doc: string, id: string): Promise<PurgeResult> =>
  request('DELETE', versionRoute(doc, id))

/** Removes the moments after these edits for good, with all names among them. */
export const purgeRange = (doc: string, from: number, to: number): Promise<PurgeResult> =>
  request('DELETE', documentRoute(doc, `/versions?from_seq=${from}&to_seq=${to}`))

/** Whether a failure means that what was asked for has been removed for good. */
export const isPurged = ({ status, code }: Problem): boolean => status === 410 && code === 'purged'

export const restoreVersion = (doc: string, id: string | number, part: Part = {}): Promise<RestoreResult> =>
  request('POST', versionRoute(doc, id, '/restore'), part)

/** HTML of a document, and by what tag the server knows it. */
export interface Page {
  /** Its blocks, each whole. */
  readonly blocks: readonly string[]
  /** Empty when the server gave none. */
  readonly tag: string
}

/** The document after edit `seq`. Of what is in `held`, the page that is there already, nothing is sent again. */
export const momentHtml = (
  doc: string,
  seq: number,
  held: Page | null,
  signal?: AbortSignal,
): Promise<Page> => page(documentRoute(doc, `/at?seq=${seq}&`), held, signal)

/** The document after edit `to` with what changed since edit `from`; `held` as for a moment. */
export const differenceHtml = (
  doc: string,
  from: number,
  to: number,
  held: Page | null,
  signal?: AbortSignal,
): Promise<Page> => page(versionRoute(doc, from, `/diff/${to}?`), held, signal)

async function page(route: string, held: Page | null, signal?: AbortSignal): Promise<Page> {
  const answer = await send('GET', `${route}as=html&holds=${held?.tag ?? ''}`, undefined, signal)
  const told = (await answer.json()) as readonly Told[]
  return {
    blocks: told.flatMap((each) => blocksOf(each, held?.blocks ?? [])),
    tag: answer.headers.get('coscribe-tag') ?? '',
  }
}

/** Blocks that follow on each other: a new one, as many as are held from one on, or one that is told by what stays of a held one. */
type Told =
  | string
  | { readonly from: number; readonly count: number }
  | { readonly of: number; readonly start: number; readonly middle: string; readonly end: number }

function blocksOf(told: Told, held: readonly string[]): string | readonly string[] {
  if (typeof told === 'string') return told
  if ('count' in told) return held.slice(told.from, told.from + told.count)
  const { of, start, middle, end } = told
  const block = held[of] ?? ''
  return block.slice(0, start) + middle + block.slice(block.length - end)
}

/** The document after edit `seq` as one Yjs update. */
export const momentUpdate = async (doc: string, seq: number): Promise<Uint8Array> =>
  new Uint8Array(await (await send('GET', documentRoute(doc, `/at?seq=${seq}&as=yjs`))).arrayBuffer())
