//! The big sign: are the four equal, and how long does it take.

import { t } from '../../i18n/strings'
import type { Laboratory, Reading } from '../../lab/laboratory'
import { Icon, type IconName } from '../icons'

interface Words {
  readonly icon: IconName
  readonly title: string
  readonly hint: string
}

function wording({ verdict, underWay, people, edits }: Reading): Words {
  if (verdict === 'diverged') {
    return { icon: 'warning', title: t('lab.diverged'), hint: t('lab.divergedHint') }
  }
  if (verdict === 'equal') {
    return { icon: 'check', title: t('lab.equal'), hint: t(edits > 0 ? 'lab.equalHint' : 'lab.idleHint') }
  }
  const count = people.filter(({ behind }) => behind > 0).length
  return {
    icon: 'progress',
    title: underWay > 0 ? t('lab.apart', { count: underWay }) : t('lab.apartElsewhere'),
    hint: count > 0 ? t('lab.apartHint', { count }) : t('lab.apartDeletions'),
  }
}

export function VerdictCard({ lab }: { lab: Laboratory }) {
  const reading = lab.reading.value
  const { icon, title, hint } = wording(reading)
  return (
    <section class="lab-card lab-verdict" data-verdict={reading.verdict} aria-label={t('lab.verdict')}>
      <div class="lab-sign">
        <span class="lab-sign-icon">
          <Icon name={icon} size={22} />
        </span>
        <div>
          <p class="lab-sign-title">{title}</p>
          <p class="lab-sign-hint">{hint}</p>
        </div>
      </div>
      <dl class="lab-times">
        <div title={t('lab.reachHint')}>
          <dt>{t('lab.reach')}</dt>
          <Time label={t('lab.median')} ms={reading.reachMs} />
        </div>
        <div title={t('lab.convergenceHint')}>
          <dt>{t('lab.convergence')}</dt>
          <Time label={t('lab.last')} ms={reading.lastMs} />
          <Time label={t('lab.median')} ms={reading.medianMs} />
          <Time label={t('lab.longest')} ms={reading.longestMs} />
        </div>
      </dl>
    </section>
  )
}

function Time({ label, ms }: { label: string; ms: number | null }) {
  return (
    <dd>
      <span class="lab-time">{ms === null ? '–' : duration(ms)}</span> {label}
    </dd>
  )
}

/** Short, with as many digits as matter. */
export function duration(ms: number): string {
  if (ms < 1_000) return t('lab.milliseconds', { value: Math.round(ms) })
  return t('lab.seconds', { value: (ms / 1_000).toFixed(ms < 10_000 ? 1 : 0) })
}
