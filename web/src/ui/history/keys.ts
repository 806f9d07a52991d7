//! The keys of the history. They work wherever the focus is, except where a field, a menu or a dialog needs them.

import { useEffect } from 'preact/hooks'
import { isHistoryKey, isNameKey } from '../document/keys'
import { leaveHistory } from '../router'
import type { HistoryModel } from './model'

const REGIONS = ['.history-bar', '.history-reader', '.history-timeline', '.history-scrubber'] as const
const STOPS = ['.history-back', '.history-reader', '.timeline-list', '.scrubber-range'] as const

const isInLayer = () => document.querySelector('dialog[open], [popover]:popover-open') !== null

export function useHistoryKeys(model: HistoryModel): void {
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent) => {
      if (isInLayer() || event.defaultPrevented || !act(model, event)) return
      event.preventDefault()
      event.stopPropagation()
    }
    // Before the range takes the arrows for itself.
    addEventListener('keydown', onKeyDown, true)
    return () => removeEventListener('keydown', onKeyDown, true)
  }, [model])
}

/** Whether the key was one of ours. */
function act(model: HistoryModel, event: KeyboardEvent): boolean {
  if (isHistoryKey(event)) return leave(model)
  if (isNameKey(event)) {
    if (model.archive.head.value === 0) return true
    model.dialog.value = model.viewer.entry.value?.kind === 'named' ? 'rename' : 'name'
    return true
  }
  if (event.key === 'F6') return cycleRegion(event.shiftKey ? -1 : 1)
  if (event.ctrlKey || event.metaKey) return false
  if (event.key === 'Escape') {
    if (!model.isListOpen.value) return leave(model)
    model.isListOpen.value = false
    document.querySelector<HTMLElement>('.history-list-button')?.focus()
    return true
  }
  if (event.altKey && (event.key === 'ArrowUp' || event.key === 'ArrowDown')) {
    model.goToChange(event.key === 'ArrowUp' ? -1 : 1)
    return true
  }
  if (event.altKey && event.key === 'Enter') {
    const block = model.blocks.current.value
    if (block) void model.blocks.restore(block)
    return true
  }
  if (event.key === 'Delete' && (event.target as Element).closest('.timeline-list')) {
    if (model.viewer.entry.value) model.dialog.value = 'purge'
    return true
  }
  if (!event.altKey && (event.key === 'ArrowLeft' || event.key === 'ArrowRight')) {
    model.takeOver()
    model.viewer.step(event.key === 'ArrowLeft' ? -1 : 1, event.shiftKey ? 'session' : 'edit')
    return true
  }
  if (event.key === ' ' && !(event.target as Element).closest('button, a')) {
    model.play()
    return true
  }
  return false
}

function leave(model: HistoryModel): boolean {
  leaveHistory(model.name)
  return true
}

function cycleRegion(step: 1 | -1): boolean {
  const at = REGIONS.findIndex((region) => document.activeElement?.closest(region))
  const stops = STOPS.length
  // A region that is not there, such as a closed list, is passed over.
  for (let tries = 1; tries <= stops; tries++) {
    const stop = STOPS[(((at + step * tries) % stops) + stops) % stops] as string
    const element = document.querySelector<HTMLElement>(stop)
    if (element && element.offsetParent !== null) {
      element.focus()
      break
    }
  }
  return true
}
