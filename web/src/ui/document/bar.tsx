//! The bar on top: where you are, whether it is saved, who is here.

import type { Signal } from '@preact/signals'
import { trashDocument } from '../../api/documents'
import { BODY } from '../../editor/editor'
import { plainText } from '../../editor/gate'
import { t } from '../../i18n/strings'
import type { DocumentSession } from '../../session/session'
import { toast } from '../feedback'
import { attempt, copyLink } from '../home/actions'
import { Icon } from '../icons'
import { Menu, type MenuItem } from '../menu'
import { documentPath, followLink, historyPath, navigate, openHistory } from '../router'
import { ThemeMenu } from '../theme-menu'
import { keyLabel, withMod } from './keys'
import { Pill } from './pill'
import { Presence } from './presence'
import type { SurfaceState } from './surface'

interface BarProps {
  readonly session: DocumentSession
  readonly surface: Signal<SurfaceState>
  readonly showShortcuts: () => void
  readonly nameVersion: () => void
}

export function Bar({ session, showShortcuts, nameVersion }: BarProps) {
  const title = session.title.text.value || session.recordTitle.value
  return (
    <header class="bar">
      <a
        class="icon-button bar-home"
        href="/"
        aria-label={t('doc.home')}
        title={t('doc.home')}
        onClick={followLink}
      >
        <img src="/favicon.svg" width="22" height="22" alt="" />
      </a>
      <button
        type="button"
        class={`crumb ${title ? '' : 'untitled'}`}
        tabIndex={-1}
        aria-hidden="true"
        onClick={() => document.querySelector<HTMLElement>('.title-field')?.focus()}
      >
        {title || t('app.untitled')}
      </button>
      <Pill session={session} />
      <span class="bar-space" />
      <Presence session={session} />
      <ThemeMenu />
      <MoreMenu session={session} showShortcuts={showShortcuts} nameVersion={nameVersion} />
    </header>
  )
}

function MoreMenu({ session, showShortcuts, nameVersion }: Omit<BarProps, 'surface'>) {
  const items: MenuItem[] = [
    { label: t('doc.copyLink'), icon: 'link', run: () => void copyLink(documentPath(session.name)) },
    { label: t('doc.copyText'), icon: 'copy', run: () => void copyText(session) },
    {
      label: t('doc.history'),
      icon: 'history',
      keys: keyLabel('Mod-Alt-Shift-H'),
      run: () => openHistory(historyPath(session.name)),
    },
    { label: t('doc.nameVersion'), icon: 'named', keys: keyLabel('Mod-Shift-S'), run: nameVersion },
    { label: t('doc.print'), icon: 'print', keys: withMod('P'), run: () => print() },
    { label: t('doc.shortcuts'), icon: 'keyboard', keys: withMod('/'), run: showShortcuts },
    {
      label: t('doc.trash'),
      icon: 'trash',
      danger: true,
      separated: true,
      run: () => void moveToTrash(session),
    },
  ]
  return (
    <Menu label={t('doc.more')} title={t('doc.more')} items={items} align="end">
      <Icon name="more" />
    </Menu>
  )
}

export async function copyText(session: DocumentSession): Promise<void> {
  const title = session.title.text.value
  const body = plainText(session.doc.getXmlFragment(BODY))
  const worked = await attempt(async () => {
    await navigator.clipboard.writeText(title ? `${title}\n\n${body}` : body)
    return true
  })
  if (worked) toast(t('doc.textCopied'))
}

async function moveToTrash(session: DocumentSession): Promise<void> {
  const worked = await attempt(async () => {
    await trashDocument(session.name)
    return true
  })
  if (worked) navigate('/')
}
