//! The button beside a block that can be brought back. It follows the block, whose element lives outside of the
//! component tree.

import { useEffect, useLayoutEffect, useRef } from 'preact/hooks'
import { t } from '../../i18n/strings'
import { keyLabel } from '../document/keys'
import { Icon } from '../icons'
import type { RestorableBlock } from './blocks'
import type { HistoryModel } from './model'

/** Of the button, as much as hangs over the block's end, so that the pointer finds it without leaving the block. */
const OVERLAP = 10
const MARGIN = 8

export function BlockButton({ model }: { model: HistoryModel }) {
  const block = model.blocks.offered.value
  const button = useRef<HTMLButtonElement>(null)
  useLayoutEffect(() => {
    const paper = button.current?.parentElement
    const reader = paper?.parentElement
    if (!block || !button.current || !paper || !reader) return
    const follow = () => button.current && place(button.current, block.element, paper, reader)
    follow()
    const observer = new ResizeObserver(follow)
    observer.observe(paper)
    reader.addEventListener('scroll', follow, { passive: true })
    return () => {
      observer.disconnect()
      reader.removeEventListener('scroll', follow)
    }
  }, [block])
  useEffect(() => {
    block?.element.classList.add('is-offered')
    return () => block?.element.classList.remove('is-offered')
  }, [block])
  if (!block) return null
  return (
    <button
      ref={button}
      type="button"
      class="button button-small history-block"
      aria-keyshortcuts="Alt+Enter"
      title={`${hint(block)} (${keyLabel('Alt-Enter')})`}
      onClick={() => {
        // The button goes with its block.
        document.querySelector<HTMLElement>('.history-reader')?.focus({ preventScroll: true })
        void model.blocks.restore(block)
      }}
    >
      <Icon name="restore" size={14} />
      {t(block.isBeside ? 'history.restoreFormer' : 'history.restoreBlock')}
    </button>
  )
}

function hint({ change, isBeside }: RestorableBlock): string {
  if (isBeside) return t('history.blockBeside')
  if (change === 'removed') return t('history.blockBack')
  if (change === null || change === 'added') return t('history.blockAsHere')
  return t('history.blockAsBefore')
}

/** At the end of the block's last line, or of what can be seen of it. */
function place(button: HTMLElement, block: HTMLElement, paper: HTMLElement, reader: HTMLElement): void {
  const [of, on, seen] = [block, paper, reader].map((element) => element.getBoundingClientRect()) as [
    DOMRect,
    DOMRect,
    DOMRect,
  ]
  const lowest = seen.bottom - button.offsetHeight - MARGIN
  const top = Math.max(of.top, Math.min(of.bottom - OVERLAP, lowest))
  button.style.setProperty('inset-block-start', `${top - on.top}px`)
  button.style.setProperty('inset-inline-end', `${Math.max(MARGIN, on.right - of.right)}px`)
}
