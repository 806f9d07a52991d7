//! Says in plain words what a restore does, and asks.

import { useState } from 'preact/hooks'
import { Problem } from '../../api/problem'
import { t } from '../../i18n/strings'
import { Dialog } from '../dialog'
import type { HistoryModel } from './model'

export function RestoreDialog({ model, onClose }: { model: HistoryModel; onClose: () => void }) {
  const [problem, setProblem] = useState('')
  const [isRunning, setRunning] = useState(false)
  const entry = model.viewer.entry.value
  const title =
    entry?.kind === 'named'
      ? t('history.restoreNamedTitle', { label: entry.version.label })
      : t('history.restoreTitle', { time: model.momentWords() })
  const restore = async () => {
    setRunning(true)
    setProblem('')
    try {
      await model.restore()
      onClose()
    } catch (error) {
      setRunning(false)
      if (!(error instanceof Problem)) throw error
      setProblem(error.detail || error.message)
    }
  }
  return (
    <Dialog title={title} class="dialog-small" onClose={onClose}>
      <ul class="restore-words">
        <li>{t('history.restoreWhat')}</li>
        <li>{t('history.restoreKeeps')}</li>
        <li>{t('history.restoreOthers')}</li>
      </ul>
      {problem !== '' && (
        <p class="field-problem" role="alert">
          {t('home.actionFailed', { reason: problem })}
        </p>
      )}
      <footer class="dialog-actions">
        <button type="button" class="button" onClick={onClose}>
          {t('app.cancel')}
        </button>
        <button
          type="button"
          class="button button-primary"
          aria-disabled={isRunning}
          onClick={() => !isRunning && void restore()}
        >
          {t('history.restoreThis')}
        </button>
      </footer>
    </Dialog>
  )
}
