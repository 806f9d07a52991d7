//! Everything the history of one document holds while it is open, and the things one can do with a version.

import { computed, signal } from '@preact/signals'
import { getDocument } from '../../api/documents'
import { Problem } from '../../api/problem'
import {
  type Author,
  isPurged,
  momentUpdate,
  type PurgeResult,
  purgeRange,
  purgeVersion,
  restoreVersion,
  unnameVersion,
  type Version,
} from '../../api/versions'
import { Archive } from '../../history/archive'
import { Player } from '../../history/player'
import { type Entry, neighbours } from '../../history/timeline'
import { Viewer } from '../../history/viewer'
import { t } from '../../i18n/strings'
import { toast } from '../feedback'
import { attempt, copyLink } from '../home/actions'
import { documentPath, historyPath, leaveHistory, navigate } from '../router'
import { BlockRestore } from './block-restore'
import type { MarkedChange } from './changes'
import { authorName, headingOf, moment } from './words'

export class HistoryModel {
  readonly archive: Archive
  readonly viewer: Viewer
  readonly player: Player
  readonly title = signal('')
  /** The changes in the shown document, and the one that was gone to last; -1 for none. */
  readonly changes = signal<readonly MarkedChange[]>([])
  readonly currentChange = signal(-1)
  /** Somebody went to that change; it is not only the one at which the version opened. */
  readonly wentToChange = signal(false)
  readonly dialog = signal<'name' | 'rename' | 'restore' | 'purge' | null>(null)
  /** Where there is no room for the list beside the document, it comes when asked for. */
  readonly isListOpen = signal(false)
  readonly heading = computed(() =>
    headingOf(this.viewer.entry.value, this.viewer.seq.value, {
      versions: this.archive.versions.value,
      head: this.archive.head.value,
    }),
  )
  readonly isPresent = computed(() => this.viewer.seq.value === this.archive.head.value)

  /** What is looked at was removed for good. */
  readonly isPurged = computed(() => {
    const problem = this.viewer.problem.value
    return problem !== null && isPurged(problem)
  })
  readonly blocks: BlockRestore

  constructor(readonly name: string) {
    this.archive = new Archive(name)
    this.viewer = new Viewer(this.archive)
    this.player = new Player({
      tempo: () => this.archive.tempo.value,
      head: () => this.archive.head.value,
      seq: () => this.viewer.seq.value,
      show: (seq) => this.viewer.moveTo(seq),
    })
    this.blocks = new BlockRestore(this)
  }

  /** What the address of this view says: nothing for the present. */
  readonly path = computed(() => {
    const { entry, seq, since } = this.viewer
    const isNewest = this.isPresent.value && entry.value?.kind !== 'named'
    return historyPath(this.name, {
      at: isNewest ? null : (entry.value?.version.id ?? String(seq.value)),
      since: since.value,
    })
  })

  /** The title is that of today: it is not told what it was. */
  async loadTitle(): Promise<void> {
    try {
      this.title.value = (await getDocument(this.name)).title
    } catch (error) {
      // The list of versions says what is wrong; here a title is only missing.
      if (!(error instanceof Problem)) throw error
    }
  }

  /** The person moves by hand: the replay lets go. */
  takeOver(): void {
    this.player.pause()
  }

  play(): void {
    this.player.toggle()
    if (this.player.isPlaying.value) void this.archive.loadDownTo(this.viewer.seq.value)
  }

  get versionId(): string {
    return this.viewer.entry.value?.version.id ?? String(this.viewer.seq.value)
  }

  /** The next change or the one before; where no changes are shown, the next block that can be brought back. */
  goToChange(step: -1 | 1): void {
    if (!this.viewer.showsChanges.value) {
      this.blocks.step(step)
      return
    }
    const count = this.changes.value.length
    if (count === 0) return
    this.blocks.picked.value = null
    this.wentToChange.value = true
    const at = this.currentChange.value
    this.currentChange.value = at < 0 ? (step > 0 ? 0 : count - 1) : (at + step + count) % count
  }

  /**
   * Restores what is shown, or takes back what one author did since, and goes back to the document; rejects with the
   * problem.
   */
  async restore(author: Author | null = null): Promise<void> {
    const entry = this.viewer.entry.value
    const time = this.momentWords()
    const result = await restoreVersion(this.name, this.versionId, author ? { author: author.id } : {})
    leaveHistory(this.name)
    const name = authorName(author ?? undefined)
    if (!result.changed) return toast(author ? t('history.authorSame', { name }) : t('history.restoreSame'))
    const before = result.before
    toast(
      author
        ? t('history.authorUndone', { name, time })
        : entry?.kind === 'named'
          ? t('history.restoredNamed', { label: entry.version.label })
          : t('history.restored', { time }),
      before ? { label: t('app.undo'), run: () => void undoRestore(this.name, before) } : undefined,
    )
  }

  momentWords(): string {
    const { title, detail } = this.heading.value
    const entry = this.viewer.entry.value
    if (entry) return moment(entry.at)
    return title || detail
  }

  async copy(): Promise<void> {
    const time = this.momentWords()
    const id = await attempt(async () => {
      const [update, { saveAsOwnCopy }] = await Promise.all([
        momentUpdate(this.name, this.viewer.seq.value),
        import('../../session/own-copy'),
      ])
      return saveAsOwnCopy(update, (title) => t('history.copyTitle', { title, time }))
    })
    if (!id) return
    navigate(documentPath(id))
    toast(t('history.copied'))
  }

  copyLink(): Promise<void> {
    return copyLink(this.path.value)
  }

  async removeName(version: Version): Promise<void> {
    const worked = await attempt(async () => {
      await unnameVersion(this.name, version.id)
      return true
    })
    if (!worked) return
    const { seq } = version
    await this.archive.refresh()
    this.viewer.moveTo(seq)
    toast(t('history.unnamed', { label: version.label }))
  }

  /** Removes what is chosen for good and chooses something beside it; rejects with the problem. */
  async purge(entry: Entry): Promise<void> {
    this.takeOver()
    const { purged } = await purge(this.name, entry)
    if (!purged) return toast(t('history.purgedNothing'))
    const others = neighbours(this.archive.timeline.value.all, entry.key).map(({ key }) => key)
    const isEnd = entry.kind !== 'named' && entry.version.seq >= this.archive.head.value
    await this.archive.reload()
    const { all } = this.archive.timeline.value
    // The present state stays, and is still the end of its session.
    const keys = isEnd ? [entry.key, ...others] : others
    const next = keys
      .map((key) => all.find((other) => other.key === key))
      .find((other) => other !== undefined)
    if (next) this.viewer.choose(next)
    else this.viewer.moveTo(this.archive.head.value)
    toast(t('history.purged'))
  }

  destroy(): void {
    this.player.pause()
    this.viewer.destroy()
    this.archive.destroy()
  }
}

async function undoRestore(doc: string, before: Version): Promise<void> {
  const undone = await attempt(() => restoreVersion(doc, before.id))
  if (undone) toast(t('history.restoreUndone'))
}

/** Of a session every moment that the list shows of it, also when it has grown since. */
const purge = (doc: string, { kind, version }: Entry): Promise<PurgeResult> =>
  kind === 'session' ? purgeRange(doc, version.from_seq, version.seq) : purgeVersion(doc, version.id)
