//! Two people at one place: real documents, the real editor and binding, and a network that delivers when told to.

import type { Editor } from '@tiptap/core'
import { AllSelection, NodeSelection, TextSelection } from '@tiptap/pm/state'
import { afterEach, describe, expect, test } from 'vitest'
import {
  absolutePositionToRelativePosition,
  relativePositionToAbsolutePosition,
  ySyncPluginKey,
} from 'y-prosemirror'
import { Awareness } from 'y-protocols/awareness'
import * as Y from 'yjs'
import { BODY, type OpenEditor, openEditor } from '../src/editor/editor'
import { plainText } from '../src/editor/gate'

class Writer {
  readonly doc = new Y.Doc()
  readonly awareness = new Awareness(this.doc)
  readonly open: OpenEditor
  /** Own updates that the other one has not got yet. */
  outbox: Uint8Array[] = []

  constructor(clientID: number, start: Uint8Array) {
    this.doc.clientID = clientID
    Y.applyUpdate(this.doc, start)
    this.doc.on('update', (update: Uint8Array, origin: unknown) => {
      if (origin !== 'network') this.outbox.push(update)
    })
    this.open = openEditor({
      element: document.createElement('div'),
      doc: this.doc,
      awareness: this.awareness,
      actions: { editLink() {}, focusToolbar() {} },
      onChange() {},
      onUnreadable() {},
    })
  }

  get editor(): Editor {
    return this.open.editor
  }

  /** Puts the caret, or the anchor and the head of a selection. */
  select(anchor: number, head = anchor): this {
    const { state, view } = this.editor
    view.dispatch(state.tr.setSelection(TextSelection.create(state.doc, anchor, head)))
    return this
  }

  toEnd(): this {
    return this.select(this.editor.state.doc.content.size - 1)
  }

  type(letters: string): this {
    for (const letter of letters) this.editor.view.dispatch(this.editor.state.tr.insertText(letter))
    return this
  }

  /** The text with the caret as `|`, or the selection in brackets; blocks are parted by `/`. */
  get seen(): string {
    const { doc, selection } = this.editor.state
    const text = (from: number, to: number) => doc.textBetween(from, to, '/', '⏎')
    const { from, to, empty } = selection
    const end = doc.content.size
    return empty
      ? `${text(0, from)}|${text(from, end)}`
      : `${text(0, from)}[${text(from, to)}]${text(to, end)}`
  }

  get text(): string {
    return plainText(this.doc.getXmlFragment(BODY))
  }

  end(): void {
    this.open.destroy()
    this.awareness.destroy()
  }
}

let ada: Writer
let bo: Writer
afterEach(() => {
  ada.end()
  bo.end()
})

type Piece = string | Y.XmlElement

const block = (name: string, ...children: (Y.XmlElement | Y.XmlText)[]) => {
  const element = new Y.XmlElement(name)
  element.insert(0, children)
  return element
}

/** Both have the document open. Ada's or Bo's letters win a tie: Yjs decides by the number of the client. */
function together(first: 'ada' | 'bo', ...pieces: Piece[]): void {
  const start = new Y.Doc()
  const blocks = pieces.map((piece) =>
    typeof piece === 'string' ? block('paragraph', ...(piece ? [new Y.XmlText(piece)] : [])) : piece,
  )
  start.getXmlFragment(BODY).insert(0, blocks)
  const update = Y.encodeStateAsUpdate(start)
  ada = new Writer(first === 'ada' ? 11 : 22, update)
  bo = new Writer(first === 'ada' ? 22 : 11, update)
}

/** Everything that is under way arrives, until nothing is. */
function deliver(): void {
  while (ada.outbox.length + bo.outbox.length > 0) {
    const [fromAda, fromBo] = [ada.outbox, bo.outbox]
    ada.outbox = []
    bo.outbox = []
    for (const update of fromBo) Y.applyUpdate(ada.doc, update, 'network')
    for (const update of fromAda) Y.applyUpdate(bo.doc, update, 'network')
  }
  expect(ada.text).toBe(bo.text)
}

/** Both press a key, and only then do both hear of it. */
function typeAtOnce(adas: string, bos: string): void {
  for (let at = 0; at < Math.max(adas.length, bos.length); at++) {
    ada.type(adas.charAt(at))
    bo.type(bos.charAt(at))
    deliver()
  }
}

const ADAS = 'Ada keeps her words.'
const BOS = 'Somebody was here.'
const bothWhole = () => {
  expect(ada.text).toContain(ADAS)
  expect(ada.text).toContain(BOS)
}

