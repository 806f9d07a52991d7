import { getSchema } from '@tiptap/core'
import { afterEach, describe, expect, test } from 'vitest'
import { Awareness } from 'y-protocols/awareness'
import * as Y from 'yjs'
import { BODY, type OpenEditor, openEditor } from '../src/editor/editor'
import { schemaExtensions } from '../src/editor/extensions'
import { plainText, unreadable } from '../src/editor/gate'
import { undoChange } from '../src/editor/undo'

const schema = getSchema(schemaExtensions())
let open: OpenEditor | null = null
let awareness: Awareness
afterEach(() => {
  open?.destroy()
  open = null
  awareness?.destroy()
})

function element(
  name: string,
  attributes: Record<string, unknown> = {},
  ...children: (Y.XmlElement | Y.XmlText | string)[]
) {
  const node = new Y.XmlElement(name)
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value as string)
  node.insert(
    0,
    children.map((child) => (typeof child === 'string' ? new Y.XmlText(child) : child)),
  )
  return node
}
const paragraph = (...text: string[]) => element('paragraph', {}, ...text)

function documentOf(...nodes: Y.XmlElement[]): Y.Doc {
  const doc = new Y.Doc()
  doc.getXmlFragment(BODY).insert(0, nodes)
  return doc
}

const everything = () =>
  documentOf(
    element('heading', { level: 2 }, 'A heading'),
    // As another editor may have written it: without the attributes that ours has defaults for.
    element('heading', {}, 'No level'),
    paragraph('Text, 😀'),
    paragraph(),
    element(
      'orderedList',
      {},
      element(
        'listItem',
        {},
        paragraph('one'),
        element('bulletList', {}, element('listItem', {}, paragraph('nested'))),
      ),
    ),
    element(
      'taskList',
      {},
      element('taskItem', { checked: true }, paragraph('done')),
      element('taskItem', {}, paragraph('open')),
    ),
    element('blockquote', {}, paragraph('quoted')),
    element('codeBlock', { language: 'rust' }, 'fn main() {}'),
    element('horizontalRule'),
    element('paragraph', {}, 'a', element('hardBreak'), 'b'),
  )

/** Opens the document and collects every update that this causes. */
function openAndListen(doc: Y.Doc, onUnreadable = () => {}): Uint8Array[] {
  const updates: Uint8Array[] = []
  doc.on('update', (update) => updates.push(update))
  awareness = new Awareness(doc)
  open = openEditor({
    element: document.createElement('div'),
    doc,
    awareness,
    actions: { editLink() {}, focusToolbar() {} },
    onChange() {},
    onUnreadable,
  })
  return updates
}

describe('opening writes nothing', () => {
  test('to an empty document', () => {
    expect(openAndListen(new Y.Doc())).toEqual([])
  })

  test('to one that holds every block, also without default attributes', () => {
    const updates = openAndListen(everything())
    expect(open?.unreadable.size).toBe(0)
    expect(open?.editor.getText()).toContain('No level')
    expect(updates).toEqual([])
  })

  test('when somebody else writes into it', () => {
    const doc = everything()
    const remote = new Y.Doc()
    Y.applyUpdate(remote, Y.encodeStateAsUpdate(doc))
    openAndListen(doc)
    const before = Y.encodeStateVector(doc)
    remote.getXmlFragment(BODY).insert(0, [paragraph('https://example.org from afar')])
    Y.applyUpdate(doc, Y.encodeStateAsUpdate(remote), 'remote')
    expect(open?.editor.getText()).toContain('from afar')
    expect(Y.decodeStateVector(Y.encodeStateVector(doc)).get(doc.clientID)).toBe(
      Y.decodeStateVector(before).get(doc.clientID),
    )
  })
})

