//! The moment as a place on a line: drag, step with arrows, or let the writing play.

import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import { hueOf } from '../../editor/palette'
import { SPEEDS } from '../../history/tempo'
import { sessionAt, timeOfEdit } from '../../history/timeline'
import { t } from '../../i18n/strings'
import { Icon } from '../icons'
import { Menu } from '../menu'
import type { HistoryModel } from './model'
import { keptWords, moment, names } from './words'

/** How often a screen reader hears the moment while it moves. */
const SAY_MS = 1_500
/** Units of the drawing: of the width as many as there are, of the height pixels. */
const WIDTH = 1_000
const HEIGHT = 14

export function Scrubber({ model }: { model: HistoryModel }) {
  const { archive, viewer, player } = model
  const head = archive.head.value
  const seq = viewer.seq.value
  const isPlaying = player.isPlaying.value
  const words = wordsOf(model)
  return (
    <section class="history-scrubber" aria-label={t('history.scrubber')}>
      <button
        type="button"
        class="icon-button history-play"
        aria-label={t(isPlaying ? 'history.pause' : 'history.play')}
        title={t(isPlaying ? 'history.pause' : 'history.play')}
        onClick={() => model.play()}
      >
        <Icon name={isPlaying ? 'pause' : 'play'} />
      </button>
      <div class="scrubber-track">
        <Sessions model={model} />
        <input
          type="range"
          class="scrubber-range"
          min={0}
          max={head}
          step={1}
          value={seq}
          aria-label={t('history.scrubber')}
          aria-valuetext={words}
          onInput={(event) => {
            model.takeOver()
            viewer.moveTo(event.currentTarget.valueAsNumber)
          }}
        />
      </div>
      <p class="scrubber-words" aria-hidden="true">
        <ScrubberTime model={model} />
      </p>
      <Speed model={model} />
      <Said words={words} />
    </section>
  )
}

function ScrubberTime({ model }: { model: HistoryModel }) {
  const seq = model.viewer.seq.value
  const head = model.archive.head.value
  const versions = model.archive.versions.value
  const at = timeOfEdit(versions, seq)
  const kept = keptWords(sessionAt(versions, seq))
  return (
    <>
      <span class="scrubber-time">{at ? moment(at) : ''}</span>
      <span class="scrubber-edit">
        {seq} / {head}
      </span>
      {kept !== '' && (
        <span class="scrubber-kept" title={t('history.keptHint')}>
          {kept}
        </span>
      )}
    </>
  )
}

function wordsOf({ archive, viewer }: HistoryModel): string {
  const versions = archive.versions.value
  const seq = viewer.seq.value
  if (seq === 0) return t('history.beginning')
  const at = timeOfEdit(versions, seq)
  const session = sessionAt(versions, seq)
  const words = [
    at && moment(at),
    session && names(session.authors),
    t('history.moment', { seq, head: archive.head.value }),
    keptWords(session),
  ]
  return words.filter(Boolean).join(', ')
}

/** Says where the moment is, not at every step of a drag or a replay. */
function Said({ words }: { words: string }) {
  const [said, setSaid] = useState('')
  const newest = useRef(words)
  const timer = useRef<ReturnType<typeof setTimeout> | null>(null)
  const isFirst = useRef(true)
  newest.current = words
  useEffect(() => {
    // What is there on opening is said by what has the focus.
    if (isFirst.current) {
      isFirst.current = false
      return
    }
    timer.current ??= setTimeout(() => {
      timer.current = null
      setSaid(newest.current)
    }, SAY_MS)
  }, [words])
  useEffect(
    () => () => {
      if (timer.current) clearTimeout(timer.current)
    },
    [],
  )
  return (
    <p class="visually-hidden" role="status">
      {said}
    </p>
  )
}

/** Each session in the colour of who wrote first in it, and the named versions as marks. */
function Sessions({ model }: { model: HistoryModel }) {
  const versions = model.archive.versions.value
  const head = model.archive.head.value
  return useMemo(() => {
    const x = (seq: number) => (head === 0 ? 0 : (seq / head) * WIDTH)
    return (
      <svg
        class="scrubber-sessions"
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        preserveAspectRatio="none"
        aria-hidden="true"
      >
        {versions.map((version) => {
          const [author] = version.authors
          if (version.kind === 'auto')
            return (
              <rect
                key={`session ${version.from_seq}`}
                class={`scrubber-session ${author ? `hue-${hueOf(author.color, author.id)}` : ''}`}
                x={x(version.from_seq - 1)}
                width={Math.max(1, x(version.seq) - x(version.from_seq - 1) - 1)}
                y={5}
                height={4}
              />
            )
          if (version.kind === 'named')
            return (
              <rect
                key={version.id}
                class="scrubber-mark"
                x={Math.max(0, x(version.seq) - 1)}
                width={2}
                y={0}
                height={HEIGHT}
              />
            )
          return null
        })}
      </svg>
    )
  }, [versions, head])
}

function Speed({ model }: { model: HistoryModel }) {
  // Read for its change: the proposal depends on what is loaded.
  void model.archive.tempo.value
  const { speed } = model.player
  return (
    <Menu
      label={t('history.speed', { speed })}
      title={t('history.speed', { speed })}
      class="icon-button scrubber-speed"
      align="end"
      items={SPEEDS.map((choice) => ({
        label:
          choice === 1 ? t('history.asWritten') : t('history.speedItem', { speed: choice, count: choice }),
        checked: choice === speed,
        run: () => (model.player.chosenSpeed.value = choice),
      }))}
    >
      {t('history.speedShort', { speed })}
    </Menu>
  )
}
