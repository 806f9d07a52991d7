//! A question before something that changes the document or its history; it stays open with the reason when that fails.

import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'
import { Problem } from '../../api/problem'
import { t } from '../../i18n/strings'
import { Dialog } from '../dialog'

interface AskDialogProps {
  readonly title: string
  /** What the button that does it says. */
  readonly action: string
  readonly tone: 'primary' | 'danger'
  readonly run: () => Promise<void>
  readonly onDone?: () => void
  readonly onClose: () => void
  readonly children: ComponentChildren
}

export function AskDialog({ title, action, tone, run, onDone, onClose, children }: AskDialogProps) {
  const [problem, setProblem] = useState('')
  const [isRunning, setRunning] = useState(false)
  const act = async () => {
    setRunning(true)
    setProblem('')
    try {
      await run()
      onClose()
      onDone?.()
    } catch (error) {
      setRunning(false)
      if (!(error instanceof Problem)) throw error
      setProblem(error.detail || error.message)
    }
  }
  return (
    <Dialog title={title} class="dialog-small" onClose={onClose}>
      {children}
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
          class={`button button-${tone}`}
          aria-disabled={isRunning}
          onClick={() => !isRunning && void act()}
        >
          {action}
        </button>
      </footer>
    </Dialog>
  )
}
