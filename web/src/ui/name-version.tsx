//! Asks for the name of a version: of the present one, of a moment of the past, or a new name for a named one.

import { useEffect, useRef, useState } from 'preact/hooks'
import { Problem } from '../api/problem'
import { nameVersion, relabelVersion, type Version } from '../api/versions'
import { t } from '../i18n/strings'
import { Dialog } from './dialog'
import { toast } from './feedback'
import { selectAll } from './select-all'

/** The server's limit, in characters. */
const MAX_LABEL = 200

interface NameVersionProps {
  readonly doc: string
  readonly title: string
  /** The moment; the present one without it. */
  readonly seq?: number
  /** The named version that gets another name. */
  readonly version?: Version
  readonly onNamed?: (version: Version) => void
  readonly onClose: () => void
}

export function NameVersion({ doc, title, seq, version, onNamed, onClose }: NameVersionProps) {
  const field = useRef<HTMLInputElement>(null)
  const [problem, setProblem] = useState('')
  const [isSaving, setSaving] = useState(false)
  useEffect(() => selectAll(field.current), [])
  const save = async () => {
    const label = field.current?.value.trim() ?? ''
    if (label === '') return field.current?.focus()
    setSaving(true)
    try {
      const named = await (version ? relabelVersion(doc, version.id, label) : nameVersion(doc, label, seq))
      onClose()
      onNamed?.(named)
      toast(t('history.nameDone', { label: named.label }))
    } catch (error) {
      setSaving(false)
      if (!(error instanceof Problem)) throw error
      setProblem(error.detail || error.message)
    }
  }
  return (
    <Dialog title={title} class="dialog-small" onClose={onClose}>
      <form
        class="name-version"
        onSubmit={(event) => {
          event.preventDefault()
          if (!isSaving) void save()
        }}
      >
        <label class="field">
          <span>{t('history.nameLabel')}</span>
          <input
            ref={field}
            defaultValue={version?.label ?? ''}
            placeholder={t('history.namePlaceholder')}
            maxLength={MAX_LABEL}
            required
            autocomplete="off"
            aria-invalid={problem !== ''}
            aria-describedby="name-version-hint"
          />
        </label>
        <p class="field-hint" id="name-version-hint">
          {t('history.nameHint')}
        </p>
        {problem !== '' && (
          <p class="field-problem" role="alert">
            {problem}
          </p>
        )}
        <footer class="dialog-actions">
          <button type="button" class="button" onClick={onClose}>
            {t('app.cancel')}
          </button>
          <button type="submit" class="button button-primary" aria-disabled={isSaving}>
            {t('history.nameSave')}
          </button>
        </footer>
      </form>
    </Dialog>
  )
}
