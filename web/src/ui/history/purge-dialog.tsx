//! Says in plain words what is removed for good, and asks.

import { useMemo } from 'preact/hooks'
import type { Entry } from '../../history/timeline'
import { t } from '../../i18n/strings'
import { AskDialog } from './ask-dialog'
import type { HistoryModel } from './model'
import { moment, timeOfDay } from './words'

interface PurgeDialogProps {
  readonly model: HistoryModel
  readonly entry: Entry
  readonly onClose: () => void
}

export function PurgeDialog({ model, entry: chosen, onClose }: PurgeDialogProps) {
  // What was asked about is what goes: a session may grow while one reads.
  const entry = useMemo(() => chosen, [])
  const labels = namesWithin(model, entry)
  const title =
    entry.kind === 'named'
      ? t('history.purgeNamedTitle', { label: entry.version.label })
      : t('history.purgeTitle', { time: spanOf(entry) })
  return (
    <AskDialog
      title={title}
      action={t('history.purgeAction')}
      tone="danger"
      run={() => model.purge(entry)}
      onDone={focusList}
      onClose={onClose}
    >
      <ul class="restore-words">
        <li>{t(entry.kind === 'session' ? 'history.purgeSession' : 'history.purgeMoment')}</li>
        {labels.length > 0 && (
          <li>{t('history.purgeNames', { count: labels.length, labels: labels.join(', ') })}</li>
        )}
        <li>{t('history.purgeKeeps')}</li>
        <li>{t('history.purgeElsewhere')}</li>
        <li>
          <strong>{t('history.purgeFinal')}</strong>
        </li>
      </ul>
    </AskDialog>
  )
}

/** The named versions that go with a session. */
function namesWithin(model: HistoryModel, { kind, version }: Entry): readonly string[] {
  if (kind !== 'session') return []
  return model.archive.timeline.value.named
    .filter(({ version: { seq } }) => version.from_seq <= seq && seq <= version.seq)
    .map(({ version: { label } }) => `“${label}”`)
}

function spanOf({ kind, fromAt, at }: Entry): string {
  const end = timeOfDay(at)
  if (kind !== 'session' || moment(fromAt) === moment(at)) return moment(at)
  return `${moment(fromAt)} – ${fromAt.toDateString() === at.toDateString() ? end : moment(at)}`
}

/** After the dialog has given the focus back to what opened it. */
function focusList(): void {
  requestAnimationFrame(() => {
    const list = document.querySelector<HTMLElement>('.timeline-list')
    const place = list?.offsetParent ? list : document.querySelector<HTMLElement>('.history-reader')
    place?.focus({ preventScroll: true })
  })
}
