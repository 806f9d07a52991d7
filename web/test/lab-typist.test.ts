import { getSchema } from '@tiptap/core'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import * as Y from 'yjs'
import { BODY, type OpenEditor, openEditor } from '../src/editor/editor'
import { schemaExtensions } from '../src/editor/extensions'
import { plainText, unreadable } from '../src/editor/gate'
import { Hands } from '../src/lab/hands'
import { PEOPLE } from '../src/lab/people'
import { LastingPresence } from '../src/lab/presence'
import { seeded } from '../src/lab/random'
import { isScratchName, newScratchName } from '../src/lab/scratch'
import { SENTENCES } from '../src/lab/sentences'
import { type Habit, type Keystroke, Typist } from '../src/lab/typist'

const PLAIN: Habit = { paceMs: 100, slips: 0, bold: 0, paragraphs: 0, remarks: 0 }

const keys = (typist: Typist, count: number): Keystroke[] =>
  Array.from({ length: count }, () => typist.next())

/** What stands on the paper after these keys, if nobody else writes. */
function typed(keystrokes: readonly Keystroke[]): string {
  let text = ''
  for (const { key } of keystrokes) {
    if (key.kind === 'letter') text += key.letter
    if (key.kind === 'backspace') text = text.slice(0, -1)
    if (key.kind === 'paragraph') text += '\n'
  }
  return text
}

describe('a typist', () => {
  test('does the same with the same seed, and something else with another', () => {
    const [habit] = PEOPLE.map(({ habit }) => habit)
    const run = (seed: number) => keys(new Typist(habit ?? PLAIN, SENTENCES, seeded(seed)), 500)
    expect(run(4)).toEqual(run(4))
    expect(run(4)).not.toEqual(run(5))
  })

  test('takes back every slip: the sentences come out right', () => {
    const two = ['The first of two.', 'And then this one.']
    const run = keys(new Typist({ ...PLAIN, slips: 0.3 }, two, seeded(1)), 120)
    expect(run.filter(({ key }) => key.kind === 'backspace').length).toBeGreaterThan(3)
    const text = typed(run).trim()
    expect([two.join(' '), [...two].reverse().join(' ')]).toContain(text.slice(0, two.join(' ').length))
  })

  test('keeps about the pace of the habit', () => {
    const run = keys(new Typist(PLAIN, SENTENCES, seeded(2)), 2_000)
    const letters = run.filter(({ key }) => key.kind === 'letter')
    const mean = letters.reduce((sum, { wait }) => sum + wait, 0) / letters.length
    // Thinking between sentences comes on top of 100 ms.
    expect(mean).toBeGreaterThan(95)
    expect(mean).toBeLessThan(130)
  })

  test('comes back from every remark before going on', () => {
    const run = keys(new Typist({ ...PLAIN, remarks: 0.5 }, SENTENCES, seeded(3)), 2_000)
    const ways = run.flatMap(({ key }) => (key.kind === 'go' ? [key.to] : [])).slice(1)
    expect(ways.length).toBeGreaterThan(10)
    for (const [at, to] of ways.entries()) expect(to).toBe(at % 2 === 0 ? 'somebody' : 'back')
  })
})

describe('hands', () => {
  let docs: Y.Doc[]
  let awareness: LastingPresence[]
  let open: OpenEditor[]
  let hands: Hands[]

  beforeEach(() => {
    docs = [new Y.Doc(), new Y.Doc()]
    awareness = docs.map((doc) => new LastingPresence(doc))
    open = docs.map((doc, at) =>
      openEditor({
        element: document.body.appendChild(document.createElement('div')),
        doc,
        awareness: awareness[at] as LastingPresence,
        actions: { editLink: () => {}, focusToolbar: () => {} },
        onChange: () => {},
        onUnreadable: () => {},
      }),
    )
    hands = open.map(({ editor }, at) => new Hands(editor, awareness[at] as LastingPresence, seeded(at)))
  })
  afterEach(() => {
    for (const { destroy } of open) destroy()
    for (const presence of awareness) presence.destroy()
    document.body.replaceChildren()
  })

  const text = (at: number) => plainText((docs[at] as Y.Doc).getXmlFragment(BODY))
  const type = (at: number, letters: string) => {
    for (const letter of letters) hands[at]?.press({ kind: 'letter', letter })
  }
  const meet = () => {
    for (const from of docs)
      for (const to of docs) {
        if (from !== to) Y.applyUpdate(to, Y.encodeStateAsUpdate(from, Y.encodeStateVector(to)))
      }
  }

  test('press what the typist says, through the binding, without the focus', () => {
    const typist = new Typist(PLAIN, ['One.', 'Two.'], seeded(9))
    const run = keys(typist, 12)
    for (const { key } of run) hands[0]?.press(key)
    expect(text(0)).toBe(typed(run).trim())
    expect(text(0).length).toBeGreaterThan(5)
  })

  test('make only the last word bold, and go on plain', () => {
    type(0, 'a bold word')
    hands[0]?.press({ kind: 'bold-word' })
    type(0, ' after')
    expect(open[0]?.editor.getHTML()).toBe('<p>a bold <strong>word</strong> after</p>')
  })

  test('two who begin at once in an empty document get a paragraph each', () => {
    for (const hand of hands) hand.press({ kind: 'paragraph' })
    type(0, 'mine')
    meet()
    type(1, 'yours')
    meet()
    expect(text(0)).toBe(text(1))
    expect(text(0).split('\n').sort()).toEqual(['mine', 'yours'])
  })

  test('a remark stands near the other caret, between words, and the way back leads home', () => {
    hands[0]?.press({ kind: 'paragraph' })
    type(0, 'Ada is writing')
    meet()
    hands[1]?.press({ kind: 'go', to: 'end' })
    hands[1]?.press({ kind: 'paragraph' })
    type(1, 'Bo too')
    meet()
    awareness[1]?.states.set(docs[0]?.clientID ?? 0, awareness[0]?.getLocalState() ?? {})
    hands[1]?.press({ kind: 'go', to: 'somebody' })
    type(1, ' (yes)')
    hands[1]?.press({ kind: 'go', to: 'back' })
    type(1, '.')
    expect(text(1)).toBe('Ada is (yes) writing\nBo too.')
  })

  test('keep the document short and never leave something the editor can not hold', () => {
    const typist = new Typist(
      { paceMs: 1, slips: 0.1, bold: 1, paragraphs: 1, remarks: 0.3 },
      SENTENCES,
      seeded(11),
    )
    for (const { key } of keys(typist, 3_000)) hands[0]?.press(key)
    const fragment = (docs[0] as Y.Doc).getXmlFragment(BODY)
    expect(fragment.length).toBeLessThanOrEqual(12)
    expect(unreadable(fragment, getSchema(schemaExtensions())).size).toBe(0)
  })
})

test('a scratch document has a name that a real one is not mistaken for', () => {
  const name = newScratchName(seeded(1))
  expect(isScratchName(name)).toBe(true)
  expect(newScratchName(seeded(2))).not.toBe(name)
  for (const other of ['budget', 'lab', 'lab-', 'my-lab-notes', '']) expect(isScratchName(other)).toBe(false)
})
