//! The bar of the lab: the way home, which document this is, and what can be done with it.

import { trashDocument } from '../../api/documents'
import { t } from '../../i18n/strings'
import type { Laboratory } from '../../lab/laboratory'
import { attempt, copyLink } from '../home/actions'
import { Icon } from '../icons'
import { Menu, type MenuItem } from '../menu'
import { documentPath, followLink, labPath, navigate } from '../router'
import { ThemeMenu } from '../theme-menu'

export function LabBar({ lab, name }: { lab: Laboratory; name: string }) {
  // Without a single edit there is no document yet: nothing to throw away.
  const exists = lab.reading.value.people.some(({ vector }) => vector.size > 0)
  const items: MenuItem[] = [
    {
      label: t('lab.openDocument'),
      icon: 'open',
      run: () => void open(documentPath(name), '_blank', 'noopener'),
    },
    { label: t('lab.copyLink'), icon: 'link', run: () => void copyLink(labPath(name)) },
    { label: t('lab.another'), icon: 'lab', run: () => navigate('/lab') },
    ...(exists
      ? [
          {
            label: t('lab.trash'),
            icon: 'trash' as const,
            danger: true,
            separated: true,
            run: () => void moveToTrash(lab, name),
          },
        ]
      : []),
  ]
  return (
    <header class="bar lab-bar">
      <a
        class="icon-button bar-home"
        href="/"
        aria-label={t('doc.home')}
        title={t('doc.home')}
        onClick={followLink}
      >
        <img src="/favicon.svg" width="22" height="22" alt="" />
      </a>
      <span class="lab-name" aria-hidden="true">
        {t('lab.title')}
      </span>
      <Menu class="lab-document" label={t('lab.document', { name })} items={items}>
        <Icon name="document" size={16} />
        <span class="lab-document-name">{name}</span>
        <Icon name="chevron" size={14} />
      </Menu>
      <span class="bar-space" />
      <ThemeMenu />
    </header>
  )
}

async function moveToTrash(lab: Laboratory, name: string): Promise<void> {
  lab.stopTyping()
  // The page hears of it as everybody does: the server closes the four connections and says why.
  await attempt(() => trashDocument(name))
}
