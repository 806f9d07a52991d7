//! The home page: what there is, by last edit, and the trash.

import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import { createDocument } from '../../api/documents'
import { t } from '../../i18n/strings'
import { Icon } from '../icons'
import { QUIET_MS } from '../quiet'
import { documentPath, followLink, navigate } from '../router'
import { ThemeMenu } from '../theme-menu'
import { attempt } from './actions'
import { DocumentList } from './documents'
import { Row } from './row'

export function Home({ trash }: { trash: boolean }) {
  const list = useMemo(() => new DocumentList(trash), [trash])
  const search = useRef<HTMLInputElement>(null)
  const [query, setQuery] = useState('')
  useEffect(() => {
    setQuery('')
    return list.watch()
  }, [list])
  useEffect(() => {
    const timer = setTimeout(() => list.search(query.trim()), 150)
    return () => clearTimeout(timer)
  }, [query, list])
  useEffect(() => {
    document.title = `${t(trash ? 'home.trash' : 'home.documents')} · ${t('app.name')}`
  }, [trash])
  useHomeKeys(search)
  return (
    <div class="home">
      <Rail trash={trash} />
      <main class="home-main">
        <header class="home-header">
          <h1>{t(trash ? 'home.trash' : 'home.documents')}</h1>
          <div class="search">
            <Icon name="search" size={16} />
            <input
              ref={search}
              type="search"
              value={query}
              placeholder={t('home.search')}
              aria-label={t('home.search')}
              onInput={(event) => setQuery(event.currentTarget.value)}
              onKeyDown={(event) => event.key === 'Escape' && setQuery('')}
            />
            <kbd aria-hidden="true">/</kbd>
          </div>
          {!trash && <NewButton />}
        </header>
        <List list={list} trash={trash} query={query.trim()} />
      </main>
    </div>
  )
}

function useHomeKeys(search: { current: HTMLInputElement | null }): void {
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent) => {
      const typing =
        event.target instanceof HTMLElement && event.target.closest('input, textarea, dialog, [popover]')
      if (typing || event.ctrlKey || event.metaKey || event.altKey) return
      if (event.key === '/') {
        event.preventDefault()
        search.current?.focus()
      } else if (event.key === 'n' || event.key === 'N') {
        event.preventDefault()
        void openNew()
      }
    }
    addEventListener('keydown', onKeyDown)
    return () => removeEventListener('keydown', onKeyDown)
  }, [search])
}

async function openNew(): Promise<void> {
  const record = await attempt(() => createDocument())
  if (record) navigate(documentPath(record.id))
}

function NewButton() {
  const [busy, setBusy] = useState(false)
  return (
    <button
      type="button"
      class="button button-primary new-button"
      disabled={busy}
      title={`${t('home.new')} (${t('home.newKey')})`}
      onClick={() => {
        setBusy(true)
        void openNew().finally(() => setBusy(false))
      }}
    >
      <Icon name="plus" size={16} />
      {t('home.new')}
    </button>
  )
}

function Rail({ trash }: { trash: boolean }) {
  return (
    <nav class="rail" aria-label={t('home.navigation')}>
      <a class="brand" href="/" onClick={followLink}>
        <img src="/favicon.svg" width="24" height="24" alt="" />
        {t('app.name')}
      </a>
      <a class="rail-link" href="/" aria-current={trash ? undefined : 'page'} onClick={followLink}>
        <Icon name="document" />
        <span>{t('home.documents')}</span>
      </a>
      <a class="rail-link" href="/#trash" aria-current={trash ? 'page' : undefined} onClick={followLink}>
        <Icon name="trash" />
        <span>{t('home.trash')}</span>
      </a>
      <div class="rail-end">
        <a class="rail-link" href="/lab" onClick={followLink}>
          <Icon name="lab" />
          <span>{t('home.lab')}</span>
        </a>
        <ThemeMenu />
      </div>
    </nav>
  )
}

function List({ list, trash, query }: { list: DocumentList; trash: boolean; query: string }) {
  const state = list.state.value
  const documents = list.documents.value
  if (typeof state === 'object') return <Failed reason={state.failed} onRetry={() => void list.reload()} />
  if (state === 'loading' && documents.length === 0) return <Skeleton />
  if (documents.length === 0) return <Empty trash={trash} query={query} />
  return (
    <section
      class={`list ${trash ? 'list-trash' : ''}`}
      aria-label={t(trash ? 'home.trash' : 'home.documents')}
      aria-busy={state === 'loading'}
    >
      <div class="list-head" aria-hidden="true">
        <span>{t('home.columnTitle')}</span>
        <span>{trash ? '' : t('home.columnPeople')}</span>
        <span>{t(trash ? 'home.columnTrashed' : 'home.columnEdited')}</span>
      </div>
      <ul>
        {documents.map((document) => (
          <Row key={document.id} document={document} list={list} trash={trash} />
        ))}
      </ul>
      {list.next.value !== null && (
        <button type="button" class="button load-more" onClick={() => void list.more()}>
          {t('home.loadMore')}
        </button>
      )}
    </section>
  )
}

function Skeleton() {
  const [visible, setVisible] = useState(false)
  useEffect(() => {
    const timer = setTimeout(() => setVisible(true), QUIET_MS)
    return () => clearTimeout(timer)
  }, [])
  return (
    <div class="list" aria-busy="true" aria-label={t('app.loading')} role="status">
      {visible && [0, 1, 2, 3, 4, 5].map((row) => <div class="skeleton-row" key={row} />)}
    </div>
  )
}

function Empty({ trash, query }: { trash: boolean; query: string }) {
  const [title, hint] = query
    ? [t('home.emptySearch', { query }), t('home.emptySearchHint')]
    : trash
      ? [t('home.emptyTrash'), t('home.emptyTrashHint')]
      : [t('home.empty'), t('home.emptyHint')]
  return (
    <div class="empty">
      <div class="empty-art" aria-hidden="true">
        <Icon name={query ? 'search' : trash ? 'trash' : 'document'} size={28} />
      </div>
      <h2>{title}</h2>
      <p>{hint}</p>
      {!query && !trash && <NewButton />}
    </div>
  )
}

function Failed({ reason, onRetry }: { reason: string; onRetry: () => void }) {
  return (
    <div class="empty" role="alert">
      <div class="empty-art" aria-hidden="true">
        <Icon name="offline" size={28} />
      </div>
      <h2>{t('home.error')}</h2>
      <p>{reason}</p>
      <button type="button" class="button" onClick={onRetry}>
        {t('app.retry')}
      </button>
    </div>
  )
}
