//! Modal dialogs on the native element, which keeps the focus inside and closes on Escape.

import { signal } from '@preact/signals'
import type { ComponentChildren } from 'preact'
import { useEffect, useId, useRef } from 'preact/hooks'
import { t } from '../i18n/strings'
import { Icon } from './icons'

interface DialogProps {
  readonly title: string
  readonly onClose: () => void
  readonly class?: string
  readonly children: ComponentChildren
}

export function Dialog({ title, onClose, children, ...rest }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null)
  const heading = useId()
  useEffect(() => {
    dialog.current?.showModal()
  }, [])
  return (
    <dialog
      ref={dialog}
      class={`dialog ${rest.class ?? ''}`}
      aria-labelledby={heading}
      onClose={onClose}
      onClick={(event) => event.target === dialog.current && onClose()}
    >
      <div class="dialog-body">
        <header class="dialog-header">
          <h2 id={heading}>{title}</h2>
          <button type="button" class="icon-button" aria-label={t('app.close')} onClick={onClose}>
            <Icon name="close" />
          </button>
        </header>
        {children}
      </div>
    </dialog>
  )
}

interface Question {
  readonly title: string
  readonly hint: string
  readonly action: string
  readonly answer: (yes: boolean) => void
}

const question = signal<Question | null>(null)

/** Asks before something that can not be undone. */
export function confirmAction(title: string, hint: string, action: string): Promise<boolean> {
  return new Promise((resolve) => {
    question.value = {
      title,
      hint,
      action,
      answer: (yes) => {
        question.value = null
        resolve(yes)
      },
    }
  })
}

export function Confirmation() {
  const asked = question.value
  if (!asked) return null
  return (
    <Dialog title={asked.title} class="dialog-small" onClose={() => asked.answer(false)}>
      <p class="dialog-text">{asked.hint}</p>
      <footer class="dialog-actions">
        <button type="button" class="button" onClick={() => asked.answer(false)}>
          {t('app.cancel')}
        </button>
        <button type="button" class="button button-danger" onClick={() => asked.answer(true)}>
          {asked.action}
        </button>
      </footer>
    </Dialog>
  )
}
