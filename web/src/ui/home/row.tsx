//! One document in the list.

import { useLayoutEffect, useRef, useState } from 'preact/hooks'
import type { DocumentRecord } from '../../api/documents'
import { displayName } from '../../editor/palette'
import { t } from '../../i18n/strings'
import { Avatar } from '../avatar'
import { Icon } from '../icons'
import { Menu, type MenuItem } from '../menu'
import { documentPath, followLink, navigate } from '../router'
import { selectAll } from '../select-all'
import { fullTime, relativeTime } from '../time'
import { copyLink, deleteForever, moveToTrash, rename, restore, shownTitle } from './actions'
import type { DocumentList } from './documents'

/** More faces than this become a number. */
const FACES = 3

interface RowProps {
  readonly document: DocumentRecord
  readonly list: DocumentList
  readonly trash: boolean
}

export function Row({ document, list, trash }: RowProps) {
  const [renaming, setRenaming] = useState(false)
  const title = shownTitle(document)
  const path = documentPath(document.id)
  const at = new Date((trash ? document.trashed_at : document.edited_at) ?? 0)
  const liveItems: MenuItem[] = [
    { label: t('home.open'), icon: 'arrow', run: () => navigate(path) },
    { label: t('home.openTab'), icon: 'open', run: () => void open(path, '_blank', 'noopener') },
    { label: t('home.rename'), icon: 'rename', run: () => setRenaming(true) },
    { label: t('home.copyLink'), icon: 'link', run: () => void copyLink(path) },
    {
      label: t('home.moveToTrash'),
      icon: 'trash',
      danger: true,
      separated: true,
      run: () => void moveToTrash(list, document),
    },
  ]
  return (
    <li class="row">
      <span class="row-icon" aria-hidden="true">
        <Icon name="document" />
      </span>
      {renaming ? (
        <RenameField
          title={document.title}
          onDone={(next) => {
            setRenaming(false)
            if (next !== null) void rename(list, document, next)
          }}
        />
      ) : trash ? (
        <span class="row-title">{title}</span>
      ) : (
        <a class={`row-title ${document.title.trim() ? '' : 'untitled'}`} href={path} onClick={followLink}>
          {title}
        </a>
      )}
      <Faces people={trash ? [] : document.people} />
      <time
        class="row-time"
        dateTime={Number.isNaN(at.getTime()) ? undefined : at.toISOString()}
        title={fullTime(at)}
      >
        {relativeTime(at, Date.now())}
      </time>
      {trash ? (
        <span class="row-actions">
          <button type="button" class="button button-small" onClick={() => void restore(list, document)}>
            {t('home.restore')}
          </button>
          <button
            type="button"
            class="icon-button danger"
            aria-label={`${t('home.deleteForever')}: ${title}`}
            title={t('home.deleteForever')}
            onClick={() => void deleteForever(list, document)}
          >
            <Icon name="trash" />
          </button>
        </span>
      ) : (
        <span class="row-actions">
          <Menu label={t('home.actions', { title })} items={liveItems} align="end">
            <Icon name="more" />
          </Menu>
        </span>
      )}
    </li>
  )
}

function Faces({ people }: { people: DocumentRecord['people'] }) {
  if (people.length === 0) return <span class="row-people" />
  const names = people.map(({ name }) => displayName(name))
  const label = t('home.liveNow', { names: names.join(', '), count: names.length })
  return (
    <span class="row-people" role="img" aria-label={label} title={label}>
      <span class="live-dot" />
      <span class="faces">
        {people.slice(0, FACES).map((person, at) => (
          <Avatar key={`${at}${person.name}`} person={person} size="s" />
        ))}
        {people.length > FACES && <span class="avatar avatar-s avatar-more">+{people.length - FACES}</span>}
      </span>
    </span>
  )
}

function RenameField({ title, onDone }: { title: string; onDone: (title: string | null) => void }) {
  const field = useRef<HTMLInputElement>(null)
  const settled = useRef(false)
  useLayoutEffect(() => selectAll(field.current), [])
  const settle = (value: string | null) => {
    if (settled.current) return
    settled.current = true
    onDone(value)
  }
  return (
    <input
      ref={field}
      class="row-rename"
      defaultValue={title}
      maxLength={200}
      aria-label={t('home.renameLabel', { title: title || t('app.untitled') })}
      onBlur={(event) => settle(event.currentTarget.value)}
      onKeyDown={(event) => {
        if (event.key === 'Enter') settle(event.currentTarget.value)
        if (event.key === 'Escape') settle(null)
      }}
    />
  )
}
