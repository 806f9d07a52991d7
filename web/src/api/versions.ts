//! The API of a document's past, typed: its versions, and its content at any moment. Failures are `Problem`s.

import { documentRoute, request, send } from './request'

/** Somebody who wrote. `name` and `color` are empty for who never said. */
export interface Author {
  readonly id: string
  readonly name: string
  readonly color: string
}

/** `auto`: the end of a session of writing. `before-restore` and `restored`: the moments around a restore. */
export type VersionKind = 'auto' | 'before-restore' | 'restored' | 'named'

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
}

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

/** Takes the name away; the moment stays. */
export const unnameVersion = (doc: string, id: string): Promise<void> =>
  request('DELETE', versionRoute(doc, id))

export const restoreVersion = (doc: string, id: string | number): Promise<RestoreResult> =>
  request('POST', versionRoute(doc, id, '/restore'), {})

/** The document after edit `seq` as an HTML fragment. */
export const momentHtml = async (doc: string, seq: number, signal?: AbortSignal): Promise<string> =>
  (await send('GET', documentRoute(doc, `/at?seq=${seq}&as=html`), undefined, signal)).text()

/** The document after edit `to` with what changed since edit `from`, as an HTML fragment. */
export const differenceHtml = async (
  doc: string,
  from: number,
  to: number,
  signal?: AbortSignal,
): Promise<string> =>
  (await send('GET', versionRoute(doc, from, `/diff/${to}?as=html`), undefined, signal)).text()

/** The document after edit `seq` as one Yjs update. */
export const momentUpdate = async (doc: string, seq: number): Promise<Uint8Array> =>
  new Uint8Array(await (await send('GET', documentRoute(doc, `/at?seq=${seq}&as=yjs`))).arrayBuffer())
