//! An on-off switch, after the ARIA switch pattern.

interface SwitchProps {
  readonly label: string
  readonly on: boolean
  readonly onChange: (on: boolean) => void
  /** What is written beside it where the label would be too long. */
  readonly short?: string
}

export function Switch({ label, on, onChange, short }: SwitchProps) {
  return (
    <button
      type="button"
      role="switch"
      class="switch"
      aria-checked={on}
      aria-label={short === undefined ? undefined : label}
      onClick={() => onChange(!on)}
    >
      <span class="switch-track" aria-hidden="true">
        <span class="switch-thumb" />
      </span>
      {short ?? label}
    </button>
  )
}
