//! "Save as my own copy": a new document with the text of one that this page may not write to any more.

import * as Y from 'yjs'
import { createDocument } from '../api/documents'
import { t } from '../i18n/strings'
import { writeLocalCopy } from '../sync/local-store'
import { Title, titleText } from './title'

/**
 * Puts `update` on this device as the content of a new document, and returns its id; its page sends it to the server.
 * `nameOf` makes its title from the one in `update`.
 */
export async function saveAsOwnCopy(
  update: Uint8Array,
  nameOf: (title: string) => string = (title) => t('notice.copyTitle', { title }),
): Promise<string> {
  const copy = new Y.Doc()
  Y.applyUpdate(copy, update)
  const title = new Title(copy)
  title.edit(nameOf(titleText(copy) || t('app.untitled')))
  const record = await createDocument()
  await writeLocalCopy(record.id, record.epoch, Y.encodeStateAsUpdate(copy))
  title.destroy()
  copy.destroy()
  return record.id
}
