//! Puts the focus into a field with its text selected, so that typing replaces it.

export function selectAll(field: HTMLInputElement | null): void {
  field?.focus()
  field?.select()
}
