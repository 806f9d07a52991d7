//! The document in the middle, as it was, with what changed. Its content comes from the server and lives outside the
//! component tree.

import { useEffect, useLayoutEffect, useRef } from 'preact/hooks'
import { t } from '../../i18n/strings'
import { announce } from '../feedback'
import { useSlow } from '../quiet'
import { BlockButton } from './block-button'
import { blocksToRestore } from './blocks'
import { changesIn, colourAuthors, excerpt, MARKED, type MarkedChange, matching } from './changes'
import { replaceBlocks } from './fragment'
import type { HistoryModel } from './model'
import { authorName, moment } from './words'

export function Reader({ model }: { model: HistoryModel }) {
  const { viewer, archive } = model
  const state = archive.state.value
  const problem = viewer.problem.value
  const isAlone = problem === null && viewer.shown.value?.isAlone === true
  const isLoading = state.kind === 'loading' || (state.kind === 'ready' && viewer.shown.value === null)
  const isSlow = useSlow(isLoading && !problem)
  const isStepSlow = useSlow(viewer.isBusy.value && !isLoading)
  const isEmpty = state.kind === 'ready' && archive.head.value === 0
  return (
    <main
      class="history-reader"
      id="history-document"
      tabIndex={0}
      aria-label={t('history.document')}
      aria-busy={isLoading}
    >
      {isStepSlow && <div class="history-progress" aria-hidden="true" />}
      {viewer.since.value !== null && !isEmpty && <SinceBar model={model} isAlone={isAlone} />}
      {viewer.since.value === null && isAlone && <p class="history-since">{t('history.alone')}</p>}
      {state.kind === 'failed' ? (
        <Trouble
          title={t('history.listFailed')}
          reason={state.problem.detail || state.problem.message}
          retry={() => void archive.refresh()}
        />
      ) : isEmpty ? (
        <div class="history-empty">
          <h2>{t('history.empty')}</h2>
          <p>{t('history.emptyHint')}</p>
        </div>
      ) : model.isPurged.value ? (
        <div class="history-empty" role="status">
          <h2>{t('history.purgedTitle')}</h2>
          <p>{t('history.purgedHint')}</p>
        </div>
      ) : problem ? (
        <Trouble
          title={t('history.contentFailed')}
          reason={problem.detail || problem.message}
          retry={() => viewer.retry()}
        />
      ) : (
        <article
          class="paper history-paper"
          onPointerMove={(event) => event.pointerType === 'mouse' && hover(model, event)}
          onPointerLeave={() => model.blocks.hover(null)}
        >
          {isSlow && (
            <div class="skeleton-text" role="status" aria-label={t('history.opening')}>
              <i />
              <i />
              <i />
              <i />
            </div>
          )}
          <Content model={model} />
          <BlockButton model={model} />
        </article>
      )}
    </main>
  )
}

/** Beside a block counts as well: the way to the button must not take it away. */
function hover({ blocks }: HistoryModel, { target, clientY }: PointerEvent): void {
  if (!(target instanceof Element) || target.closest('.history-block')) return
  if (target.closest('.history-group > *')) blocks.hover(target)
  else blocks.hoverAt(clientY)
}

function Trouble({ title, reason, retry }: { title: string; reason: string; retry: () => void }) {
  return (
    <div class="history-empty" role="alert">
      <h2>{title}</h2>
      <p>{reason}</p>
      <button type="button" class="button" onClick={retry}>
        {t('app.retry')}
      </button>
    </div>
  )
}

function SinceBar({ model, isAlone }: { model: HistoryModel; isAlone: boolean }) {
  return (
    <p class="history-since">
      <span>{t(isAlone ? 'history.alone' : 'history.sinceBar')}</span>
      <button type="button" class="button button-small" onClick={() => (model.viewer.since.value = null)}>
        {t('history.sinceEnd')}
      </button>
    </p>
  )
}

function Content({ model }: { model: HistoryModel }) {
  const place = useRef<HTMLDivElement>(null)
  const blocks = useRef<readonly string[]>([])
  const { viewer, archive, player } = model
  const shown = viewer.shown.value
  const authors = archive.authors.value
  const head = archive.head.value
  const current = model.currentChange.value
  const changes = model.changes.value

  useLayoutEffect(() => {
    const element = place.current
    if (!element || !shown) return
    const fresh = replaceBlocks(element, blocks.current, shown.blocks)
    blocks.current = shown.blocks
    for (const block of fresh) explain(block, model)
    const marked = changesIn(element)
    model.changes.value = marked
    // A version that was chosen opens at its first change; the scrubber keeps its place unless the change is elsewhere.
    const isChosen = viewer.chosen.value !== null || viewer.since.value !== null
    model.currentChange.value = isChosen && marked.length > 0 ? 0 : -1
    model.wentToChange.value = false
    if (!isChosen) fresh[0]?.scrollIntoView({ block: 'nearest' })
  }, [shown])
  useLayoutEffect(() => {
    if (place.current) explain(place.current, model)
  }, [authors])
  useLayoutEffect(() => {
    const element = place.current
    if (element && shown) model.blocks.show(() => blocksToRestore(element, shown, head, model.changes.value))
  }, [shown, changes, head])
  // Without the document there are no changes in it.
  useEffect(
    () => () => {
      model.changes.value = []
      model.currentChange.value = -1
      model.blocks.show(() => [])
    },
    [],
  )
  useEffect(() => {
    const change = changes[current]
    if (!change) return
    for (const element of change.elements) element.classList.add('is-current')
    change.elements[0]?.scrollIntoView({ block: 'center' })
    if (!player.isPlaying.value) announce(sentence(change, current, changes.length, model))
    return () => {
      for (const element of change.elements) element.classList.remove('is-current')
    }
  }, [changes, current])

  return (
    <>
      {shown?.blocks.every((block) => block.trim() === '') && (
        <p class="history-blank">{t('history.blank')}</p>
      )}
      <div
        ref={place}
        class="prose history-prose"
        onClick={(event) => model.blocks.pick(event.target as Node)}
      />
    </>
  )
}

/** Says of everything that changed there what happened, and gives it its author's colour. */
function explain(place: HTMLElement, model: HistoryModel): void {
  const authors = model.archive.authors.value
  colourAuthors(place, (id) => authors.get(id)?.color ?? '')
  for (const element of matching(place, MARKED)) {
    const { change, author, at } = element.dataset
    element.title = whatHappened(change ?? element.localName, { author, at }, model)
  }
}

const WORDS = {
  added: 'history.added',
  ins: 'history.added',
  removed: 'history.removed',
  del: 'history.removed',
  moved: 'history.moved',
  changed: 'history.changed',
  formatted: 'history.formatted',
} as const

interface Deed {
  readonly author?: string | undefined
  /** When it was done, or begun, in UTC. */
  readonly at?: string | undefined
}

function whatHappened(kind: string, { author, at }: Deed, model: HistoryModel): string {
  const word = t(WORDS[kind as keyof typeof WORDS] ?? 'history.changed')
  const name = author && authorName(model.archive.authors.value.get(author))
  const change = name ? t('history.changeBy', { change: word, name }) : word
  return at ? t('history.changeWhen', { change, at: moment(new Date(at)) }) : change
}

function sentence(change: MarkedChange, at: number, count: number, model: HistoryModel): string {
  const text = excerpt(change.elements.map(({ textContent }) => textContent).join(' '))
  return t('history.changeSaid', {
    at: at + 1,
    count,
    what: whatHappened(change.change, { author: change.author }, model),
    text,
  })
}
