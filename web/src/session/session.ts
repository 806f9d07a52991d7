//! One open document: finds out which document (epoch) the address names, reads what this device has, connects, and
//! keeps the three in step. What the page shows follows from `view` and `sync`.

import { signal } from '@preact/signals'
import { Awareness } from 'y-protocols/awareness'
import * as Y from 'yjs'
import { type DocumentRecord, getDocument } from '../api/documents'
import { Problem } from '../api/problem'
import {
  dropLocalCopy,
  type LocalCopy,
  LocalStore,
  localEpochs,
  readLocalCopy,
  writeLocalCopy,
} from '../sync/local-store'
import { Provider, type SyncState } from '../sync/provider'
import { awarenessUser } from './identity'
import { browserClock, documentAddress, openSocket } from './platform'
import { Title } from './title'

/** The document of an address that nobody has written to yet. */
const NO_RECORD = 0
/** The first epoch a document gets; what was written before it had a record belongs to this one. */
const FIRST_EPOCH = 1
/** Without the server and without a local copy the page shows an empty document after this time. */
const READY_MS = 4_000

export type View =
  | { readonly kind: 'opening' }
  | { readonly kind: 'ready' }
  | { readonly kind: 'trashed' | 'deleted' | 'other-epoch' }
  | { readonly kind: 'failed'; readonly reason: string }

export class DocumentSession {
  readonly name: string
  readonly doc = new Y.Doc()
  readonly awareness = new Awareness(this.doc)
  readonly title = new Title(this.doc)
  readonly view = signal<View>({ kind: 'opening' })
  readonly sync = signal<SyncState | null>(null)
  /** Unsaved edits that are in the store on this device; `null` where that does not work. */
  readonly kept = signal<number | null>(0)
  /** Unsaved edits of a document that had this address before. */
  readonly oldCopy = signal<LocalCopy | null>(null)
  readonly recordTitle = signal('')

  readonly #carried: Uint8Array | undefined
  #epoch = NO_RECORD
  #store: LocalStore | null = null
  #provider: Provider | null = null
  #stopped = false
  readonly #cleanups: (() => void)[] = []

  /** `carried`: a state to start from that is nowhere else. */
  constructor(name: string, carried?: Uint8Array) {
    this.name = name
    this.#carried = carried
    const forgetUser = awarenessUser.subscribe((user) => this.awareness.setLocalStateField('user', user))
    this.#cleanups.push(forgetUser)
  }

  get provider(): Provider | null {
    return this.#provider
  }

