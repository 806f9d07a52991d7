//! The button beside a block that can be brought back. It follows the block, whose element lives outside of the
//! component tree.

import { useEffect, useLayoutEffect, useRef } from 'preact/hooks'
import { t } from '../../i18n/strings'
import { keyLabel } from '../document/keys'
import { Icon } from '../icons'
import type { RestorableBlock } from './blocks'
import type { HistoryModel } from './model'
import { useNarrow } from './narrow'

/** Pixels: of the button without its words, and to what is beside it. */
const SIZE = 32
const GAP = 8
/** Where the outline of the block ends and the button begins. */
const BESIDE = 12
/** As much of the button stands over the block's end. */
const OVERLAP = 10

export function BlockButton({ model }: { model: HistoryModel }) {
  const isNarrow = useNarrow()
  // On a phone it stands over text, so it waits until somebody chose a block or went to a change.
  const isWanted = !isNarrow || model.blocks.picked.value !== null || model.wentToChange.value
  const block = isWanted ? model.blocks.offered.value : null
  const button = useRef<HTMLButtonElement>(null)
  useLayoutEffect(() => {
    const paper = button.current?.parentElement
    const reader = paper?.parentElement
    if (!block || !button.current || !paper || !reader) return
    const follow = () => button.current && place(button.current, block.element, paper, reader)
    follow()
    const observer = new ResizeObserver(follow)
    observer.observe(paper)
    // What is above may grow without the paper, as when a font comes late.
    observer.observe(block.element.closest('.history-prose') ?? block.element)
    observer.observe(block.element)
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
      <span>{t(block.isBeside ? 'history.restoreFormer' : 'history.restoreBlock')}</span>
    </button>
  )
}

function hint({ change, isBeside }: RestorableBlock): string {
  if (isBeside) return t('history.blockBeside')
  if (change === 'removed') return t('history.blockBack')
  if (change === null || change === 'added') return t('history.blockAsHere')
  return t('history.blockAsBefore')
}

/** In the margin beside the first line that can be seen; where there is no margin, over the block's end. */
function place(button: HTMLElement, block: HTMLElement, paper: HTMLElement, reader: HTMLElement): void {
  const [of, on, seen] = [block, paper, reader].map((element) => element.getBoundingClientRect()) as [
    DOMRect,
    DOMRect,
    DOMRect,
  ]
  const margin = on.right - of.right
  const hasMargin = margin >= SIZE + BESIDE
  button.classList.toggle('is-beside', hasMargin)
  const { offsetHeight: height } = button
  const top = hasMargin
    ? Math.min(Math.max(of.top, seen.top + GAP), Math.max(of.top, of.bottom - height))
    : Math.max(of.top, Math.min(of.bottom - OVERLAP, seen.bottom - height - GAP))
  button.style.setProperty('inset-block-start', `${top - on.top}px`)
  button.style.setProperty(
    'inset-inline-end',
    `${hasMargin ? margin - SIZE - BESIDE : Math.max(GAP, margin)}px`,
  )
}
