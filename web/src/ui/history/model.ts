//! Everything the history of one document holds while it is open, and the things one can do with a version.

import { computed, signal } from '@preact/signals'
import { getDocument } from '../../api/documents'
import { Problem } from '../../api/problem'
import { momentUpdate, restoreVersion, unnameVersion, type Version } from '../../api/versions'
import { Archive } from '../../history/archive'
import { Player } from '../../history/player'
import { Viewer } from '../../history/viewer'
import { t } from '../../i18n/strings'
import { toast } from '../feedback'
import { attempt, copyLink } from '../home/actions'
import { documentPath, historyPath, leaveHistory, navigate } from '../router'
import type { MarkedChange } from './changes'
import { headingOf, moment } from './words'

export class HistoryModel {
  readonly archive: Archive
  readonly viewer: Viewer
  readonly player: Player
  readonly title = signal('')
  /** The changes in the shown document, and the one that was gone to last; -1 for none. */
  readonly changes = signal<readonly MarkedChange[]>([])
  readonly currentChange = signal(-1)
  readonly dialog = signal<'name' | 'rename' | 'restore' | null>(null)
  /** Where there is no room for the list beside the document, it comes when asked for. */
  readonly isListOpen = signal(false)
  readonly heading = computed(() =>
    headingOf(this.viewer.entry.value, this.viewer.seq.value, {
      versions: this.archive.versions.value,
      head: this.archive.head.value,
    }),
  )
  readonly isPresent = computed(() => this.viewer.seq.value === this.archive.head.value)

  constructor(readonly name: string) {
    this.archive = new Archive(name)
    this.viewer = new Viewer(this.archive)
    this.player = new Player({
      tempo: () => this.archive.tempo.value,
      head: () => this.archive.head.value,
      seq: () => this.viewer.seq.value,
      show: (seq) => this.viewer.moveTo(seq),
    })
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

  goToChange(step: -1 | 1): void {
    const count = this.changes.value.length
    if (count === 0) return
    const at = this.currentChange.value
    this.currentChange.value = at < 0 ? (step > 0 ? 0 : count - 1) : (at + step + count) % count
  }

  /** Restores what is shown and goes back to the document; rejects with the problem. */
  async restore(): Promise<void> {
    const entry = this.viewer.entry.value
    const result = await restoreVersion(this.name, this.versionId)
    leaveHistory(this.name)
    if (!result.changed) return toast(t('history.restoreSame'))
    const before = result.before
    toast(
      entry?.kind === 'named'
        ? t('history.restoredNamed', { label: entry.version.label })
        : t('history.restored', { time: this.momentWords() }),
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
