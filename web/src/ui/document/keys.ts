//! Key names as this computer writes them, and the keys that more than one page knows.

const isApple = /Mac|iP(hone|ad|od)/.test(navigator.platform)

/** Parts joined as on a keyboard's labels: `Mod`, `Shift` and `Alt` are translated. */
export function keyLabel(keys: string): string {
  const names: Record<string, string> = isApple
    ? { Mod: '⌘', Shift: '⇧', Alt: '⌥', Enter: '↩' }
    : { Mod: 'Ctrl' }
  return keys
    .split('-')
    .map((key) => names[key] ?? key)
    .join(isApple ? '' : '+')
}

export const withMod = (key: string) => keyLabel(`Mod-${key}`)

export const isHistoryKey = (event: KeyboardEvent) =>
  (event.ctrlKey || event.metaKey) && event.altKey && event.shiftKey && event.code === 'KeyH'

export const isNameKey = (event: KeyboardEvent) =>
  (event.ctrlKey || event.metaKey) && event.shiftKey && !event.altKey && event.code === 'KeyS'
