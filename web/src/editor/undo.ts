//! Undo of one's own edits only, and taking back one particular change that the server refused.

import { defaultDeleteFilter, defaultProtectedNodes, ySyncPluginKey } from 'y-prosemirror'
import * as Y from 'yjs'

/** Keystrokes closer together than this are undone together. */
const CAPTURE_MS = 500

export function createUndoManager(root: Y.XmlFragment): Y.UndoManager {
  return new Y.UndoManager(root, {
    captureTimeout: CAPTURE_MS,
    trackedOrigins: new Set([ySyncPluginKey]),
    deleteFilter: (item) => defaultDeleteFilter(item, defaultProtectedNodes),
    captureTransaction: (transaction) => transaction.meta.get('addToHistory') !== false,
  })
}

type StackItem = Y.UndoManager['undoStack'][number]

/**
 * Undoes the change that produced `update`, whatever was typed after it; without an update, or when it can not be
 * found, the last own change. Returns whether anything was undone.
 */
export function undoChange(manager: Y.UndoManager, update: Uint8Array | null): boolean {
  manager.stopCapturing()
  const at = update ? manager.undoStack.findLastIndex((item) => holds(item, update)) : -1
  if (at >= 0) {
    // A stack item can be undone out of order: it names the insertions and deletions it made.
    const [item] = manager.undoStack.splice(at, 1)
    if (item) manager.undoStack.push(item)
  }
  return manager.undo() !== null
}

function holds(item: StackItem, update: Uint8Array): boolean {
  const { structs } = Y.decodeUpdate(update)
  return structs.some((struct) => struct instanceof Y.Item && Y.isDeleted(item.insertions, struct.id))
}
