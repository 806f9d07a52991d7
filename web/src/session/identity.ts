//! Who the person in this browser is to others: a name and a colour, chosen here and kept in this browser only.

import { computed, signal } from '@preact/signals'
import { HUES, WIRE_COLORS } from '../editor/palette'

export interface Identity {
  readonly name: string
  readonly hue: number
}

const KEY = 'coscribe.identity'
const ANIMALS = [
  'Badger',
  'Beaver',
  'Crane',
  'Curlew',
  'Dolphin',
  'Falcon',
  'Finch',
  'Fox',
  'Gecko',
  'Hare',
  'Heron',
  'Ibex',
  'Jackdaw',
  'Kestrel',
  'Lark',
  'Lynx',
  'Marten',
  'Newt',
  'Otter',
  'Owl',
  'Panda',
  'Plover',
  'Puffin',
  'Raven',
  'Robin',
  'Seal',
  'Stork',
  'Swift',
  'Tern',
  'Vole',
  'Walrus',
  'Wren',
]

const pick = (below: number) => Math.floor(Math.random() * below)

function load(): Identity {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? 'null') as Partial<Identity> | null
    if (typeof kept?.name === 'string' && kept.name !== '' && Number.isInteger(kept.hue)) {
      return { name: kept.name, hue: Math.abs(kept.hue ?? 0) % HUES }
    }
  } catch {
    // Unreadable or blocked storage: a new guest.
  }
  return { name: `Guest ${ANIMALS[pick(ANIMALS.length)]}`, hue: pick(HUES) }
}

export const identity = signal<Identity>(load())
save(identity.value)

/** As it goes over the wire, in the fields other editors use as well. */
export const awarenessUser = computed(() => ({
  name: identity.value.name,
  color: WIRE_COLORS[identity.value.hue] ?? WIRE_COLORS[0],
}))

export function setIdentity(change: Partial<Identity>): void {
  identity.value = { ...identity.value, ...change }
  save(identity.value)
}

function save(value: Identity): void {
  try {
    localStorage.setItem(KEY, JSON.stringify(value))
  } catch {
    // Kept for this visit only.
  }
}
