//! The sync pill. It says only what `sync/status` derived from the provider's state.

import { useSignal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import { t } from '../../i18n/strings'
import type { DocumentSession } from '../../session/session'
import { type Pill as PillState, pill } from '../../sync/status'
import { announce } from '../feedback'
import { clockTime } from '../time'

const TICK_MS = 200
/** How long "Back online" stays. */
const BACK_MS = 3_000

function usePill(session: DocumentSession): PillState | null {
  const now = useSignal(Date.now())
  const online = useSignal(navigator.onLine)
  useEffect(() => {
    const onNetwork = () => {
      online.value = navigator.onLine
    }
    // The text depends on the time only while something is pending.
    const timer = setInterval(() => {
      const state = session.sync.value
      if (state && (state.phase !== 'live' || state.unsaved > 0)) now.value = Date.now()
    }, TICK_MS)
    addEventListener('online', onNetwork)
    addEventListener('offline', onNetwork)
    return () => {
      clearInterval(timer)
      removeEventListener('online', onNetwork)
      removeEventListener('offline', onNetwork)
    }
  }, [session])
  const state = session.sync.value
  if (!state) return null
  return pill(state, {
    now: Math.max(now.value, Date.now()),
    browserOnline: online.value,
    kept: session.kept.value,
  })
}

/** What the pill says in words, and what it explains when pointed at. */
function wording(state: PillState): { text: string; hint: string } {
  switch (state.kind) {
    case 'connecting':
      return { text: t('pill.connecting'), hint: '' }
    case 'saved':
      return {
        text: t('pill.saved'),
        hint: state.at ? t('pill.savedAt', { time: clockTime(state.at) }) : t('pill.savedTitle'),
      }
    case 'saving':
      return { text: t('pill.saving'), hint: t('pill.savingTitle', { count: state.edits }) }
    case 'offline': {
      const key = state.kept ? 'pill.offlineKept' : 'pill.offlineTab'
      const text = state.edits > 0 ? t(key, { count: state.edits }) : t('pill.offline')
      return { text, hint: t('pill.offlineTitle') }
    }
    case 'reconnecting':
      return { text: t('pill.reconnecting'), hint: t('pill.offlineTitle') }
    case 'not-saved':
      return { text: t('pill.notSaved', { reason: state.reason }), hint: t('pill.notSavedTitle') }
    case 'refused':
      return { text: t('pill.refused'), hint: state.reason }
    case 'stopped':
      return { text: t('pill.stopped'), hint: '' }
  }
}

export function Pill({ session }: { session: DocumentSession }) {
  const state = usePill(session)
  const back = useBackOnline(state)
  if (!state || session.view.value.kind === 'trashed' || session.view.value.kind === 'deleted') return null
  const { text, hint } = wording(state)
  const retryIn = 'retryIn' in state ? state.retryIn : null
  return (
    // A quick save needs no word, but whoever asks the page is told of it.
    <span
      class="pill"
      data-state={back ? 'back' : state.kind}
      data-unsaved={session.sync.value?.unsaved}
      title={hint}
    >
      <span class="pill-dot" aria-hidden="true" />
      <span class="pill-text">{back ?? text}</span>
      {retryIn !== null && (
        <>
          <span class="pill-detail">{t('pill.retryIn', { seconds: retryIn })}</span>
          <button type="button" class="pill-action" onClick={() => session.retryNow()}>
            {t('pill.tryNow')}
          </button>
        </>
      )}
    </span>
  )
}

/** Tells of changes that matter to somebody who can not see the pill, and says for a moment that edits were merged. */
function useBackOnline(state: PillState | null): string | null {
  const back = useSignal<string | null>(null)
  const before = useRef<PillState | null>(null)
  const waiting = useRef(0)
  useEffect(() => {
    const previous = before.current
    before.current = state
    if (!state) return
    if (state.kind === 'offline') waiting.current = Math.max(waiting.current, state.edits)
    if (state.kind === 'saved' && waiting.current > 0) {
      const text = t('pill.back', { count: waiting.current })
      waiting.current = 0
      back.value = text
      announce(text)
      setTimeout(() => {
        back.value = null
      }, BACK_MS)
    } else if (
      previous &&
      previous.kind !== state.kind &&
      state.kind !== 'saving' &&
      state.kind !== 'saved'
    ) {
      announce(wording(state).text)
    }
  }, [state?.kind, state?.kind === 'offline' ? state.edits : 0])
  return state?.kind === 'saved' ? back.value : null
}
