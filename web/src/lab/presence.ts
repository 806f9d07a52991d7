//! The presence of a person whose editor seldom has the focus.

import { Awareness } from 'y-protocols/awareness'

/**
 * Keeps the caret where it is when the editor loses the focus, where the cursor plugin would take it away: four editors
 * share a page, and only one can have the focus.
 */
export class LastingPresence extends Awareness {
  override setLocalStateField(field: string, value: unknown): void {
    if (field === 'cursor' && value === null) return
    super.setLocalStateField(field, value)
  }
}
