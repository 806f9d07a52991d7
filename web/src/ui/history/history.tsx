//! The history of one document, over the whole page: the moment in the middle, the versions beside it, time below.

import { useEffect, useMemo } from 'preact/hooks'
import { t } from '../../i18n/strings'
import { Icon } from '../icons'
import { NameVersion } from '../name-version'
import { rewriteAddress } from '../router'
import { ChangeTools, HistoryBar } from './bar'
import { useHistoryKeys } from './keys'
import { HistoryModel } from './model'
import { useNarrow } from './narrow'
import { PurgeDialog } from './purge-dialog'
import { Reader } from './reader'
import { RestoreDialog } from './restore-dialog'
import { Scrubber } from './scrubber'
import { Timeline } from './timeline'

/** While the page is looked at, what others write meanwhile shows up after this time. */
const REFRESH_MS = 20_000
/** The address follows when the moment has rested for this time: browsers limit how often it may change. */
const ADDRESS_MS = 400

interface HistoryProps {
  readonly name: string
  readonly at: string | null
  readonly since: number | null
}

export function History({ name, at, since }: HistoryProps) {
  const model = useMemo(() => new HistoryModel(name), [name])
  const isNarrow = useNarrow()
  useOpening(model, at, since)
  useAddress(model)
  useRefresh(model)
  useTabTitle(model)
  useHistoryKeys(model)
  const { archive } = model
  const isEmpty = archive.state.value.kind === 'ready' && archive.head.value === 0
  return (
    <div class="history-frame">
      <HistoryBar model={model} />
      {isNarrow && !isEmpty && <NarrowTools model={model} />}
      <div class="history-body">
        <Reader model={model} />
        {!isEmpty && <Timeline model={model} />}
      </div>
      {!isEmpty && <Scrubber model={model} />}
      <Dialogs model={model} />
    </div>
  )
}

function NarrowTools({ model }: { model: HistoryModel }) {
  const { isListOpen } = model
  return (
    <section class="history-tools" aria-label={t('history.changes')}>
      <ChangeTools model={model} />
      <button
        type="button"
        class="icon-button history-list-button"
        aria-label={t('history.versions')}
        title={t('history.versions')}
        aria-expanded={isListOpen.value}
        aria-controls="history-timeline"
        onClick={() => {
          isListOpen.value = !isListOpen.value
          if (isListOpen.value)
            requestAnimationFrame(() => document.querySelector<HTMLElement>('.timeline-list')?.focus())
        }}
      >
        <Icon name="history" />
      </button>
    </section>
  )
}

function Dialogs({ model }: { model: HistoryModel }) {
  const dialog = model.dialog.value
  const close = () => (model.dialog.value = null)
  if (dialog === 'restore') return <RestoreDialog model={model} onClose={close} />
  if (dialog === null) return null
  const entry = model.viewer.entry.value
  if (dialog === 'purge')
    return entry && <PurgeDialog key={entry.key} model={model} entry={entry} onClose={close} />
  return (
    <NameVersion
      doc={model.name}
      title={t(dialog === 'rename' ? 'history.rename' : 'history.name')}
      seq={model.viewer.seq.value}
      {...(dialog === 'rename' && entry ? { version: entry.version } : {})}
      onNamed={(version) => {
        void archiveAndChoose(model, version.id)
      }}
      onClose={close}
    />
  )
}

async function archiveAndChoose({ archive, viewer }: HistoryModel, id: string): Promise<void> {
  await archive.refresh()
  const entry = archive.timeline.value.named.find(({ version }) => version.id === id)
  if (entry) viewer.choose(entry)
}

/** Shows what the address names as soon as the list is there, and gives the focus to the list. */
function useOpening(model: HistoryModel, at: string | null, since: number | null): void {
  const isReady = model.archive.state.value.kind === 'ready'
  const isEmpty = model.archive.head.value === 0
  useEffect(() => {
    void model.archive.refresh()
    void model.loadTitle()
    return () => model.destroy()
  }, [model])
  useEffect(() => {
    if (!isReady || isEmpty) return
    // A version further down is looked for, a moment is there at once.
    const open = () => model.viewer.start({ at, since })
    if (at?.startsWith('v')) void model.archive.loadDownToVersion(at).then(open)
    else open()
  }, [model, isReady, isEmpty, at, since])
  useEffect(() => {
    // On a phone the list is closed, and the keys work without a focus.
    const list = document.querySelector<HTMLElement>('.timeline-list')
    if (isReady && list?.offsetParent) list.focus({ preventScroll: true })
  }, [isReady])
}

function useAddress(model: HistoryModel): void {
  const path = model.path.value
  const isPlaying = model.player.isPlaying.value
  const isStarted = model.viewer.isStarted.value
  useEffect(() => {
    if (!isStarted || isPlaying) return
    const timer = setTimeout(() => rewriteAddress(path), ADDRESS_MS)
    return () => clearTimeout(timer)
  }, [path, isPlaying, isStarted])
}

function useRefresh(model: HistoryModel): void {
  useEffect(() => {
    const refresh = () => {
      if (document.visibilityState === 'visible' && model.archive.state.value.kind === 'ready')
        void model.archive.refresh()
    }
    const timer = setInterval(refresh, REFRESH_MS)
    document.addEventListener('visibilitychange', refresh)
    return () => {
      clearInterval(timer)
      document.removeEventListener('visibilitychange', refresh)
    }
  }, [model])
}

function useTabTitle(model: HistoryModel): void {
  const title = t('history.titleOf', { title: model.title.value || t('app.untitled') })
  useEffect(() => {
    const before = document.title
    document.title = `${title} · ${t('app.name')}`
    return () => {
      document.title = before
    }
  }, [title])
}
