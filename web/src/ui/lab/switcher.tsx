//! On a phone one editor is in view; this chooses whose.

import type { Signal } from '@preact/signals'
import { t } from '../../i18n/strings'
import type { Laboratory } from '../../lab/laboratory'

export function Switcher({ lab, shown }: { lab: Laboratory; shown: Signal<number> }) {
  const { people } = lab.reading.value
  return (
    <fieldset class="lab-switcher">
      <legend class="visually-hidden">{t('lab.whose')}</legend>
      {lab.people.map(({ person }, at) => (
        <button
          key={person.name}
          type="button"
          class={`lab-switch hue-${person.hue}`}
          aria-pressed={shown.value === at}
          onClick={() => {
            shown.value = at
          }}
        >
          <span class="lab-dot" aria-hidden="true" />
          {person.name}
          {(people[at]?.behind ?? 0) > 0 && <span class="lab-badge">−{people[at]?.behind}</span>}
        </button>
      ))}
    </fieldset>
  )
}