describe.each(['ada', 'bo'] as const)('two sentences stay whole when %s comes first', (first) => {
  test('at the end of a paragraph', () => {
    together(first, 'Hello. ')
    ada.toEnd()
    bo.toEnd()
    typeAtOnce(ADAS, BOS)
    bothWhole()
  })

  test('in the middle of a word', () => {
    together(first, 'undone')
    ada.select(3)
    bo.select(3)
    typeAtOnce(ADAS, BOS)
    bothWhole()
    expect(ada.text.startsWith('un')).toBe(true)
    expect(ada.text.endsWith('done')).toBe(true)
  })

  test('at the start of a paragraph', () => {
    together(first, 'The rest')
    ada.select(1)
    bo.select(1)
    typeAtOnce(ADAS, BOS)
    bothWhole()
  })

  test('in an empty paragraph', () => {
    together(first, '')
    ada.select(1)
    bo.select(1)
    typeAtOnce(ADAS, BOS)
    bothWhole()
  })

  test('in an empty paragraph when one begins later', () => {
    together(first, '')
    ada.select(1)
    bo.select(1)
    bo.type(BOS.slice(0, 3))
    deliver()
    typeAtOnce(ADAS, BOS.slice(3))
    bothWhole()
  })

  test('at the end of bold text', () => {
    const text = new Y.XmlText()
    text.insert(0, 'Hello. ', { bold: {} })
    together(first, block('paragraph', text))
    ada.toEnd()
    bo.toEnd()
    typeAtOnce(ADAS, BOS)
    bothWhole()
  })

  test('at one end, bold and plain, and stay so', () => {
    together(first, 'Hello. ')
    ada.toEnd()
    bo.toEnd()
    const { state, view, schema } = ada.editor
    view.dispatch(state.tr.addStoredMark(schema.mark('bold')))
    typeAtOnce(ADAS, BOS)
    bothWhole()
    expect(ada.editor.getHTML()).toContain(`<strong>${ADAS}</strong>`)
  })

  test('in paragraphs that both begin at one end', () => {
    together(first, 'Hello.')
    for (const writer of [ada, bo]) writer.toEnd().editor.commands.splitBlock()
    deliver()
    typeAtOnce(ADAS, BOS)
    expect(ada.text.split('\n').sort()).toEqual([ADAS, 'Hello.', BOS])
  })

  test('in a paragraph that one has begun and both go to', () => {
    together(first, 'Hello.')
    ada.toEnd().editor.commands.splitBlock()
    deliver()
    ada.type('> ')
    deliver()
    bo.toEnd()
    typeAtOnce(ADAS, BOS)
    bothWhole()
  })

  test('behind a line break', () => {
    together(first, block('paragraph', new Y.XmlText('Hello.'), block('hardBreak'), new Y.XmlText('So: ')))
    ada.toEnd()
    bo.toEnd()
    typeAtOnce(ADAS, BOS)
    bothWhole()
  })

  test('when each hears of the other only at the end of a word', () => {
    together(first, 'Hello. ')
    ada.toEnd()
    bo.toEnd()
    for (const word of ['Ada ', 'keeps ', 'her ', 'words.']) {
      ada.type(word)
      bo.type(word.toUpperCase())
      deliver()
    }
    expect(ada.text).toContain(ADAS)
    expect(ada.text).toContain(ADAS.toUpperCase())
  })
})

describe('what others write at my caret stands behind it', () => {
  test.each<[string, string, number, string]>([
    ['at the end', 'ab', 3, 'ab|xyz'],
    ['in the middle', 'ab', 2, 'a|xyzb'],
    ['at the start', 'ab', 1, '|xyzab'],
    ['in an empty paragraph', '', 1, '|xyz'],
  ])('%s', (_, text, at, seen) => {
    together('ada', text)
    ada.select(at)
    bo.select(at).type('xyz')
    deliver()
    expect(ada.seen).toBe(seen)
  })

  test('behind my line break at the end', () => {
    together('ada', block('paragraph', new Y.XmlText('a'), block('hardBreak')))
    ada.select(3)
    bo.select(3).type('xyz')
    deliver()
    expect(ada.seen).toBe('a⏎|xyz')
  })

  test('in my new paragraph', () => {
    together('ada', 'ab')
    ada.toEnd().editor.commands.splitBlock()
    deliver()
    bo.toEnd().type('xyz')
    deliver()
    expect(ada.seen).toBe('ab/|xyz')
  })
})

