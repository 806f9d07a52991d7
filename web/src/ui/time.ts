//! Times as people say them.

import { t } from '../i18n/strings'

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

const relative = new Intl.RelativeTimeFormat('en', { numeric: 'auto' })
const sameYear = new Intl.DateTimeFormat('en', { day: 'numeric', month: 'short' })
const otherYear = new Intl.DateTimeFormat('en', { day: 'numeric', month: 'short', year: 'numeric' })
const full = new Intl.DateTimeFormat('en', { dateStyle: 'full', timeStyle: 'short' })
const clock = new Intl.DateTimeFormat('en', { timeStyle: 'medium' })

export function relativeTime(at: Date, now: number): string {
  const age = now - at.getTime()
  if (Number.isNaN(age)) return ''
  if (age < MINUTE) return t('time.now')
  if (age < HOUR) return relative.format(-Math.floor(age / MINUTE), 'minute')
  if (age < DAY) return relative.format(-Math.floor(age / HOUR), 'hour')
  if (age < 7 * DAY) return relative.format(-Math.floor(age / DAY), 'day')
  return (at.getFullYear() === new Date(now).getFullYear() ? sameYear : otherYear).format(at)
}

export const fullTime = (at: Date): string => (Number.isNaN(at.getTime()) ? '' : full.format(at))
export const clockTime = (at: number): string => clock.format(at)
