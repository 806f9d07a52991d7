//! How the history speaks of people, moments and versions.

import type { Author, Kept, Version } from '../../api/versions'
import { hueOf } from '../../editor/palette'
import type { Entry } from '../../history/timeline'
import { startOfDay, timeOfEdit } from '../../history/timeline'
import { type StringKey, t } from '../../i18n/strings'
import type { AvatarPerson } from '../avatar'

const DAY_MS = 86_400_000
/** More names than this become a number. */
const NAMES = 3

const clock = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' })
const sameYear = new Intl.DateTimeFormat('en-GB', { weekday: 'long', day: 'numeric', month: 'long' })
const otherYear = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'long', year: 'numeric' })
const short = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short' })
const shortYear = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', year: 'numeric' })

export const timeOfDay = (at: Date): string => clock.format(at)

const isThisYear = (at: Date) => at.getFullYear() === new Date().getFullYear()

export function dayName(start: number): string {
  const today = startOfDay(new Date())
  // Rounded, as days on which the clocks change are longer or shorter.
  const days = Math.round((today - start) / DAY_MS)
  if (days === 0) return t('history.today')
  if (days === 1) return t('history.yesterday')
  const at = new Date(start)
  return (isThisYear(at) ? sameYear : otherYear).format(at)
}

/** A moment in few words, with its day. */
export const moment = (at: Date): string =>
  `${(isThisYear(at) ? short : shortYear).format(at)}, ${timeOfDay(at)}`

export const authorName = (author: Pick<Author, 'name'> | undefined): string =>
  author?.name.trim() || t('history.somebody')

/** Who has no name is told apart from others of that kind by the colour. */
export const face = (author: Author): AvatarPerson => ({
  name: authorName(author),
  color: hueOf(author.color, author.id),
})

export function names(authors: readonly Author[]): string {
  const all = [...new Set(authors.map(authorName))]
  if (all.length <= NAMES) return new Intl.ListFormat('en', { type: 'conjunction' }).format(all)
  return t('history.andMore', {
    names: all.slice(0, NAMES - 1).join(', '),
    count: all.length - NAMES + 1,
  })
}

export function range({ fromAt, at }: Entry): string {
  const [from, to] = [timeOfDay(fromAt), timeOfDay(at)]
  return from === to ? to : `${from} – ${to}`
}

export function restoreWords({ label, part }: Version): string {
  if (part) return t('history.restoreEventPart')
  return label === '' ? t('history.restoreEventPlain') : t('history.restoreEvent', { label })
}

const KEPT: Partial<Record<Kept, StringKey>> = {
  seconds: 'history.keptSeconds',
  minutes: 'history.keptMinutes',
  sessions: 'history.keptSessions',
  named: 'history.keptNamed',
}

/** How finely the moments of a session are still kept; nothing where all are. */
export function keptWords(session: Version | undefined): string {
  const words = session && KEPT[session.kept]
  return words ? t(words) : ''
}

export interface Heading {
  readonly title: string
  readonly detail: string
}

/** What the bar says of the moment that is shown. */
export function headingOf(
  entry: Entry | null,
  seq: number,
  { versions, head }: { readonly versions: readonly Version[]; readonly head: number },
): Heading {
  const isPresent = seq === head
  const parts = (...all: (string | false)[]) => all.filter(Boolean).join(' · ')
  if (entry?.kind === 'named') {
    const { label, authors } = entry.version
    return { title: label, detail: parts(moment(entry.at), names(authors)) }
  }
  if (entry) {
    const title = entry.kind === 'restore' ? restoreWords(entry.version) : moment(entry.at)
    const people = names(entry.version.authors)
    return {
      title: isPresent && entry.kind === 'session' ? t('history.present') : title,
      detail: parts((isPresent || entry.kind === 'restore') && moment(entry.at), people),
    }
  }
  if (seq === 0) return { title: t('history.beginning'), detail: '' }
  const at = timeOfEdit(versions, seq)
  return {
    title: at ? moment(at) : t('history.moment', { seq, head }),
    detail: at ? t('history.moment', { seq, head }) : '',
  }
}