describe('my caret keeps its letter', () => {
  test.each<[string, number, string]>([
    ['before', 1, 'xyzab|cd/ef'],
    ['behind', 5, 'ab|cdxyz/ef'],
    ['in another paragraph', 7, 'ab|cd/xyzef'],
  ])('when others write %s', (_, at, seen) => {
    together('ada', 'abcd', 'ef')
    ada.select(3)
    bo.select(at).type('xyz')
    deliver()
    expect(ada.seen).toBe(seen)
  })

  test.each<[string, number, number, string]>([
    ['the letter on its left', 2, 3, 'a|cd/ef'],
    ['the letter on its right', 3, 4, 'ab|d/ef'],
    ['both', 2, 4, 'a|d/ef'],
    ['the whole text', 1, 5, '|/ef'],
  ])('when others delete %s', (_, from, to, seen) => {
    together('ada', 'abcd', 'ef')
    ada.select(3)
    bo.editor.view.dispatch(bo.editor.state.tr.delete(from, to))
    deliver()
    expect(ada.seen).toBe(seen)
  })

  test('when others press Enter before the block', () => {
    together('ada', 'abcd')
    ada.select(1)
    bo.select(1).editor.commands.splitBlock()
    deliver()
    expect(ada.seen).toBe('/|abcd')
  })
})

describe('a selection', () => {
  test.each<[string, number, number]>([
    ['forwards', 2, 4],
    ['backwards', 4, 2],
  ])('drawn %s never grows over what others write at its ends', (_, anchor, head) => {
    together('ada', 'abcd')
    ada.select(anchor, head)
    bo.select(4).type('Y')
    bo.select(2).type('X')
    deliver()
    expect(ada.seen).toBe('aX[bc]Yd')
    expect(ada.editor.state.selection.anchor < ada.editor.state.selection.head).toBe(anchor < head)
  })

  test('to the end of a text does not take in what others append', () => {
    together('ada', 'abcd')
    ada.select(3, 5)
    bo.toEnd().type('xyz')
    deliver()
    expect(ada.seen).toBe('ab[cd]xyz')
  })

  test('takes in what others write inside of it', () => {
    together('ada', 'abcd')
    ada.select(2, 4)
    bo.select(3).type('X')
    deliver()
    expect(ada.seen).toBe('a[bXc]d')
  })

  test('is a caret when others delete all of it', () => {
    together('ada', 'abcd')
    ada.select(2, 4)
    bo.editor.view.dispatch(bo.editor.state.tr.delete(2, 4))
    deliver()
    expect(ada.seen).toBe('a|d')
  })

  test('of a block stays with the block', () => {
    together('ada', 'ab', block('horizontalRule'), 'cd')
    ada.editor.commands.setNodeSelection(4)
    bo.select(1).type('xyz')
    deliver()
    const { selection } = ada.editor.state
    expect(selection).toBeInstanceOf(NodeSelection)
    expect(selection.from).toBe(7)
  })

  test('of everything stays one', () => {
    together('ada', 'ab')
    ada.editor.commands.selectAll()
    bo.toEnd().type('xyz')
    deliver()
    expect(ada.editor.state.selection).toBeInstanceOf(AllSelection)
  })
})

describe('undo', () => {
  const undo = () => ada.open.undoManager?.undo()
  const redo = () => ada.open.undoManager?.redo()

  test('leaves the caret where my words were, before those of others', () => {
    together('ada', 'ab ')
    ada.toEnd().type('mine')
    deliver()
    bo.toEnd().type(' theirs')
    deliver()
    undo()
    expect(ada.seen).toBe('ab | theirs')
    redo()
    expect(ada.seen).toBe('ab mine| theirs')
  })

  test('puts the caret behind the words that it brings back', () => {
    together('ada', 'ab cd')
    ada.toEnd()
    ada.editor.view.dispatch(ada.editor.state.tr.delete(3, 6))
    expect(ada.seen).toBe('ab|')
    undo()
    expect(ada.seen).toBe('ab cd|')
  })

  test('does not make the caret jump when others write next', () => {
    together('ada', 'ab')
    ada.toEnd().type('mine')
    deliver()
    bo.toEnd().type(' theirs')
    deliver()
    undo()
    bo.type('!')
    deliver()
    expect(ada.seen).toBe('ab| theirs!')
  })
})

describe('what others see of my caret', () => {
  /** Where Bo's page draws Ada's caret, from what Ada's page would tell of it now. */
  const drawn = () => {
    const told = ySyncPluginKey.getState(ada.editor.state)
    const shown = ySyncPluginKey.getState(bo.editor.state)
    const place = absolutePositionToRelativePosition(
      ada.editor.state.selection.head,
      told.type,
      told.binding.mapping,
    )
    return relativePositionToAbsolutePosition(bo.doc, shown.type, place, shown.binding.mapping)
  }

  test.each(['ada', 'bo'] as const)('is where it is, also while both type (%s first)', (first) => {
    together(first, 'ab')
    ada.toEnd()
    bo.toEnd()
    for (const [adas, bos] of ['my', 'io', 'nu', 'er'] as const) {
      typeAtOnce(adas as string, bos as string)
      expect(drawn()).toBe(ada.editor.state.selection.head)
    }
    expect(ada.seen).toContain('mine|')
    expect(bo.seen).toContain('your|')
  })
})
