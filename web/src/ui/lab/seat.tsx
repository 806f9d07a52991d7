//! One person at their desk: the editor, their connection, and what their meters say.

import { type Signal, useSignal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import { type StringKey, t } from '../../i18n/strings'
import type { Laboratory, PersonReading } from '../../lab/laboratory'
import type { Participant } from '../../lab/participant'
import { Avatar } from '../avatar'
import { emptySurface, Surface, type SurfaceState } from '../document/surface'
import { Switch } from '../switch'
import { Vector } from './vector'

interface SeatProps {
  readonly lab: Laboratory
  readonly at: number
  /** Which seat a phone shows. */
  readonly shown: Signal<number>
}

export function Seat({ lab, at, shown }: SeatProps) {
  const participant = lab.people[at]
  const reading = lab.reading.value.people[at]
  if (!participant || !reading) return null
  const { person } = participant
  return (
    <section
      class={`lab-card lab-seat hue-${person.hue} ${shown.value === at ? 'is-shown' : ''}`}
      aria-label={person.name}
      data-behind={reading.behind}
    >
      <header class="lab-seat-head">
        <Avatar person={{ name: person.name, color: person.hue }} size="s" />
        <h2>{person.name}</h2>
        <Connection reading={reading} now={lab.reading.value.at} />
        <Switch
          label={t('lab.offlineFor', { name: person.name })}
          short={t('lab.offline')}
          on={reading.offline}
          onChange={(offline) => lab.setOffline(at, offline)}
        />
      </header>
      <Desk participant={participant} />
      <Meters reading={reading} />
      <Vector lab={lab} reading={reading} />
    </section>
  )
}

function stateOf({
  sync,
  offline,
}: PersonReading): 'live' | 'offline' | 'connecting' | 'waiting' | 'stopped' {
  if (sync.phase === 'halted' || sync.refusal) return 'stopped'
  if (offline) return 'offline'
  if (sync.phase === 'live') return 'live'
  return sync.phase === 'waiting' ? 'waiting' : 'connecting'
}

const STATES: Readonly<Record<ReturnType<typeof stateOf>, StringKey>> = {
  live: 'lab.stateLive',
  offline: 'lab.stateOffline',
  connecting: 'lab.stateConnecting',
  waiting: 'lab.stateWaiting',
  stopped: 'lab.stateStopped',
}

function Connection({ reading, now }: { reading: PersonReading; now: number }) {
  const state = stateOf(reading)
  const seconds = Math.round(((reading.sync.retryAt ?? now) - now) / 1_000)
  return (
    <span class="lab-connection" data-state={state}>
      <span class="lab-connection-dot" aria-hidden="true" />
      <span class="lab-connection-text">
        {state === 'waiting' && seconds > 0 ? t('lab.stateRetry', { seconds }) : t(STATES[state])}
      </span>
    </span>
  )
}

/** The product's own editor, small. It follows its own caret while nobody reads elsewhere in it. */
function Desk({ participant }: { participant: Participant }) {
  const surface = useSignal<SurfaceState>(emptySurface)
  const desk = useRef<HTMLDivElement>(null)
  const editor = surface.value.open?.editor ?? null
  useEffect(() => {
    participant.editor = editor
    if (!editor) return
    let frame = 0
    const follow = () => {
      cancelAnimationFrame(frame)
      frame = requestAnimationFrame(() => {
        if (desk.current && !editor.isDestroyed && !editor.view.hasFocus()) {
          showCaret(desk.current, editor.view.coordsAtPos(editor.state.selection.head))
        }
      })
    }
    editor.on('transaction', follow)
    return () => {
      cancelAnimationFrame(frame)
      editor.off('transaction', follow)
      participant.editor = null
    }
  }, [editor, participant])
  return (
    <div class="lab-desk" ref={desk}>
      <Surface
        session={participant}
        surface={surface}
        editLink={() => {}}
        label={t('lab.textOf', { name: participant.person.name })}
      />
    </div>
  )
}

/** Room kept between the caret and the edge, so that a caret's name is in view as well. */
const MARGIN = 28

/** Scrolls the desk only: the page must not move while people type. */
function showCaret(desk: HTMLElement, caret: { readonly top: number; readonly bottom: number }): void {
  const { top, bottom } = desk.getBoundingClientRect()
  if (bottom === top) return
  if (caret.bottom > bottom - MARGIN) desk.scrollTop += caret.bottom - bottom + MARGIN
  else if (caret.top < top + MARGIN) desk.scrollTop -= top + MARGIN - caret.top
}

function Meters({ reading }: { reading: PersonReading }) {
  const { traffic, sync } = reading
  return (
    <dl class="lab-meters">
      <Meter
        label={t('lab.sent')}
        value={size(traffic.sentBytes)}
        detail={t('lab.messages', { count: traffic.sentMessages })}
      />
      <Meter
        label={t('lab.received')}
        value={size(traffic.receivedBytes)}
        detail={t('lab.messages', { count: traffic.receivedMessages })}
      />
      <Meter
        label={t('lab.unsaved')}
        value={String(sync.unsaved)}
        detail={t('lab.unsavedUnit', { count: sync.unsaved })}
      />
    </dl>
  )
}

function Meter({ label, value, detail }: { label: string; value: string; detail: string }) {
  return (
    <div>
      <dt>{label}</dt>
      <dd>
        <strong>{value}</strong>
        <span>{detail}</span>
      </dd>
    </div>
  )
}

const KILO = 1_000

function size(bytes: number): string {
  if (bytes < KILO) return t('lab.bytes', { value: bytes })
  if (bytes < KILO * KILO)
    return t('lab.kilobytes', { value: (bytes / KILO).toFixed(bytes < 100 * KILO ? 1 : 0) })
  return t('lab.megabytes', { value: (bytes / KILO / KILO).toFixed(1) })
}
