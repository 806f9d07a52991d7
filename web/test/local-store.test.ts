import { describe, expect, test } from 'vitest'
import * as Y from 'yjs'
import { LocalStore, localEpochs, readLocalCopy, writeLocalCopy } from '../src/sync/local-store'

let names = 0
const fresh = () => `doc:${names++}/with ü`
const open = (name: string, doc: Y.Doc, epoch = 1) => LocalStore.open(name, epoch, doc, () => {})

describe('the copy on this device', () => {
  test('has text and count again after a reload', async () => {
    const name = fresh()
    const before = new Y.Doc()
    const store = await open(name, before)
    before.getText('t').insert(0, 'kept')
    store.setUnsaved(4)
    await store.close()
    const after = new Y.Doc()
    const reopened = await open(name, after)
    expect(after.getText('t').toString()).toBe('kept')
    expect(reopened.initialUnsaved).toBe(4)
    reopened.setUnsaved(0)
    await reopened.close()
    expect((await readLocalCopy(name, 1))?.unsaved).toBe(0)
  })

  test('tells how many unsaved edits are here only once they are', async () => {
    const told: (number | null)[] = []
    const doc = new Y.Doc()
    const store = await LocalStore.open(fresh(), 1, doc, (kept) => told.push(kept))
    doc.getText('t').insert(0, 'a')
    store.setUnsaved(1)
    expect(told).toEqual([0])
    await store.flushed()
    expect(told).toEqual([0, 1])
    // One write is under way, and the page goes: what waits does not wait for it.
    doc.getText('t').insert(0, 'b')
    store.setUnsaved(2)
    await Promise.resolve()
    doc.getText('t').insert(0, 'c')
    store.setUnsaved(3)
    store.hurry()
    await store.close()
    expect(told).toEqual([0, 1, 2, 3])
  })

  test('folds many rows into one without losing what another tab wrote', async () => {
    const name = fresh()
    const mine = new Y.Doc()
    const other = new Y.Doc()
    const store = await open(name, mine)
    const otherStore = await open(name, other)
    other.getText('other').insert(0, 'from the other tab')
    await otherStore.flushed()
    for (let edit = 0; edit < 700; edit++) {
      mine.getText('t').insert(0, 'x')
      if (edit % 50 === 0) await store.flushed()
    }
    await store.close()
    await otherStore.close()
    const after = new Y.Doc()
    await (await open(name, after)).close()
    expect(after.getText('t').length).toBe(700)
    expect(after.getText('other').toString()).toBe('from the other tab')
  })

  test('epochs of one document are apart, and those of others do not show', async () => {
    const name = fresh()
    await writeLocalCopy(name, 1, Y.encodeStateAsUpdate(new Y.Doc()))
    await writeLocalCopy(name, 3, Y.encodeStateAsUpdate(new Y.Doc()))
    await writeLocalCopy(`${name}x`, 9, Y.encodeStateAsUpdate(new Y.Doc()))
    expect(await localEpochs(name)).toEqual([3, 1])
  })

  test('a browser without IndexedDB reports failure and goes on', async () => {
    const { indexedDB } = globalThis
    const told: (number | null)[] = []
    try {
      Object.assign(globalThis, { indexedDB: undefined })
      const doc = new Y.Doc()
      const store = await LocalStore.open(fresh(), 1, doc, (kept) => told.push(kept))
      doc.getText('t').insert(0, 'x')
      store.setUnsaved(1)
      await store.flushed()
      expect(told).toEqual([null])
    } finally {
      Object.assign(globalThis, { indexedDB })
    }
  })
})
