//! The field for a link's address, beside the selected text.

import { type Editor, getMarkRange } from '@tiptap/core'
import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import { isAllowedHref, normalizeHref } from '../../editor/links'
import { t } from '../../i18n/strings'
import { Icon } from '../icons'
import { type Anchor, Popover } from '../popover'
import { selectAll } from '../select-all'

export function LinkPopover({ editor, onClose }: { editor: Editor; onClose: () => void }) {
  const field = useRef<HTMLInputElement>(null)
  const [bad, setBad] = useState(false)
  const current = useMemo(() => String(editor.getAttributes('link').href ?? ''), [editor])
  const anchor = useMemo(() => selectionAnchor(editor), [editor])
  useEffect(() => selectAll(field.current), [])

  const close = () => {
    onClose()
    editor.commands.focus()
  }
  const apply = (typed: string) => {
    if (typed.trim() === '') return remove()
    const href = normalizeHref(typed)
    if (!href) return setBad(true)
    setLink(editor, href)
    close()
  }
  const remove = () => {
    editor.chain().focus().extendMarkRange('link').unsetLink().run()
    close()
  }

  return (
    <Popover anchor={anchor} label={t('toolbar.link')} class="link-popover" onClose={onClose}>
      <form
        onSubmit={(event) => {
          event.preventDefault()
          apply(field.current?.value ?? '')
        }}
      >
        <input
          ref={field}
          class="link-field"
          defaultValue={current}
          placeholder={t('link.placeholder')}
          aria-label={t('link.label')}
          aria-invalid={bad}
          aria-describedby={bad ? 'link-problem' : undefined}
          inputMode="url"
          onInput={() => setBad(false)}
        />
        <button type="submit" class="button button-small button-primary">
          {t('link.apply')}
        </button>
        {current !== '' && (
          <>
            {isAllowedHref(current) && (
              <a
                class="icon-button"
                href={current}
                target="_blank"
                rel="noopener noreferrer"
                aria-label={t('link.open')}
                title={t('link.open')}
              >
                <Icon name="open" size={16} />
              </a>
            )}
            <button
              type="button"
              class="icon-button"
              aria-label={t('link.remove')}
              title={t('link.remove')}
              onClick={remove}
            >
              <Icon name="unlink" size={16} />
            </button>
          </>
        )}
      </form>
      {bad && (
        <p class="field-problem" id="link-problem" role="alert">
          {t('link.bad')}
        </p>
      )}
    </Popover>
  )
}

function selectionAnchor(editor: Editor): Anchor {
  const { view } = editor
  return {
    getBoundingClientRect() {
      const { from, to } = editor.state.selection
      const start = view.coordsAtPos(from)
      const end = view.coordsAtPos(to)
      return new DOMRect(start.left, start.top, Math.max(0, end.right - start.left), end.bottom - start.top)
    },
  }
}

/** Links the selection, the link under the caret, or, with neither, inserts the address as text. */
function setLink(editor: Editor, href: string): void {
  const { selection, schema } = editor.state
  const type = schema.marks.link
  const inLink = type && getMarkRange(selection.$from, type)
  if (selection.empty && !inLink) {
    const text = href.replace(/^(mailto|tel):/, '')
    editor
      .chain()
      .focus()
      .insertContent({ type: 'text', text, marks: [{ type: 'link', attrs: { href } }] })
      .unsetMark('link')
      .run()
    return
  }
  editor.chain().focus().extendMarkRange('link').setLink({ href }).run()
}