  async open(): Promise<void> {
    const [record, epochs] = await Promise.all([this.#lookUp(), localEpochs(this.name)])
    if (this.#stopped || record === 'halted') return
    this.#epoch = record?.epoch ?? (record === null ? NO_RECORD : (epochs[0] ?? NO_RECORD))
    this.recordTitle.value = record?.title ?? ''
    this.#store = await LocalStore.open(this.name, this.#epoch, this.doc, (unsaved) => {
      this.kept.value = unsaved
    })
    if (this.#stopped) return void this.#store.close()
    if (this.#carried) Y.applyUpdate(this.doc, this.#carried, 'carried')
    const adopted = (await this.#adoptFromBeforeTheRecord(epochs)) + (this.#carried ? 1 : 0)
    await this.#findOldCopy(epochs)
    if (this.#stopped) return
    this.#connect(this.#store, this.#store.initialUnsaved + adopted)
  }

  destroy(): void {
    this.#stopped = true
    for (const cleanup of this.#cleanups) cleanup()
    this.#provider?.destroy()
    this.awareness.destroy()
    this.title.destroy()
    void this.#store?.close()
  }

  /** Everything typed so far is on this device (when its store works at all). */
  flushed(): Promise<void> {
    return this.#store?.flushed() ?? Promise.resolve()
  }

  retryNow(): void {
    this.#provider?.retryNow()
  }

  /**
   * After a refused change was undone: the local history still holds its content. A new Y.Doc that loads the same state
   * drops content that is deleted, and with it what the server would refuse again. Ends this session; open a new one,
   * with the state that is returned when this device could not keep it.
   */
  async shed(): Promise<Uint8Array | undefined> {
    const collected = new Y.Doc()
    Y.applyUpdate(collected, Y.encodeStateAsUpdate(this.doc))
    const update = Y.encodeStateAsUpdate(collected)
    collected.destroy()
    await this.#end()
    try {
      await writeLocalCopy(this.name, this.#epoch, update)
      return undefined
    } catch {
      return update
    }
  }

  /** Drops what only this device has; a new session starts from what the server has. */
  async discardLocal(): Promise<void> {
    await this.#end()
    await dropLocalCopy(this.name, this.#epoch)
  }

  async discardOldCopy(): Promise<void> {
    const copy = this.oldCopy.value
    this.oldCopy.value = null
    if (copy) await dropLocalCopy(this.name, copy.epoch)
  }

  async #end(): Promise<void> {
    this.#stopped = true
    this.#provider?.destroy()
    await this.#store?.close()
  }

  /** The record, null when there is none yet, undefined when the server can not be asked, 'halted' when it may not be opened. */
  async #lookUp(): Promise<DocumentRecord | null | undefined | 'halted'> {
    try {
      const record = await getDocument(this.name)
      if (record.state !== 'trashed') return record
      this.recordTitle.value = record.title
      this.#epoch = record.epoch
      await this.#loadForCopy(record.epoch)
      this.view.value = { kind: 'trashed' }
      return 'halted'
    } catch (error) {
      if (!(error instanceof Problem)) throw error
      if (error.status === 404) return null
      if (error.status === 410) {
        const [epoch] = await localEpochs(this.name)
        if (epoch !== undefined) await this.#loadForCopy(epoch)
        this.view.value = { kind: 'deleted' }
        return 'halted'
      }
      if (error.status >= 400 && error.status < 500 && error.status !== 429) {
        this.view.value = { kind: 'failed', reason: error.detail || error.message }
        return 'halted'
      }
      return undefined
    }
  }

  /** What this device has of a deleted document, to be offered as a copy. */
  async #loadForCopy(epoch: number): Promise<void> {
    const copy = await readLocalCopy(this.name, epoch)
    if (copy) Y.applyUpdate(this.doc, copy.update)
  }

  /** Takes over what was written before the document had a record; returns how many of those edits are unsaved. */
  async #adoptFromBeforeTheRecord(epochs: readonly number[]): Promise<number> {
    if (this.#epoch !== FIRST_EPOCH || !epochs.includes(NO_RECORD)) return 0
    const copy = await readLocalCopy(this.name, NO_RECORD)
    if (copy && copy.unsaved > 0) Y.applyUpdate(this.doc, copy.update, 'adopted')
    await this.flushed()
    await dropLocalCopy(this.name, NO_RECORD)
    return copy?.unsaved ?? 0
  }

  async #findOldCopy(epochs: readonly number[]): Promise<void> {
    for (const epoch of epochs.filter((epoch) => epoch < this.#epoch)) {
      const copy = await readLocalCopy(this.name, epoch)
      if (copy && copy.unsaved > 0) this.oldCopy.value = copy
    }
  }

  #connect(store: LocalStore, unsaved: number): void {
    const provider = new Provider({
      doc: this.doc,
      awareness: this.awareness,
      open: () => openSocket(documentAddress(this.name, this.#epoch)),
      clock: browserClock,
      unsaved,
      storeOrigin: store,
    })
    this.#provider = provider
    this.#cleanups.push(provider.subscribe((state) => this.#onSync(state, store)))
    const onOnline = () => provider.retryNow()
    const onOffline = () => provider.networkLost()
    const onHide = () => store.hurry()
    addEventListener('online', onOnline)
    addEventListener('offline', onOffline)
    addEventListener('pagehide', onHide)
    this.#cleanups.push(() => {
      removeEventListener('online', onOnline)
      removeEventListener('offline', onOffline)
      removeEventListener('pagehide', onHide)
    })
    provider.start()
    if (store.hadContent) this.view.value = { kind: 'ready' }
    else this.#cleanups.push(browserClock.after(READY_MS, () => this.#ready()))
  }

  #ready(): void {
    if (this.view.value.kind === 'opening') this.view.value = { kind: 'ready' }
  }

  #onSync(state: SyncState, store: LocalStore): void {
    const before = this.sync.value
    this.sync.value = state
    store.setUnsaved(state.unsaved)
    if (state.everLive) this.#ready()
    if (state.lastSavedAt && !before?.lastSavedAt && this.#epoch === NO_RECORD) void this.#learnEpoch()
    if (state.halt && state.halt !== before?.halt) void this.#onHalt(state.halt)
  }

  /** The first save gave the document its record; later connections name its epoch. */
  async #learnEpoch(): Promise<void> {
    const record = await getDocument(this.name).catch(() => null)
    if (record && this.#epoch === NO_RECORD) this.#socketEpoch(record.epoch)
  }

  #socketEpoch(epoch: number): void {
    // The local store keeps the name it was opened with; the next visit adopts it.
    if (epoch === FIRST_EPOCH) this.#epoch = epoch
  }

  async #onHalt(halt: NonNullable<SyncState['halt']>): Promise<void> {
    if (halt === 'other-epoch') this.view.value = { kind: 'other-epoch' }
    if (halt !== 'gone') return
    const record = await getDocument(this.name).catch(() => null)
    if (record?.title) this.recordTitle.value = record.title
    this.view.value = { kind: record?.state === 'trashed' ? 'trashed' : 'deleted' }
  }
}
