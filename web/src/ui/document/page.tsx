//! The document page: one session, one editor, and everything around them.

import { type Signal, useSignal } from '@preact/signals'
import { useEffect, useMemo, useState } from 'preact/hooks'
import { t } from '../../i18n/strings'
import { DocumentSession } from '../../session/session'
import { NameVersion } from '../name-version'
import { useSlow } from '../quiet'
import { historyPath, openHistory } from '../router'
import { Bar } from './bar'
import {
  useFocusBack,
  useLeaveGuard,
  usePageKeys,
  usePresenceAnnouncements,
  useToolbarAboveKeyboard,
} from './behaviour'
import { Gone } from './gone'
import { LinkPopover } from './link-popover'
import { NewsNotice } from './news'
import { Notices } from './notices'
import { Shortcuts } from './shortcuts'
import { emptySurface, Surface, type SurfaceState } from './surface'
import { TitleField } from './title-field'
import { Toolbar } from './toolbar'

interface Visit {
  readonly number: number
  readonly carried: Uint8Array | undefined
}

interface PageProps {
  readonly name: string
  /** The history lies over the page, which stays open under it. */
  readonly covered: boolean
}

export function Page({ name, covered }: PageProps) {
  const [visit, setVisit] = useState<Visit>({ number: 0, carried: undefined })
  const session = useMemo(() => new DocumentSession(name, visit.carried), [name, visit])
  useEffect(() => {
    void session.open()
    return () => session.destroy()
  }, [session])
  const reopen = (carried?: Uint8Array) => setVisit({ number: visit.number + 1, carried })
  return <Document key={visit.number} session={session} covered={covered} reopen={reopen} />
}

interface DocumentProps {
  readonly session: DocumentSession
  readonly covered: boolean
  readonly reopen: (carried?: Uint8Array) => void
}

function Document({ session, covered, reopen }: DocumentProps) {
  const surface = useSignal<SurfaceState>(emptySurface)
  const shortcuts = useSignal(false)
  const linkField = useSignal(false)
  const naming = useSignal(false)
  const view = session.view.value
  useTabTitle(session)
  useLeaveGuard(session)
  usePresenceAnnouncements(session)
  useToolbarAboveKeyboard()
  useFocusBack(covered, surface)
  usePageKeys(surface, covered, {
    toggleShortcuts: () => (shortcuts.value = !shortcuts.value),
    openHistory: () => openHistory(historyPath(session.name)),
    nameVersion: () => (naming.value = true),
  })
  const isOpen = view.kind === 'ready' || view.kind === 'opening'
  const readOnly = surface.value.unreadable.size > 0
  return (
    <div class="document-frame" inert={covered}>
      <Bar
        session={session}
        surface={surface}
        showShortcuts={() => (shortcuts.value = true)}
        nameVersion={() => (naming.value = true)}
      />
      {isOpen && !readOnly && (
        <section class="toolbar-region" aria-label={t('toolbar.label')}>
          <Toolbar surface={surface} editLink={() => (linkField.value = true)} />
        </section>
      )}
      <Notices session={session} surface={surface} reopen={reopen} />
      <main class="desk" id="text">
        {view.kind === 'opening' && <OpeningSkeleton />}
        {view.kind === 'ready' && (
          <article class="paper">
            <h1>
              <TitleField
                session={session}
                readOnly={readOnly}
                onLeave={() => surface.value.open?.editor.commands.focus('start')}
              />
            </h1>
            <Surface session={session} surface={surface} editLink={() => (linkField.value = true)} />
          </article>
        )}
        {!isOpen && <Gone session={session} reopen={() => reopen()} />}
      </main>
      <OpenLinkPopover surface={surface} linkField={linkField} />
      {view.kind === 'ready' && <NewsNotice session={session} />}
      {naming.value && (
        <NameVersion
          doc={session.name}
          title={t('history.namePresent')}
          onClose={() => (naming.value = false)}
        />
      )}
      {shortcuts.value && <Shortcuts onClose={() => (shortcuts.value = false)} />}
    </div>
  )
}

function OpenLinkPopover({
  surface,
  linkField,
}: {
  surface: Signal<SurfaceState>
  linkField: Signal<boolean>
}) {
  const { open } = surface.value
  if (!linkField.value || !open) return null
  return <LinkPopover editor={open.editor} onClose={() => (linkField.value = false)} />
}

function useTabTitle(session: DocumentSession): void {
  const title = session.title.text.value || session.recordTitle.value || t('app.untitled')
  useEffect(() => {
    document.title = `${title} · ${t('app.name')}`
  }, [title])
}

function OpeningSkeleton() {
  const visible = useSlow(true)
  return (
    <div class="paper" role="status" aria-label={t('doc.opening')} aria-busy="true">
      {visible && (
        <div class="skeleton-text" aria-hidden="true">
          <i />
          <i />
          <i />
          <i />
        </div>
      )}
    </div>
  )
}
