//! What the document page does beside drawing: keys, the guard against closing, announcements, the phone's keyboard.

import type { Signal } from '@preact/signals'
import { useEffect, useLayoutEffect, useRef } from 'preact/hooks'
import { displayName } from '../../editor/palette'
import { t } from '../../i18n/strings'
import type { DocumentSession } from '../../session/session'
import { announce } from '../feedback'
import { isHistoryKey, isNameKey } from './keys'
import { othersHere } from './presence'
import { focusToolbar, type SurfaceState } from './surface'

/** Asks before closing only when closing would lose something: unsaved edits that this device could not keep. */
export function useLeaveGuard(session: DocumentSession): void {
  useEffect(() => {
    const onBeforeUnload = (event: BeforeUnloadEvent) => {
      if (session.kept.value === null && (session.sync.value?.unsaved ?? 0) > 0) event.preventDefault()
    }
    addEventListener('beforeunload', onBeforeUnload)
    return () => removeEventListener('beforeunload', onBeforeUnload)
  }, [session])
}

/** People who come and go together are announced together. */
const GROUP_MS = 1_500

export function usePresenceAnnouncements(session: DocumentSession): void {
  useEffect(() => {
    let known = new Map(othersHere(session).map(({ client, name }) => [client, displayName(name)]))
    let timer: ReturnType<typeof setTimeout> | null = null
    const tell = () => {
      timer = null
      const now = new Map(othersHere(session).map(({ client, name }) => [client, displayName(name)]))
      const joined = [...now].filter(([client]) => !known.has(client)).map(([, name]) => name)
      const left = [...known].filter(([client]) => !now.has(client)).map(([, name]) => name)
      known = now
      const parts = [
        ...(joined.length > 0 ? [t('doc.joined', { names: joined.join(', '), count: joined.length })] : []),
        ...(left.length > 0 ? [t('doc.left', { names: left.join(', '), count: left.length })] : []),
      ]
      if (parts.length > 0) announce(parts.join('. '))
    }
    const onChange = ({ added, removed }: { added: number[]; removed: number[] }) => {
      if (added.length + removed.length > 0) timer ??= setTimeout(tell, GROUP_MS)
    }
    session.awareness.on('change', onChange)
    return () => {
      if (timer) clearTimeout(timer)
      session.awareness.off('change', onChange)
    }
  }, [session])
}

const REGIONS = ['.bar a, .bar button', '.toolbar [tabindex="0"]', '.ProseMirror']

interface PageActions {
  readonly toggleShortcuts: () => void
  readonly openHistory: () => void
  readonly nameVersion: () => void
}

/** `covered`: another page lies over this one and has the keys. */
export function usePageKeys(surface: Signal<SurfaceState>, covered: boolean, actions: PageActions): void {
  useEffect(() => {
    if (covered) return
    const onKeyDown = (event: KeyboardEvent) => {
      const mod = event.ctrlKey || event.metaKey
      if (mod && event.key === '/') {
        event.preventDefault()
        actions.toggleShortcuts()
      } else if (isHistoryKey(event)) {
        event.preventDefault()
        actions.openHistory()
      } else if (isNameKey(event)) {
        event.preventDefault()
        actions.nameVersion()
      } else if (event.key === 'F6') {
        event.preventDefault()
        cycleRegion(event.shiftKey ? -1 : 1)
      } else if (
        event.key === 'Escape' &&
        event.target instanceof Element &&
        event.target.closest('.toolbar')
      ) {
        surface.value.open?.editor.commands.focus()
      } else if (event.altKey && event.key === 'F10') {
        event.preventDefault()
        focusToolbar()
      }
    }
    addEventListener('keydown', onKeyDown)
    return () => removeEventListener('keydown', onKeyDown)
  }, [surface, covered])
}

/** When what covered the page is gone, the focus is where it was. */
export function useFocusBack(covered: boolean, surface: Signal<SurfaceState>): void {
  const before = useRef<Element | null>(null)
  useLayoutEffect(() => {
    if (covered) {
      before.current = document.activeElement
      return
    }
    const element = before.current
    before.current = null
    if (!(element instanceof HTMLElement)) return
    if (element.isConnected && element !== document.body) element.focus({ preventScroll: true })
    else surface.value.open?.editor.view.dom.focus({ preventScroll: true })
  }, [covered])
}

function cycleRegion(step: 1 | -1): void {
  const targets = REGIONS.map((selector) => document.querySelector<HTMLElement>(selector)).filter(
    (found) => found !== null,
  )
  const regions = ['.bar', '.toolbar', '.desk']
  const at = regions.findIndex((region) => document.activeElement?.closest(region))
  targets.at((at + step + targets.length) % targets.length)?.focus()
}

/** On phones the toolbar is at the bottom; where the keyboard covers the page instead of shrinking it, lift it. */
export function useToolbarAboveKeyboard(): void {
  useEffect(() => {
    const viewport = window.visualViewport
    if (!viewport) return
    const lift = () => {
      const covered = Math.max(0, innerHeight - viewport.height - viewport.offsetTop)
      document.documentElement.style.setProperty('--keyboard', `${covered}px`)
    }
    viewport.addEventListener('resize', lift)
    viewport.addEventListener('scroll', lift)
    return () => {
      viewport.removeEventListener('resize', lift)
      viewport.removeEventListener('scroll', lift)
    }
  }, [])
}
