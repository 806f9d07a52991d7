//! Short messages: toasts that may be acted on, and announcements that only a screen reader hears.

import { signal } from '@preact/signals'
import { t } from '../i18n/strings'
import { Icon } from './icons'

interface Toast {
  readonly id: number
  readonly text: string
  readonly action: { readonly label: string; readonly run: () => void } | undefined
}

/** Long enough to read a sentence and reach for "Undo". */
const TOAST_MS = 7_000

const toasts = signal<readonly Toast[]>([])
const announcement = signal('')
let nextId = 0

export function toast(text: string, action?: Toast['action']): void {
  const id = nextId++
  toasts.value = [...toasts.value.slice(-2), { id, text, action }]
  setTimeout(() => dismiss(id), TOAST_MS)
}

/** The same text twice in a row is said twice: a no-break space tells them apart. */
export function announce(text: string): void {
  announcement.value = announcement.value === text ? `${text}\u00a0` : text
}

const dismiss = (id: number) => {
  toasts.value = toasts.value.filter((toast) => toast.id !== id)
}

export function Feedback() {
  return (
    <>
      <div class="visually-hidden" role="status" aria-live="polite">
        {announcement}
      </div>
      <div class="toasts" role="status" aria-live="polite">
        {toasts.value.map(({ id, text, action }) => (
          <div class="toast" key={id}>
            <span>{text}</span>
            {action && (
              <button
                type="button"
                class="toast-action"
                onClick={() => {
                  dismiss(id)
                  action.run()
                }}
              >
                {action.label}
              </button>
            )}
            <button type="button" class="icon-button" aria-label={t('app.close')} onClick={() => dismiss(id)}>
              <Icon name="close" size={16} />
            </button>
          </div>
        ))}
      </div>
    </>
  )
}
