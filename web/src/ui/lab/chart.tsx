//! The last minute as a drawing: how many clocks each replica lacked, and below it a lane per person with the times
//! without a network and the moments at which the connection broke.

import { t } from '../../i18n/strings'
import type { Laboratory } from '../../lab/laboratory'
import { type Sample, scaleFor, WINDOW_MS } from '../../lab/timeline'

/** The drawing's own units; it is stretched to the width there is. */
const WIDTH = 1_000
const HEIGHT = 100
const LANE = 8
const LANE_GAP = 3
const GRID = [0, 0.25, 0.5, 0.75, 1] as const

export function Chart({ lab }: { lab: Laboratory }) {
  const { at: now, people } = lab.reading.value
  const { samples, cuts, gaps } = lab.timeline
  const top = scaleFor(Math.max(0, ...samples.flatMap(({ behind }) => behind)))
  const x = (at: number) => Math.max(0, WIDTH * (1 - (now - at) / WINDOW_MS))
  const lanes = lab.people.length * (LANE + LANE_GAP)
  const lane = (person: number) => person * (LANE + LANE_GAP)
  const summary = lab.people
    .map(({ person }, at) => t('lab.chartPerson', { name: person.name, count: people[at]?.behind ?? 0 }))
    .join(', ')
  return (
    <section class="lab-card lab-chart" aria-label={t('lab.chart')}>
      <header class="lab-chart-head">
        <h2>{t('lab.chart')}</h2>
        <ul class="lab-legend" aria-hidden="true">
          {lab.people.map(({ person }, at) => (
            <li key={person.name}>
              <svg class={`lab-line lab-line-${at} hue-${person.hue}`} viewBox="0 0 22 4" aria-hidden="true">
                <path d="M1 2H21" />
              </svg>
              {person.name}
            </li>
          ))}
          <li>
            <span class="lab-key-gap" /> {t('lab.chartOffline')}
          </li>
          <li>
            <span class="lab-key-cut" /> {t('lab.chartCut')}
          </li>
        </ul>
      </header>
      <div class="lab-plot" role="img" aria-label={t('lab.chartLabel', { summary })}>
        <span class="lab-axis lab-axis-top" aria-hidden="true">
          {t('lab.clocks', { count: top })}
        </span>
        <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
          {GRID.map((share) => (
            <path key={share} class="lab-grid" d={`M0 ${HEIGHT * share}H${WIDTH}`} />
          ))}
          {lab.people.map(({ person }, at) => (
            <path
              key={person.name}
              class={`lab-line lab-line-${at} hue-${person.hue}`}
              d={line(samples, at, x, (value) => HEIGHT * (1 - value / top))}
            />
          ))}
        </svg>
        <svg
          class="lab-lanes"
          viewBox={`0 0 ${WIDTH} ${lanes}`}
          preserveAspectRatio="none"
          aria-hidden="true"
        >
          {lab.people.map(({ person }, at) => (
            <rect key={person.name} class="lab-lane" x={0} y={lane(at)} width={WIDTH} height={LANE} />
          ))}
          {gaps.map(({ person, from, to }) => (
            <rect
              key={`${person} ${from}`}
              class={`lab-gap hue-${lab.people[person]?.person.hue}`}
              x={x(from)}
              y={lane(person)}
              width={Math.max(2, x(to ?? now) - x(from))}
              height={LANE}
            />
          ))}
          {cuts.map(({ person, at }) => (
            <rect
              key={`${person} ${at}`}
              class={`lab-cut hue-${lab.people[person]?.person.hue}`}
              x={x(at) - 1.5}
              y={lane(person)}
              width={3}
              height={LANE}
            />
          ))}
        </svg>
        <span class="lab-axis lab-axis-past" aria-hidden="true">
          {t('lab.minuteAgo')}
        </span>
        <span class="lab-axis lab-axis-now" aria-hidden="true">
          {t('lab.now')}
        </span>
      </div>
    </section>
  )
}

/** As SVG path data; rounded, as a tenth of a pixel is not seen. */
function line(
  samples: readonly Sample[],
  person: number,
  x: (at: number) => number,
  y: (value: number) => number,
): string {
  return samples
    .map(({ at, behind }, index) => {
      const point = `${x(at).toFixed(1)} ${y(behind[person] ?? 0).toFixed(1)}`
      return (index === 0 ? 'M' : 'L') + point
    })
    .join('')
}
