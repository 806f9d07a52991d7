//! The lab: four editors on one scratch document, with switches for the network between them.

import { type Signal, useComputed, useSignal } from '@preact/signals'
import { useEffect, useMemo, useState } from 'preact/hooks'
import { getDocument, restoreDocument } from '../../api/documents'
import { Problem } from '../../api/problem'
import { t } from '../../i18n/strings'
import { Laboratory } from '../../lab/laboratory'
import { isScratchName, newScratchName } from '../../lab/scratch'
import { browserClock, documentAddress, openSocket } from '../../session/platform'
import { announce } from '../feedback'
import { attempt } from '../home/actions'
import { documentPath, followLink, labPath, navigate, redirect } from '../router'
import { LabBar } from './bar'
import { Chart } from './chart'
import { Controls } from './controls'
import { Seat } from './seat'
import { Switcher } from './switcher'
import { VerdictCard } from './verdict'

/** The document of an address that nobody has written to yet. */
const NO_EPOCH = 0
/** How long the four have to stay equal before a screen reader is told: while people type they are equal for moments. */
const SETTLED_MS = 1_500

interface LabProps {
  readonly name: string | null
  readonly seed: number | null
}

export function Lab({ name, seed }: LabProps) {
  const [attempt, setAttempt] = useState(0)
  useEffect(() => {
    document.title = `${t('lab.title')} · ${t('app.name')}`
    if (name === null) redirect(labPath(newScratchName(Math.random)))
  }, [name])
  if (name === null) return <Opening />
  if (!isScratchName(name)) return <NotScratch name={name} />
  return <Visit key={`${name} ${attempt}`} name={name} seed={seed} again={() => setAttempt(attempt + 1)} />
}

const Opening = () => <main class="lab-frame" aria-busy="true" aria-label={t('lab.opening')} />

function NotScratch({ name }: { name: string }) {
  return (
    <main class="centered-notice">
      <p>{t('lab.notScratch')}</p>
      <div class="notice-actions">
        <button type="button" class="button button-primary" onClick={() => navigate('/lab')}>
          {t('lab.another')}
        </button>
        <a class="button" href={documentPath(name)} onClick={followLink}>
          {t('lab.openDocument')}
        </a>
      </div>
    </main>
  )
}

type Found =
  | { readonly kind: 'usable'; readonly epoch: number }
  | { readonly kind: 'trashed' | 'deleted' }
  | { readonly kind: 'failed'; readonly reason: string }

async function find(name: string): Promise<Found> {
  try {
    const record = await getDocument(name)
    return record.state === 'trashed' ? { kind: 'trashed' } : { kind: 'usable', epoch: record.epoch }
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    if (error.status === 404) return { kind: 'usable', epoch: NO_EPOCH }
    if (error.status === 410) return { kind: 'deleted' }
    return { kind: 'failed', reason: error.detail || error.message }
  }
}

interface VisitProps {
  readonly name: string
  readonly seed: number | null
  readonly again: () => void
}

function Visit({ name, seed, again }: VisitProps) {
  const [found, setFound] = useState<Found | null>(null)
  useEffect(() => {
    let isHere = true
    void find(name).then((found) => isHere && setFound(found))
    return () => {
      isHere = false
    }
  }, [name])
  if (!found) return <Opening />
  if (found.kind === 'usable') return <Bench name={name} seed={seed} epoch={found.epoch} again={again} />
  return <Unusable name={name} found={found} again={again} />
}

interface UnusableProps {
  readonly name: string
  readonly found: Exclude<Found, { kind: 'usable' }>
  readonly again: () => void
}

function Unusable({ name, found, again }: UnusableProps) {
  const restore = async () => {
    const worked = await attempt(async () => {
      await restoreDocument(name)
      return true
    })
    if (worked) again()
  }
  const words = found.kind === 'failed' ? found.reason : t(`lab.${found.kind}`)
  return (
    <main class="centered-notice">
      <p role="alert">{words}</p>
      <div class="notice-actions">
        {found.kind === 'trashed' && (
          <button type="button" class="button" onClick={() => void restore()}>
            {t('home.restore')}
          </button>
        )}
        {found.kind === 'failed' ? (
          <button type="button" class="button" onClick={again}>
            {t('app.retry')}
          </button>
        ) : (
          <button type="button" class="button button-primary" onClick={() => navigate('/lab')}>
            {t('lab.another')}
          </button>
        )}
      </div>
    </main>
  )
}

interface BenchProps {
  readonly name: string
  readonly seed: number | null
  readonly epoch: number
  readonly again: () => void
}

function Bench({ name, seed, epoch, again }: BenchProps) {
  const lab = useMemo(
    () =>
      new Laboratory({
        clock: browserClock,
        open: () => openSocket(documentAddress(name, epoch)),
        seed: seed ?? Math.floor(Math.random() * 2 ** 31),
        title: t('lab.documentTitle'),
      }),
    [name, seed, epoch],
  )
  const shown = useSignal(0)
  useEffect(() => {
    lab.start()
    return () => lab.destroy()
  }, [lab])
  useStopWhenHidden(lab)
  useConvergenceAnnouncements(lab)
  const isGone = useComputed(() =>
    lab.reading.value.people.some(({ sync }) => sync.halt === 'gone' || sync.halt === 'other-epoch'),
  )
  useEffect(() => {
    if (isGone.value) again()
  }, [isGone.value])
  return (
    <div class="lab-frame">
      <LabBar lab={lab} name={name} />
      <main class="lab" id="lab">
        <header class="lab-intro">
          <h1 class="visually-hidden">{t('lab.title')}</h1>
          <p>{t('lab.intro')}</p>
        </header>
        <div class="lab-bench">
          <VerdictCard lab={lab} />
          <Controls lab={lab} />
        </div>
        <Switcher lab={lab} shown={shown} />
        <Seats lab={lab} shown={shown} />
        <Chart lab={lab} />
      </main>
    </div>
  )
}

function Seats({ lab, shown }: { lab: Laboratory; shown: Signal<number> }) {
  return (
    <div class="lab-seats">
      {lab.people.map((participant, at) => (
        <Seat key={participant.person.name} lab={lab} at={at} shown={shown} />
      ))}
    </div>
  )
}

/** A lab in a tab that nobody looks at writes nothing. */
function useStopWhenHidden(lab: Laboratory): void {
  useEffect(() => {
    const onVisibility = () => {
      if (document.visibilityState === 'hidden') lab.stopTyping()
    }
    document.addEventListener('visibilitychange', onVisibility)
    return () => document.removeEventListener('visibilitychange', onVisibility)
  }, [lab])
}

function useConvergenceAnnouncements(lab: Laboratory): void {
  const reading = lab.reading.value
  const isSettled = reading.verdict === 'equal' && reading.edits > 0 && !lab.typing.value
  useEffect(() => {
    if (!isSettled) return
    const timer = setTimeout(() => announce(t('lab.announceEqual')), SETTLED_MS)
    return () => clearTimeout(timer)
  }, [isSettled, reading.edits])
}
