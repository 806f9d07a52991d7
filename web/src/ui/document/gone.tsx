//! In place of the paper when the document can not be written to any more: what happened, and what this device has.

import * as Y from 'yjs'
import { restoreDocument } from '../../api/documents'
import { BODY } from '../../editor/editor'
import { plainText } from '../../editor/gate'
import { type StringKey, t } from '../../i18n/strings'
import { saveAsOwnCopy } from '../../session/own-copy'
import type { DocumentSession } from '../../session/session'
import { attempt } from '../home/actions'
import { documentPath, followLink, navigate } from '../router'
import { copyText } from './bar'

const WORDS: Readonly<Record<string, readonly [StringKey, StringKey]>> = {
  trashed: ['notice.trashed', 'notice.trashedHint'],
  deleted: ['notice.deleted', 'notice.deletedHint'],
  'other-epoch': ['notice.otherEpoch', 'notice.otherEpochHint'],
}

export function Gone({ session, reopen }: { session: DocumentSession; reopen: () => void }) {
  const view = session.view.value
  const [title, hint] = WORDS[view.kind] ?? ['notice.openFailed', undefined]
  const local = plainText(session.doc.getXmlFragment(BODY))
  const restore = async () => {
    const worked = await attempt(async () => {
      await restoreDocument(session.name)
      return true
    })
    if (worked) reopen()
  }
  const saveCopy = async () => {
    const id = await attempt(() => saveAsOwnCopy(Y.encodeStateAsUpdate(session.doc)))
    if (id) navigate(documentPath(id))
  }
  return (
    <section class="gone" role="alert">
      <h1>{t(title)}</h1>
      <p>{view.kind === 'failed' ? view.reason : hint && t(hint)}</p>
      <div class="gone-actions">
        {view.kind === 'trashed' && (
          <button type="button" class="button button-primary" onClick={() => void restore()}>
            {t('home.restore')}
          </button>
        )}
        {view.kind === 'other-epoch' && (
          <button type="button" class="button button-primary" onClick={reopen}>
            {t('notice.openNew')}
          </button>
        )}
        {view.kind === 'failed' && (
          <button type="button" class="button" onClick={reopen}>
            {t('app.retry')}
          </button>
        )}
        <a class="button" href="/" onClick={followLink}>
          {t('doc.home')}
        </a>
      </div>
      {local !== '' && (
        <div class="gone-text">
          <h2>{t('notice.localText')}</h2>
          <pre tabIndex={0}>{local}</pre>
          <div class="gone-actions">
            <button type="button" class="button" onClick={() => void saveCopy()}>
              {t('notice.saveCopy')}
            </button>
            <button type="button" class="button" onClick={() => void copyText(session)}>
              {t('doc.copyText')}
            </button>
          </div>
        </div>
      )}
    </section>
  )
}
