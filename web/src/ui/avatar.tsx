//! A person as a coloured disc with initials.

import { displayName, hueOf } from '../editor/palette'

export interface AvatarPerson {
  readonly name: unknown
  readonly color: unknown
}

export function initials(name: string): string {
  const words = name.split(/\s+/).filter(Boolean)
  const first = [...(words[0] ?? '?')][0] ?? '?'
  const last = words.length > 1 ? ([...(words.at(-1) ?? '')][0] ?? '') : ''
  return (first + last).toUpperCase()
}

export function Avatar({ person, size = 'm' }: { person: AvatarPerson; size?: 's' | 'm' }) {
  const name = displayName(person.name)
  return (
    <span class={`avatar avatar-${size} hue-${hueOf(person.color, name)}`} aria-hidden="true" data-tip={name}>
      {initials(name)}
    </span>
  )
}
