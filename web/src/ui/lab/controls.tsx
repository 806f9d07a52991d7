//! What one can do to the four: let everybody type, slow the network down, break it, take everybody offline.

import { useSignal } from '@preact/signals'
import { useId } from 'preact/hooks'
import { type StringKey, t } from '../../i18n/strings'
import type { Laboratory, Network } from '../../lab/laboratory'
import { Icon } from '../icons'
import { Switch } from '../switch'
import { duration } from './verdict'

const PRESETS: readonly { readonly label: StringKey; readonly network: Network }[] = [
  { label: 'lab.office', network: { delayMs: 10, jitter: 0.2, cutsPerMinute: 0 } },
  { label: 'lab.mobile', network: { delayMs: 400, jitter: 0.4, cutsPerMinute: 0 } },
  { label: 'lab.train', network: { delayMs: 700, jitter: 0.8, cutsPerMinute: 5 } },
  { label: 'lab.satellite', network: { delayMs: 2_000, jitter: 0.1, cutsPerMinute: 1 } },
]

const isSame = (a: Network, b: Network) =>
  a.delayMs === b.delayMs && a.jitter === b.jitter && a.cutsPerMinute === b.cutsPerMinute

export function Controls({ lab }: { lab: Laboratory }) {
  const isOpen = useSignal(false)
  const panel = useId()
  const { delayMs, jitter, cutsPerMinute } = lab.network.value
  const { people, edits } = lab.reading.value
  const typing = lab.typing.value
  return (
    <section class="lab-card lab-controls" aria-label={t('lab.controls')}>
      <div class="lab-run">
        <button
          type="button"
          class={`button lab-start ${typing ? '' : 'button-primary'}`}
          onClick={() => (typing ? lab.stopTyping() : lab.startTyping())}
        >
          <Icon name={typing ? 'stop' : 'play'} size={16} />
          {t(typing ? 'lab.stop' : 'lab.start')}
        </button>
        <span class="lab-edits">{t('lab.edits', { count: edits })}</span>
        <Switch
          label={t('lab.allOffline')}
          on={people.every(({ offline }) => offline)}
          onChange={(offline) => lab.setAllOffline(offline)}
        />
        <button
          type="button"
          class="button lab-network-toggle"
          aria-expanded={isOpen.value}
          aria-controls={panel}
          onClick={() => {
            isOpen.value = !isOpen.value
          }}
        >
          {t('lab.networkSummary', { delay: duration(delayMs) })}
          <Icon name="chevron" size={14} />
        </button>
      </div>
      <div class={`lab-network ${isOpen.value ? 'is-open' : ''}`} id={panel}>
        <fieldset class="lab-presets">
          <legend class="visually-hidden">{t('lab.network')}</legend>
          {PRESETS.map(({ label, network }) => (
            <button
              key={label}
              type="button"
              class="lab-preset"
              aria-pressed={isSame(network, lab.network.value)}
              onClick={() => lab.setNetwork(network)}
            >
              {t(label)}
            </button>
          ))}
        </fieldset>
        <div class="lab-sliders">
          <Slider
            label={t('lab.delay')}
            value={delayMs}
            max={3_000}
            step={10}
            shown={duration(delayMs)}
            onChange={(delayMs) => lab.setNetwork({ delayMs })}
          />
          <Slider
            label={t('lab.jitter')}
            value={jitter * 100}
            max={100}
            step={5}
            shown={t('lab.percent', { value: Math.round(jitter * 100) })}
            onChange={(percent) => lab.setNetwork({ jitter: percent / 100 })}
          />
          <Slider
            label={t('lab.cuts')}
            value={cutsPerMinute}
            max={20}
            step={1}
            shown={cutsPerMinute === 0 ? t('lab.never') : t('lab.perMinute', { value: cutsPerMinute })}
            onChange={(cutsPerMinute) => lab.setNetwork({ cutsPerMinute })}
          />
        </div>
      </div>
    </section>
  )
}

interface SliderProps {
  readonly label: string
  readonly value: number
  readonly max: number
  readonly step: number
  /** The value in words. */
  readonly shown: string
  readonly onChange: (value: number) => void
}

function Slider({ label, value, max, step, shown, onChange }: SliderProps) {
  const input = useId()
  return (
    <div class="lab-slider">
      <label for={input}>{label}</label>
      <output for={input}>{shown}</output>
      <input
        id={input}
        type="range"
        min={0}
        max={max}
        step={step}
        value={value}
        aria-valuetext={shown}
        onInput={(event) => onChange(event.currentTarget.valueAsNumber)}
      />
    </div>
  )
}
