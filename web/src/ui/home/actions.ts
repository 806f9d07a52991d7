//! What can be done to a document in the list. Each changes the list at once and puts it back when the server refuses.

import {
  type DocumentRecord,
  deleteDocument,
  renameDocument,
  restoreDocument,
  trashDocument,
} from '../../api/documents'
import { Problem } from '../../api/problem'
import { t } from '../../i18n/strings'
import { confirmAction } from '../dialog'
import { toast } from '../feedback'
import type { DocumentList } from './documents'

export const shownTitle = (document: DocumentRecord) => document.title.trim() || t('app.untitled')

/** Runs a request; a failure becomes a toast and `undefined`. */
export async function attempt<T>(request: () => Promise<T>): Promise<T | undefined> {
  try {
    return await request()
  } catch (error) {
    const reason = error instanceof Problem ? error.detail || error.message : String(error)
    toast(t('home.actionFailed', { reason }))
    return undefined
  }
}

async function attemptOrReload(list: DocumentList, request: () => Promise<unknown>): Promise<boolean> {
  const worked = await attempt(async () => {
    await request()
    return true
  })
  if (!worked) await list.reload()
  return worked === true
}

export async function rename(list: DocumentList, document: DocumentRecord, title: string): Promise<void> {
  const next = title.trim()
  if (next === document.title.trim()) return
  list.update(document.id, { title: next })
  await attemptOrReload(list, () => renameDocument(document.id, next))
}

export async function moveToTrash(list: DocumentList, document: DocumentRecord): Promise<void> {
  list.update(document.id, null)
  if (!(await attemptOrReload(list, () => trashDocument(document.id)))) return
  toast(t('home.trashed', { title: shownTitle(document) }), {
    label: t('app.undo'),
    run: () => void attempt(() => restoreDocument(document.id)).then(() => list.reload()),
  })
}

export async function restore(list: DocumentList, document: DocumentRecord): Promise<void> {
  list.update(document.id, null)
  if (await attemptOrReload(list, () => restoreDocument(document.id))) {
    toast(t('home.restored', { title: shownTitle(document) }))
  }
}

export async function deleteForever(list: DocumentList, document: DocumentRecord): Promise<void> {
  const title = shownTitle(document)
  if (
    !(await confirmAction(
      t('home.confirmDelete', { title }),
      t('home.confirmDeleteHint'),
      t('home.deleteForever'),
    ))
  )
    return
  list.update(document.id, null)
  if (await attemptOrReload(list, () => deleteDocument(document.id))) toast(t('home.deleted', { title }))
}

export async function copyLink(path: string): Promise<void> {
  const worked = await attempt(async () => {
    await navigator.clipboard.writeText(new URL(path, location.href).href)
    return true
  })
  if (worked) toast(t('home.linkCopied'))
}
