//! Two people in one document, against the real server when it is built.

import { describe, expect, test } from 'vitest'
import { freshName, Person, pillSays, setStage, until } from './harness'

const stage = setStage()
let people: Person[] = []

async function together(label: string, ...names: string[]): Promise<Person[]> {
  const name = freshName(label)
  people = await Promise.all(names.map((who) => Person.arrive(stage, who)))
  for (const person of people) await person.open(name)
  return people
}

/** Frames of this person's socket take so many milliseconds each way, in order. */
const LATENCY_MS = 150

async function slow(person: Person): Promise<void> {
  const path = new URL(person.page.url()).pathname
  await person.context.routeWebSocket(/\/ws\//, (page) => {
    const server = page.connectToServer()
    page.onMessage((frame) => void setTimeout(() => server.send(frame), LATENCY_MS))
    server.onMessage((frame) => void setTimeout(() => page.send(frame), LATENCY_MS))
  })
  await person.page.goto(person.url + path)
  await person.editor.waitFor()
}

/** Both see the first word and have their carets behind it. */
async function greet(ada: Person, bo: Person): Promise<void> {
  await ada.write('Hello. ')
  await until(
    () => bo.text(),
    (text) => text === 'Hello. ',
    'Bo should see the first word',
  )
  for (const person of [ada, bo]) {
    await person.editor.focus()
    await person.page.keyboard.press('Control+End')
    await person.settle()
  }
}

async function goodbye(): Promise<void> {
  for (const person of people) {
    expect(person.problems).toEqual([])
    await person.leave()
  }
  people = []
}