describe('what the schema can not hold', () => {
  const unknownMark = () => {
    const text = new Y.XmlText()
    text.insert(0, 'marked', { glitter: {} })
    return documentOf(element('paragraph', {}, text))
  }
  const embed = () => {
    const text = new Y.XmlText()
    text.insertEmbed(0, { image: 'x' })
    return documentOf(element('paragraph', {}, text))
  }

  test.each<[string, () => Y.Doc, string]>([
    [
      'an unknown block',
      () => documentOf(paragraph('a'), element('callout', { kind: 'tip' }, paragraph('b'))),
      'callout',
    ],
    [
      'an unknown block deep inside',
      () => documentOf(element('blockquote', {}, element('table', {}, 'x'))),
      'table',
    ],
    ['an unknown mark', unknownMark, 'glitter'],
    ['an embed', embed, 'embedded data'],
    [
      'a known block in the wrong place',
      () => documentOf(element('listItem', {}, paragraph('stray'))),
      'document',
    ],
  ])('%s makes it read-only and stays', (_, make, name) => {
    const doc = make()
    const before = JSON.stringify(doc.getXmlFragment(BODY).toJSON())
    const updates = openAndListen(doc)
    expect([...(open?.unreadable ?? [])]).toContain(name)
    expect(open?.editor.isEditable).toBe(false)
    expect(updates).toEqual([])
    expect(JSON.stringify(doc.getXmlFragment(BODY).toJSON())).toBe(before)
  })

  test('is not deleted when it arrives while the document is open', async () => {
    const doc = documentOf(paragraph('here'))
    const remote = new Y.Doc()
    Y.applyUpdate(remote, Y.encodeStateAsUpdate(doc))
    const told = new Promise<void>((resolve) => openAndListen(doc, resolve))
    const fragment = remote.getXmlFragment(BODY)
    fragment.insert(1, [element('callout', {}, paragraph('from the future'))])
    Y.applyUpdate(doc, Y.encodeStateAsUpdate(remote), 'remote')
    // Whatever the old editor still does must not reach the document.
    open?.editor.commands.insertContentAt(1, 'x')
    await told
    expect(doc.getXmlFragment(BODY).toString()).toContain('from the future')
    expect(Y.encodeStateAsUpdate(doc)).toEqual(Y.encodeStateAsUpdate(remote))
  })

  test('a list item that lost its paragraph is repaired by adding one, not dropped', () => {
    const doc = documentOf(
      element(
        'bulletList',
        {},
        element('listItem', {}, element('bulletList', {}, element('listItem', {}, paragraph('deep')))),
      ),
    )
    expect(unreadable(doc.getXmlFragment(BODY), schema).size).toBe(0)
    openAndListen(doc)
    expect(open?.editor.getText()).toContain('deep')
  })
})

describe('undo', () => {
  test('takes back the refused change and keeps what was typed after it', () => {
    const doc = documentOf(paragraph())
    const updates = openAndListen(doc)
    const { editor, undoManager } = open as OpenEditor
    if (!undoManager) throw new Error('read-only')
    editor.commands.insertContentAt(1, 'first ')
    undoManager.stopCapturing()
    editor.commands.insertContentAt(7, 'HUGE ')
    const refused = updates.at(-1) as Uint8Array
    undoManager.stopCapturing()
    editor.commands.insertContentAt(12, 'after')
    expect(plainText(doc.getXmlFragment(BODY))).toBe('first HUGE after')
    expect(undoChange(undoManager, refused)).toBe(true)
    expect(plainText(doc.getXmlFragment(BODY))).toBe('first after')
  })
})

describe('others’ presence', () => {
  test.each<[string, unknown]>([
    ['a number', 5],
    ['a cursor that is text', { user: { name: 'x' }, cursor: 'here' }],
    ['a cursor without ends', { cursor: {} }],
    ['ends that are no positions', { cursor: { anchor: 1, head: [] } }],
    [
      'a position in a type that is not there',
      { cursor: { anchor: { tname: 'nowhere', assoc: 0 }, head: { tname: 'nowhere' } } },
    ],
    ['a user that is text', { user: 'me', cursor: { anchor: { tname: BODY }, head: { tname: BODY } } }],
    [
      'a name that is an object',
      { user: { name: {}, color: {} }, cursor: { anchor: { tname: BODY }, head: { tname: BODY } } },
    ],
  ])('%s does not take the editor down', async (_, state) => {
    const doc = documentOf(paragraph('text'))
    openAndListen(doc)
    const { editor } = open as OpenEditor
    awareness.states.set(77, state as { [key: string]: unknown })
    awareness.emit('change', [{ added: [77], updated: [], removed: [] }, 'remote'])
    await new Promise((resolve) => setTimeout(resolve, 5))
    expect(editor.commands.insertContentAt(1, 'still ')).toBe(true)
    expect(plainText(doc.getXmlFragment(BODY))).toBe('still text')
  })
})
