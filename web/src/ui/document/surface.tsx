//! Holds the editor's element, which lives outside the component tree, and publishes what others need of the editor.

import type { Signal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import { type OpenEditor, openEditor } from '../../editor/editor'
import { emptyToolbar, type ToolbarState, toolbarState } from '../../editor/toolbar'
import type { DocumentSession } from '../../session/session'

export interface SurfaceState {
  readonly open: OpenEditor | null
  readonly toolbar: ToolbarState
  readonly unreadable: ReadonlySet<string>
}

export const emptySurface: SurfaceState = { open: null, toolbar: emptyToolbar, unreadable: new Set() }

interface SurfaceProps {
  readonly session: Pick<DocumentSession, 'doc' | 'awareness'>
  readonly surface: Signal<SurfaceState>
  readonly editLink: () => void
  /** What a screen reader calls the text, where a page holds more than one. */
  readonly label?: string
}

export const focusToolbar = () => document.querySelector<HTMLElement>('.toolbar [tabindex="0"]')?.focus()

export function Surface({ session, surface, editLink, label }: SurfaceProps) {
  const place = useRef<HTMLDivElement>(null)
  useEffect(() => {
    const element = place.current
    if (!element) return
    let open: OpenEditor | null = null
    let scheduled = false
    const refresh = () => {
      scheduled = false
      if (!open) return
      surface.value = {
        open,
        toolbar: toolbarState(open.editor, open.undoManager),
        unreadable: open.unreadable,
      }
    }
    const start = () => {
      open?.destroy()
      element.replaceChildren()
      open = openEditor({
        element,
        doc: session.doc,
        awareness: session.awareness,
        actions: { editLink, focusToolbar },
        label,
        onChange: () => {
          if (scheduled) return
          scheduled = true
          queueMicrotask(refresh)
        },
        onUnreadable: start,
      })
      refresh()
    }
    start()
    return () => {
      surface.value = emptySurface
      open?.destroy()
    }
  }, [session])
  return <div class="surface" ref={place} />
}
