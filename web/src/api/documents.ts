//! The documents API, typed. Each function is one request; failures are `Problem`s.

import { documentRoute as path, ROOT, request } from './request'

export interface Person {
  readonly name: string
  readonly color: string
}

export interface DocumentRecord {
  readonly id: string
  readonly title: string
  readonly state: 'live' | 'trashed'
  readonly epoch: number
  readonly created_at: string | number
  readonly edited_at: string | number
  readonly trashed_at: string | number | null
  readonly people: readonly Person[]
}

export interface DocumentPage {
  readonly documents: readonly DocumentRecord[]
  readonly next: string | null
}

export interface ListQuery {
  readonly state: 'live' | 'trashed'
  readonly q?: string
  readonly cursor?: string
  readonly limit?: number
}

export function listDocuments(query: ListQuery, signal?: AbortSignal): Promise<DocumentPage> {
  const parameters = new URLSearchParams({ state: query.state })
  if (query.q) parameters.set('q', query.q)
  if (query.cursor) parameters.set('cursor', query.cursor)
  if (query.limit) parameters.set('limit', String(query.limit))
  return request('GET', `${ROOT}?${parameters}`, undefined, signal)
}

export const createDocument = (title?: string): Promise<DocumentRecord> =>
  request('POST', ROOT, title ? { title } : {})
export const getDocument = (id: string): Promise<DocumentRecord> => request('GET', path(id))
export const renameDocument = (id: string, title: string): Promise<DocumentRecord> =>
  request('PATCH', path(id), { title })
export const trashDocument = (id: string): Promise<void> => request('POST', path(id, '/trash'))
export const restoreDocument = (id: string): Promise<void> => request('POST', path(id, '/restore'))
export const deleteDocument = (id: string): Promise<void> => request('DELETE', path(id))
