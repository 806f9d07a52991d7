//! The title on top of the paper. A text area, as a long title wraps; Enter goes on to the text.

import { useEffect, useLayoutEffect, useRef } from 'preact/hooks'
import { t } from '../../i18n/strings'
import type { DocumentSession } from '../../session/session'
import { difference, MAX_TITLE } from '../../session/title'

interface TitleFieldProps {
  readonly session: DocumentSession
  readonly readOnly: boolean
  readonly onLeave: () => void
}

export function TitleField({ session, readOnly, onLeave }: TitleFieldProps) {
  const field = useRef<HTMLTextAreaElement>(null)
  const { title } = session
  const text = title.text.value
  useLayoutEffect(() => {
    const element = field.current
    if (!element) return
    if (element.value !== text) replaceKeepingCaret(element, text)
    fitHeight(element)
  }, [text])
  useEffect(() => {
    const fit = () => field.current && fitHeight(field.current)
    void document.fonts.ready.then(fit)
    addEventListener('resize', fit)
    return () => removeEventListener('resize', fit)
  }, [])
  return (
    <textarea
      ref={field}
      class="title-field"
      rows={1}
      defaultValue={text}
      maxLength={MAX_TITLE}
      readOnly={readOnly}
      placeholder={t('doc.titlePlaceholder')}
      aria-label={t('doc.title')}
      spellcheck
      onInput={(event) => title.edit(event.currentTarget.value)}
      onKeyDown={(event) => {
        const mod = event.ctrlKey || event.metaKey
        if (mod && event.key.toLowerCase() === 'z') {
          event.preventDefault()
          if (event.shiftKey) title.redo()
          else title.undo()
        } else if (event.key === 'Enter' || (event.key === 'ArrowDown' && !event.altKey)) {
          if (event.isComposing) return
          event.preventDefault()
          onLeave()
        }
      }}
    />
  )
}

/** Where the browser does not size the field by its content (`field-sizing`), this does. */
function fitHeight(element: HTMLTextAreaElement): void {
  if (CSS.supports('field-sizing', 'content')) return
  element.style.height = 'auto'
  element.style.height = `${element.scrollHeight}px`
}

/** Somebody else changed the title: the caret stays beside the same letters. */
function replaceKeepingCaret(element: HTMLTextAreaElement, text: string): void {
  const { start, removed, inserted } = difference(element.value, text)
  const move = (at: number) => (at <= start ? at : Math.max(start, at - removed) + inserted.length)
  const { selectionStart, selectionEnd } = element
  element.value = text
  if (document.activeElement === element) element.setSelectionRange(move(selectionStart), move(selectionEnd))
}
