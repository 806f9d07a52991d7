//! Other people's carets and selections, drawn without a style attribute (the page's policy forbids them): colours come
//! from classes. A caret's name shows when it moves and then fades to a dot, by a CSS animation that is restarted here.

import { Extension } from '@tiptap/core'
import { Plugin } from '@tiptap/pm/state'
import type { EditorView } from '@tiptap/pm/view'
import {
  relativePositionToAbsolutePosition,
  yCursorPlugin,
  yCursorPluginKey,
  ySyncPluginKey,
} from 'y-prosemirror'
import type { Awareness } from 'y-protocols/awareness'
import * as Y from 'yjs'
import { displayName, hueOf } from './palette'

interface ClaimedUser {
  readonly name?: unknown
  readonly color?: unknown
}

const hueClass = (user: ClaimedUser) => `hue-${hueOf(user.color, displayName(user.name))}`

export function remoteCursors(awareness: Awareness): Extension {
  /** The newest caret element of each client. */
  const carets = new Map<number, HTMLElement>()
  let view: EditorView | null = null

  const buildCaret = (user: ClaimedUser, client: number): HTMLElement => {
    const caret = document.createElement('span')
    caret.className = `caret ${hueClass(user)}`
    const flag = document.createElement('span')
    flag.className = 'caret-flag'
    flag.textContent = displayName(user.name)
    const dot = document.createElement('span')
    dot.className = 'caret-dot'
    caret.setAttribute('aria-hidden', 'true')
    // Word joiners, so that a caret never becomes a place where a line may break.
    caret.append('\u2060', dot, flag, '\u2060')
    carets.set(client, caret)
    requestAnimationFrame(() => keepInView(caret, flag))
    return caret
  }

  const onAwareness = ({ updated }: { updated: number[] }) => {
    // The decorations are rebuilt in a later task; the animation is restarted on what is in the page by then.
    setTimeout(() => {
      for (const client of updated) {
        const caret = carets.get(client)
        if (!caret?.isConnected) continue
        for (const animation of caret.getAnimations({ subtree: true })) {
          animation.currentTime = 0
          animation.play()
        }
        keepInView(caret, caret.querySelector('.caret-flag'))
      }
    })
  }

  return Extension.create({
    name: 'remoteCursors',
    addProseMirrorPlugins: () => [
      yCursorPlugin(awareness, {
        awarenessStateFilter: (own, client, state) => own !== client && isDrawable(state, view),
        cursorBuilder: buildCaret,
        selectionBuilder: (user: ClaimedUser) => ({ class: `remote-selection ${hueClass(user)}` }),
      }),
      new Plugin({
        view: (editorView) => {
          view = editorView
          awareness.on('change', onAwareness)
          // Who was here before this editor is drawn now: until `view` was known nobody could be judged drawable.
          setTimeout(() => {
            if (!editorView.isDestroyed) {
              editorView.dispatch(editorView.state.tr.setMeta(yCursorPluginKey, { awarenessUpdated: true }))
            }
          })
          return { destroy: () => awareness.off('change', onAwareness) }
        },
      }),
    ],
  })
}

/** A flag that would leave the column on the right opens to the left instead. */
function keepInView(caret: HTMLElement, flag: Element | null): void {
  const column = caret.closest('.ProseMirror')?.getBoundingClientRect()
  if (!column || !flag) return
  const overflows = caret.getBoundingClientRect().left + flag.getBoundingClientRect().width > column.right
  caret.classList.toggle('caret-flipped', overflows)
}

/** Others can put anything into their presence; the cursor plugin would throw on some of it and take the page down. */
function isDrawable(state: unknown, view: EditorView | null): boolean {
  if (typeof state !== 'object' || state === null || !view) return false
  const { user, cursor } = state as { user?: unknown; cursor?: unknown }
  if (user !== undefined && (typeof user !== 'object' || user === null)) return false
  if (typeof cursor !== 'object' || cursor === null) return false
  const binding = ySyncPluginKey.getState(view.state)?.binding
  if (!binding) return false
  try {
    for (const end of ['anchor', 'head'] as const) {
      const position = Y.createRelativePositionFromJSON((cursor as Record<string, unknown>)[end])
      relativePositionToAbsolutePosition(binding.doc, binding.type, position, binding.mapping)
    }
    return true
  } catch {
    return false
  }
}
