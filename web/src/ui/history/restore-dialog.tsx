//! Says in plain words what a restore does, and asks.

import { useEffect, useState } from 'preact/hooks'
import type { Author } from '../../api/versions'
import { writersSince } from '../../history/timeline'
import { t } from '../../i18n/strings'
import { Avatar } from '../avatar'
import { AskDialog } from './ask-dialog'
import type { HistoryModel } from './model'
import { authorName, face } from './words'

export function RestoreDialog({ model, onClose }: { model: HistoryModel; onClose: () => void }) {
  const [author, setAuthor] = useState<Author | null>(null)
  const entry = model.viewer.entry.value
  const seq = model.viewer.seq.value
  const writers = writersSince(model.archive.versions.value, seq)
  useEffect(() => {
    // The list may not be loaded that far down.
    void model.archive.loadDownTo(seq)
  }, [model, seq])
  const title =
    entry?.kind === 'named'
      ? t('history.restoreNamedTitle', { label: entry.version.label })
      : t('history.restoreTitle', { time: model.momentWords() })
  return (
    <AskDialog
      title={title}
      action={t(author ? 'history.authorAction' : 'history.restoreThis')}
      tone="primary"
      run={() => model.restore(author)}
      onClose={onClose}
    >
      {writers.length > 1 && <Parts writers={writers} chosen={author} choose={setAuthor} />}
      <ul class="restore-words">
        <li>{author ? t('history.authorWhat', { name: authorName(author) }) : t('history.restoreWhat')}</li>
        <li>{t('history.restoreKeeps')}</li>
        <li>{t('history.restoreOthers')}</li>
      </ul>
    </AskDialog>
  )
}

interface PartsProps {
  readonly writers: readonly Author[]
  readonly chosen: Author | null
  readonly choose: (author: Author | null) => void
}

/** Everything, or only what one of several people did. */
function Parts({ writers, chosen, choose }: PartsProps) {
  return (
    <fieldset class="restore-parts">
      <legend>{t('history.parts')}</legend>
      <label>
        <input type="radio" name="part" checked={chosen === null} onChange={() => choose(null)} />
        <span>{t('history.partAll')}</span>
      </label>
      {writers.map((author) => (
        <label key={author.id}>
          <input
            type="radio"
            name="part"
            checked={chosen?.id === author.id}
            onChange={() => choose(author)}
          />
          <Avatar person={face(author)} size="s" />
          <span>{t('history.partAuthor', { name: authorName(author) })}</span>
        </label>
      ))}
    </fieldset>
  )
}
