//! One block at a time: which one is offered to be brought back, and bringing it back.

import { computed, signal } from '@preact/signals'
import { restoreVersion } from '../../api/versions'
import { t } from '../../i18n/strings'
import { announce, toast } from '../feedback'
import { attempt } from '../home/actions'
import { blockAround, nameOf, type RestorableBlock } from './blocks'
import { excerpt } from './changes'
import type { HistoryModel } from './model'

export class BlockRestore {
  /** Those of the shown document that can be brought back. */
  readonly all = computed(() => this.#shown.value().filter((block) => !this.#done.value.has(nameOf(block))))
  /** The one under the pointer. */
  readonly hovered = signal<RestorableBlock | null>(null)
  /** The one that was tapped, or gone to where no changes are shown. */
  readonly picked = signal<RestorableBlock | null>(null)
  /** What the keys act on: the picked one, or that of the change which was gone to. */
  readonly current = computed(() => {
    const change = this.model.changes.value[this.model.currentChange.value]
    return this.picked.value ?? (change ? blockAround(this.all.value, change.elements[0]) : null)
  })
  readonly offered = computed(() =>
    this.model.player.isPlaying.value ? null : (this.hovered.value ?? this.current.value),
  )
  /** Those that were brought back: asking again would change nothing. */
  readonly #done = signal<ReadonlySet<string>>(new Set())
  readonly #shown = signal<() => readonly RestorableBlock[]>(() => [])
  #isRunning = false

  constructor(readonly model: HistoryModel) {}

  /** The shown document has changed. They are looked for only when somebody wants one. */
  show(blocks: () => readonly RestorableBlock[]): void {
    const picked = this.picked.value && nameOf(this.picked.value)
    this.#shown.value = blocks
    this.hovered.value = null
    this.picked.value = (picked && this.all.value.find((block) => nameOf(block) === picked)) || null
  }

  hover(node: Node | null): void {
    const block = blockAround(this.all.value, node)
    if (this.hovered.value !== block) this.hovered.value = block
  }

  /** Stays with the block under the pointer as long as that is beside it. */
  hoverAt(clientY: number): void {
    const rect = this.hovered.value?.element.getBoundingClientRect()
    if (rect && (clientY < rect.top || clientY > rect.bottom)) this.hovered.value = null
  }

  pick(node: Node): void {
    const block = blockAround(this.all.value, node)
    if (block) this.picked.value = block
  }

  /** Where no changes are shown, "next change" goes from block to block. */
  step(direction: -1 | 1): void {
    const blocks = this.all.value
    const { length: count } = blocks
    if (count === 0) return
    const from = this.picked.value ? blocks.indexOf(this.picked.value) : direction > 0 ? -1 : count
    const at = (from + direction + count) % count
    const block = blocks[at] as RestorableBlock
    this.picked.value = block
    block.element.scrollIntoView({ block: 'center' })
    announce(t('history.blockSaid', { at: at + 1, count, text: excerpt(block.element.textContent) }))
  }

  async restore(block: RestorableBlock): Promise<void> {
    if (this.#isRunning) return
    this.#isRunning = true
    const { name, archive } = this.model
    const result = await attempt(() => restoreVersion(name, block.version, { block: block.id }))
    this.#isRunning = false
    if (!result) return
    this.#mark(block, true)
    await archive.refresh()
    const { before } = result
    if (!result.changed || !before) return toast(t('history.blockSame'))
    toast(t('history.blockRestored'), {
      label: t('app.undo'),
      run: () =>
        void attempt(() => restoreVersion(name, before.id)).then(async (undone) => {
          if (!undone) return
          this.#mark(block, false)
          await archive.refresh()
          toast(t('history.restoreUndone'))
        }),
    })
  }

  #mark(block: RestorableBlock, isDone: boolean): void {
    const done = new Set(this.#done.value)
    if (isDone) done.add(nameOf(block))
    else done.delete(nameOf(block))
    this.#done.value = done
    this.show(this.#shown.value)
  }
}