describe('writing together', () => {
  test('two people type into one paragraph at once and end equal', async () => {
    const [ada, bo] = (await together('same-paragraph', 'Ada', 'Bo')) as [Person, Person]
    await ada.write('middle')
    await until(
      () => bo.text(),
      (text) => text === 'middle',
      'Bo should see the first word',
    )
    await bo.editor.focus()
    await bo.page.keyboard.press('Control+Home')
    await Promise.all([
      ada.page.keyboard.type(' written by Ada at the end', { delay: 5 }),
      bo.page.keyboard.type('Bo writes at the start ', { delay: 5 }),
    ])
    const wanted = 'Bo writes at the start middle written by Ada at the end'
    await until(
      () => ada.text(),
      (text) => text === wanted,
      'Ada should have everything',
    )
    await until(
      () => bo.text(),
      (text) => text === wanted,
      'Bo should have everything',
    )
    await pillSays(ada, 'saved')
    await pillSays(bo, 'saved')
    await goodbye()
  })

  test('two people type sentences at the same end at once and both stay whole', async () => {
    const [ada, bo] = (await together('same-end', 'Ada', 'Bo')) as [Person, Person]
    await Promise.all(people.map((person) => slow(person)))
    await greet(ada, bo)
    const sentences = ['Ada keeps all of her words together.', 'Somebody else was writing here too.'] as const
    await Promise.all([
      ada.page.keyboard.type(sentences[0], { delay: 40 }),
      bo.page.keyboard.type(sentences[1], { delay: 47 }),
    ])
    const length = 'Hello. '.length + sentences[0].length + sentences[1].length
    for (const person of people) {
      const text = await until(
        () => person.text(),
        (text) => text.length === length,
        'both sentences',
      )
      expect(text).toContain(sentences[0])
      expect(text).toContain(sentences[1])
    }
    expect(await ada.text()).toBe(await bo.text())
    await goodbye()
  })

  test('what an input method composes stays whole while others write behind the caret', async () => {
    const [ada, bo] = (await together('composed', 'Ada', 'Bo')) as [Person, Person]
    await greet(ada, bo)
    let written = 'x'
    await bo.page.keyboard.type(written)
    await until(
      () => ada.text(),
      (text) => text.endsWith(written),
      'Bo’s first letter',
    )
    const input = await ada.context.newCDPSession(ada.page)
    for (const composed of ['に', 'にほ', 'にほん', '日本']) {
      const at = composed.length
      await input.send('Input.imeSetComposition', { text: composed, selectionStart: at, selectionEnd: at })
      await bo.page.keyboard.type('x')
      written += 'x'
      await until(
        () => ada.text(),
        (text) => text.includes(written),
        'Ada should see what Bo writes while she composes',
      )
    }
    await input.send('Input.insertText', { text: '日本' })
    await ada.page.keyboard.type('!')
    for (const person of people)
      await until(
        () => person.text(),
        (text) => text === 'Hello. 日本!xxxxx',
        'both words whole',
      )
    await goodbye()
  })

  test('what was written is there for somebody who comes later', async () => {
    const [ada] = (await together('later', 'Ada')) as [Person]
    await ada.title.fill('Minutes')
    await ada.write('# Heading\nA paragraph')
    await pillSays(ada, 'saved')
    const late = await Person.arrive(stage, 'Late')
    people.push(late)
    await late.page.goto(ada.page.url())
    await until(
      () => late.html(),
      (html) => html.includes('<h1>Heading</h1>'),
      'the heading',
    )
    await until(
      () => late.title.inputValue(),
      (title) => title === 'Minutes',
      'the title',
    )
    await until(
      () => late.page.title(),
      (title) => title.startsWith('Minutes'),
      'the title of the tab',
    )
    await goodbye()
  })

  test('undo takes back only my own edits', async () => {
    const [ada, bo] = (await together('undo', 'Ada', 'Bo')) as [Person, Person]
    await ada.write('Ada wrote this.')
    await until(
      () => bo.text(),
      (text) => text === 'Ada wrote this.',
      'Bo should see it',
    )
    await bo.write(' Bo wrote that.')
    await until(
      () => ada.text(),
      (text) => text.endsWith('Bo wrote that.'),
      'Ada should see it',
    )
    await ada.page.keyboard.press('Control+z')
    await until(
      () => ada.text(),
      (text) => text === ' Bo wrote that.',
      'only Bo’s words stay',
    )
    await until(
      () => bo.text(),
      (text) => text === ' Bo wrote that.',
      'also for Bo',
    )
    await ada.page.keyboard.press('Control+Shift+z')
    await until(
      () => bo.text(),
      (text) => text === 'Ada wrote this. Bo wrote that.',
      'redone',
    )
    await goodbye()
  })

  test('the other one’s caret, name and selection are visible', async () => {
    const [ada, bo] = (await together('carets', 'Ada Lovelace', 'Bo')) as [Person, Person]
    await ada.write('select these words')
    await ada.page.keyboard.press('Shift+Home')
    await bo.page.locator('.caret-flag', { hasText: 'Ada Lovelace' }).waitFor({ state: 'attached' })
    await until(
      () => bo.page.locator('.remote-selection').allTextContents(),
      (texts) => texts.join('') === 'select these words',
      'the selection',
    )
    await bo.page
      .getByRole('list', { name: 'People here' })
      .getByText('Ada Lovelace')
      .waitFor({ state: 'attached' })
    await ada.leave()
    people = people.filter((person) => person !== ada)
    await until(
      () => bo.page.locator('.caret').count(),
      (count) => count === 0,
      'the caret goes with its person',
    )
    await goodbye()
  })

  test('two people edit the title at once', async () => {
    const [ada, bo] = (await together('title', 'Ada', 'Bo')) as [Person, Person]
    await ada.title.fill('Plan')
    await until(
      () => bo.title.inputValue(),
      (value) => value === 'Plan',
      'Bo should see the title',
    )
    await ada.title.press('End')
    await bo.title.press('Home')
    await Promise.all([ada.page.keyboard.type(' for May'), bo.page.keyboard.type('The ')])
    for (const person of people)
      await until(
        () => person.title.inputValue(),
        (value) => value === 'The Plan for May',
        'both words',
      )
    await goodbye()
  })
})

describe('offline', () => {
  test('edits made offline are kept, counted and merged on return', async () => {
    const [ada, bo] = (await together('offline', 'Ada', 'Bo')) as [Person, Person]
    await ada.write('Together. ')
    await until(
      () => bo.text(),
      (text) => text === 'Together. ',
      'Bo should see it',
    )
    await ada.context.setOffline(true)
    await pillSays(ada, 'offline')
    await ada.page.keyboard.type('abc')
    await until(
      () => ada.pill.textContent(),
      (text) => text?.includes('3 edits kept on this device') ?? false,
      'the count',
    )
    await bo.editor.focus()
    await bo.page.keyboard.press('Control+Home')
    await bo.page.keyboard.type('Bo: ')
    await ada.context.setOffline(false)
    for (const person of people)
      await until(
        () => person.text(),
        (text) => text === 'Bo: Together. abc',
        'both texts',
      )
    await until(
      () => ada.pill.getAttribute('data-state'),
      (state) => state === 'saved' || state === 'back',
      'saved',
    )
    await goodbye()
  })
})
