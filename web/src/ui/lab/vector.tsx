//! A person's state vector: for each client, how many clocks of it they have. What they lack is marked.

import { t } from '../../i18n/strings'
import type { Laboratory, PersonReading } from '../../lab/laboratory'

interface Entry {
  readonly key: string
  readonly name: string
  readonly hue: number | null
  readonly clock: number
  readonly missing: number
}

/** The four first; whoever else wrote into the document (another browser, an earlier visit) counts as one. */
function entries(lab: Laboratory, { vector, missing }: PersonReading): readonly Entry[] {
  const own = lab.people.map(({ person, doc }) => ({
    key: person.name,
    name: person.name,
    hue: person.hue,
    clock: vector.get(doc.clientID) ?? 0,
    missing: missing.get(doc.clientID) ?? 0,
  }))
  const ids = new Set(lab.people.map(({ doc }) => doc.clientID))
  const sum = (of: PersonReading['vector']) =>
    [...of].reduce((sum, [client, clock]) => (ids.has(client) ? sum : sum + clock), 0)
  const others = {
    key: 'others',
    name: t('lab.others'),
    hue: null,
    clock: sum(vector),
    missing: sum(missing),
  }
  return others.clock + others.missing > 0 ? [...own, others] : own
}

export function Vector({ lab, reading }: { lab: Laboratory; reading: PersonReading }) {
  return (
    <div class="lab-vector">
      <h3>{t('lab.vector')}</h3>
      <ul>
        {entries(lab, reading).map(({ key, name, hue, clock, missing }) => (
          <li
            key={key}
            class={missing > 0 ? 'is-behind' : ''}
            title={t('lab.clocksOf', { name, count: clock })}
          >
            <span class={`lab-dot ${hue === null ? '' : `hue-${hue}`}`} aria-hidden="true" />
            <span class="visually-hidden">{name} </span>
            <span class="lab-clock">{clock}</span>
            {missing > 0 && <span class="lab-lacking">−{missing}</span>}
          </li>
        ))}
      </ul>
    </div>
  )
}
