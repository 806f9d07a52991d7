//! The twelve colours of people. Others may send any colour or none: it is only ever mapped to one of these, so that
//! nobody can choose one that hides text or breaks the contrast.

/** What goes over the wire, so that other editors show about the same colour. The page itself draws `--hue-N`. */
export const WIRE_COLORS = [
  '#c8553d',
  '#b96a00',
  '#8f7a00',
  '#5b8a1f',
  '#1f8f5f',
  '#0f8f8f',
  '#1583b7',
  '#3a5bd9',
  '#6a55d0',
  '#9a47c0',
  '#b8408f',
  '#c74568',
] as const

export const HUES = WIRE_COLORS.length

function hash(text: string): number {
  let value = 2166136261
  for (let at = 0; at < text.length; at++) value = Math.imul(value ^ text.charCodeAt(at), 16777619)
  return value >>> 0
}

/** The palette entry for what somebody claims as a colour; anything unknown falls on a stable one by `name`. */
export function hueOf(color: unknown, name: string): number {
  const known = WIRE_COLORS.indexOf(color as (typeof WIRE_COLORS)[number])
  if (known >= 0) return known
  if (typeof color === 'number' && Number.isInteger(color) && color >= 0 && color < HUES) return color
  return hash(name) % HUES
}

/** What others call themselves, made fit to show: one line, bounded, never empty. */
export function displayName(name: unknown): string {
  const clean =
    typeof name === 'string'
      ? name
          .replace(/[\p{Cc}\p{Cf}]/gu, '')
          .trim()
          .slice(0, 40)
      : ''
  return clean === '' ? 'Someone' : clean
}
