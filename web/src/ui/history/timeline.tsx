//! The list of versions, after the ARIA listbox pattern: one tab stop, arrow keys choose, and what is chosen is shown.

import type { ComponentChildren } from 'preact'
import { useEffect, useRef } from 'preact/hooks'
import type { Author } from '../../api/versions'
import type { Entry } from '../../history/timeline'
import { t } from '../../i18n/strings'
import { Avatar } from '../avatar'
import { Icon } from '../icons'
import { useSlow } from '../quiet'
import { fullTime } from '../time'
import type { HistoryModel } from './model'
import { authorName, dayName, face, moment, names, range, restoreWords } from './words'

/** More faces than this become a number. */
const FACES = 2
/** Entries that Page Up and Page Down go over. */
const PAGE = 8

const optionId = (key: string) => `version-${key}`

export function Timeline({ model }: { model: HistoryModel }) {
  const state = model.archive.state.value
  const isSlow = useSlow(state.kind === 'loading')
  return (
    <aside
      class={`history-timeline ${model.isListOpen.value ? 'is-open' : ''}`}
      id="history-timeline"
      aria-label={t('history.versions')}
    >
      {state.kind === 'loading' && isSlow && <Skeleton />}
      {state.kind === 'ready' && <Versions model={model} />}
    </aside>
  )
}

function Skeleton() {
  return (
    <div class="timeline-skeleton" role="status" aria-label={t('history.opening')}>
      {[0, 1, 2, 3, 4].map((row) => (
        <i key={row} />
      ))}
    </div>
  )
}

function Versions({ model }: { model: HistoryModel }) {
  const { archive, viewer } = model
  const list = useRef<HTMLDivElement>(null)
  const { named, days, all } = archive.timeline.value
  const chosen = viewer.chosen.value
  const choose = (entry: Entry | undefined) => {
    if (!entry) return
    model.takeOver()
    viewer.choose(entry)
  }
  useEffect(() => {
    if (chosen !== null) document.getElementById(optionId(chosen))?.scrollIntoView({ block: 'nearest' })
  }, [chosen])

  const onKeyDown = (event: KeyboardEvent) => {
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return
    const at = chosen === null ? nearest(all, viewer.seq.value) : all.findIndex(({ key }) => key === chosen)
    const last = all.length - 1
    const targets: Record<string, number> = {
      ArrowDown: chosen === null ? at : at + 1,
      ArrowUp: at - 1,
      PageDown: at + PAGE,
      PageUp: at - PAGE,
      Home: 0,
      End: last,
    }
    const target = targets[event.key]
    if (event.key === 'Enter') model.isListOpen.value = false
    if (target === undefined) return
    event.preventDefault()
    if (target > last) void archive.loadOlder()
    choose(all[Math.max(0, Math.min(last, target))])
  }
  const option = (entry: Entry) => (
    <Option
      key={entry.key}
      entry={entry}
      isChosen={entry.key === chosen}
      choose={() => {
        choose(entry)
        list.current?.focus({ preventScroll: true })
        model.isListOpen.value = false
      }}
    />
  )

  return (
    <>
      <div
        ref={list}
        class="timeline-list"
        role="listbox"
        tabIndex={0}
        aria-label={t('history.timeline')}
        aria-activedescendant={chosen === null ? undefined : optionId(chosen)}
        onKeyDown={onKeyDown}
      >
        {named.length > 0 && (
          <Group id="timeline-named" title={t('history.named')}>
            {named.map(option)}
          </Group>
        )}
        {days.map(({ start, entries }) => (
          <Group key={start} id={`timeline-${start}`} title={dayName(start)}>
            {entries.map(option)}
          </Group>
        ))}
      </div>
      <Older model={model} />
    </>
  )
}

/** The first entry that is not after the moment. */
function nearest(all: readonly Entry[], seq: number): number {
  const found = all.findIndex(({ kind, version }) => kind !== 'named' && version.from_seq <= seq)
  return found < 0 ? all.length - 1 : found
}

function Group({ id, title, children }: { id: string; title: string; children: ComponentChildren }) {
  return (
    // biome-ignore lint/a11y/useSemanticElements: a listbox takes groups, no field sets
    <div role="group" class="timeline-group" aria-labelledby={id}>
      <div class="timeline-day" role="presentation" id={id}>
        {title}
      </div>
      {children}
    </div>
  )
}

interface OptionProps {
  readonly entry: Entry
  readonly isChosen: boolean
  readonly choose: () => void
}

function Option({ entry, isChosen, choose }: OptionProps) {
  const { kind, version } = entry
  return (
    <div
      id={optionId(entry.key)}
      role="option"
      tabIndex={-1}
      class={`timeline-entry timeline-${kind}`}
      aria-selected={isChosen}
      title={fullTime(entry.at)}
      onClick={choose}
    >
      {kind === 'session' ? (
        <Faces authors={version.authors} />
      ) : (
        <span class="timeline-icon" aria-hidden="true">
          <Icon name={kind === 'named' ? 'named' : 'restore'} size={16} />
        </span>
      )}
      <span class="timeline-text">
        <span class="timeline-title">{titleOf(entry)}</span>
        <span class="timeline-detail">{detailOf(entry)}</span>
      </span>
    </div>
  )
}

function titleOf(entry: Entry): string {
  if (entry.kind === 'named') return entry.version.label
  if (entry.kind === 'restore') return restoreWords(entry.version)
  return names(entry.version.authors)
}

function detailOf(entry: Entry): string {
  const { kind, version } = entry
  if (kind === 'named') return `${moment(entry.at)} · ${names(version.authors)}`
  if (kind === 'restore') return `${range(entry)} · ${names(version.authors)}`
  return `${range(entry)} · ${t('history.edits', { count: version.seq - version.from_seq + 1 })}`
}

function Faces({ authors }: { authors: readonly Author[] }) {
  const shown = authors.length > FACES ? authors.slice(0, FACES - 1) : authors
  const hidden = authors.length - shown.length
  return (
    <span class="faces" aria-hidden="true">
      {shown.map((author) => (
        <span key={author.id} title={authorName(author)}>
          <Avatar person={face(author)} size="s" />
        </span>
      ))}
      {hidden > 0 && <span class="avatar avatar-s avatar-more">+{hidden}</span>}
    </span>
  )
}

/** Loads the next page when the end of the list comes into view; the button is for who does not scroll. */
function Older({ model }: { model: HistoryModel }) {
  const { archive } = model
  const end = useRef<HTMLDivElement>(null)
  const state = archive.older.value
  const isSlow = useSlow(state === 'loading')
  const isMore = archive.hasOlder.value
  useEffect(() => {
    const element = end.current
    if (!element || !isMore || state !== 'idle') return
    const observer = new IntersectionObserver(
      (entries) => entries.some(({ isIntersecting }) => isIntersecting) && void archive.loadOlder(),
      { rootMargin: '400px' },
    )
    observer.observe(element)
    return () => observer.disconnect()
  }, [archive, isMore, state])
  if (!isMore) return null
  return (
    <div ref={end} class="timeline-older">
      {state === 'failed' && <p role="alert">{t('history.olderFailed')}</p>}
      {state === 'loading' && isSlow && <Skeleton />}
      {state !== 'loading' && (
        <button type="button" class="button button-small" onClick={() => void archive.loadOlder()}>
          {t(state === 'failed' ? 'app.retry' : 'history.showOlder')}
        </button>
      )}
    </div>
  )
}
