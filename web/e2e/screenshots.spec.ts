//! Every screen in each width and theme, for a person to look at; and axe, which must find nothing.

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import {
  freshName,
  knobs,
  Person,
  pillSays,
  type Server,
  setStage,
  startServer,
  tryNow,
  until,
} from './harness'
import { look, showing, WIDTHS } from './screens'

const stage = setStage()
let marsh: string
let here: Person[] = []

beforeAll(async () => {
  marsh = await fill()
})

const TITLES = [
  'Reading list for the winter',
  'Interview guide, second round',
  'Release checklist 0.1',
  'Budget 2027, draft',
  '',
  'Minutes of 14 November',
  'Onboarding for new colleagues',
  'Letter to the landlord',
  'How we choose dependencies',
  'A title that is a good deal longer than anybody would reasonably make it, so that one can see what happens to the end of it',
]

/** Documents for the list, and one that shows every kind of block. */
async function fill(): Promise<string> {
  const post = (path: string, body?: unknown) =>
    fetch(`${stage.server.url}${path}`, {
      method: 'POST',
      headers: body ? { 'content-type': 'application/json' } : { 'x-requested-with': 'coscribe' },
      ...(body ? { body: JSON.stringify(body) } : {}),
    })
  const hour = 3_600_000
  for (const [at, title] of TITLES.entries()) {
    await post('/api/docs', {
      title,
      ...(stage.server.isStandIn
        ? { edited_at: new Date(Date.now() - at * at * 7 * hour).toISOString() }
        : {}),
    })
  }
  for (const title of ['Old notes', 'Draft of a talk']) {
    const { id } = (await (await post('/api/docs', { title })).json()) as { id: string }
    await post(`/api/docs/${id}/trash`)
  }
  const name = freshName('field-notes')
  const author = await Person.arrive(stage, 'Ada Lovelace')
  await author.open(name)
  await author.title.fill('Field notes: the tidal marsh')
  await author.editor.focus()
  for (const line of [
    'The marsh floods twice a day, and what it carries in is rarely what it carries out. These notes follow one creek from October to March, with **measurements every hour** and a few opinions.',
    '## What we set out to learn',
    'Three questions, in the order in which people asked them:',
    '1. How much sediment stays after a spring tide?',
    'Does the *old* embankment still matter?',
    'Who owns the gauge at the bridge?',
    '',
  ])
    await author.page.keyboard.type(`${line}\n`)
  await author.page.keyboard.type(
    '> “Water remembers where it used to go.” A ferryman, when asked about the map.\n\n',
  )
  await author.page.keyboard.type(
    '### Before the next visit\n[ ] Calibrate the second gauge\nCharge the `data logger`\n',
  )
  await author.page.keyboard.type('Tell https://example.org about the boat \n\n')
  await author.page.keyboard.press('Control+Home')
  await author.page.keyboard.press('Control+End')
  await author.page.keyboard.type('``` ')
  await author.page.keyboard.type(
    'level = gauge.read()\nif level > 2.4:\n    wait("the path is under water")',
  )
  await author.page.keyboard.press('ArrowDown')
  await author.page.locator('.ProseMirror input[type=checkbox]').first().check()
  await pillSays(author, 'saved')
  await author.leave()
  return name
}

afterEach(async () => {
  for (const person of here) await person.leave()
  here = []
})

describe('every screen', () => {
  test.each(WIDTHS)('at %d px', async (width) => {
    const me = await Person.arrive(stage, 'Grace Hopper', showing(width))
    here.push(me)
    const others = await Promise.all(
      ['Ada Lovelace', 'Bo Li', 'Cleo'].map((name) => Person.arrive(stage, name)),
    )
    here.push(...others)
    for (const other of others) await other.open(marsh)
    await others[1]?.page.locator('.ProseMirror p').first().click()
    await others[0]?.page.locator('.ProseMirror li p').nth(1).dblclick()

    await me.page.goto(`${stage.server.url}/`)
    await me.page.locator('.row').first().waitFor()
    await me.page.locator('.live-dot').first().waitFor()
    await look(me.page, 'home')
    await me.page
      .getByRole('button', { name: /^Actions for/ })
      .first()
      .click()
    await look(me.page, 'home-menu')
    await me.page.keyboard.press('Escape')

    await me.page.goto(`${stage.server.url}/#trash`)
    await me.page.getByRole('button', { name: 'Restore' }).first().waitFor()
    await look(me.page, 'trash')

    await me.open(marsh)
    await me.page.locator('.caret').first().waitFor({ state: 'attached' })
    await until(
      () => me.page.locator('.presence .faces li').count(),
      (count) => count === 3,
      'three others',
    )
    await pillSays(me, 'saved')
    await look(me.page, 'document')
    await me.page.getByRole('button', { name: /^Kind of text/ }).click()
    await look(me.page, 'document-blocks')
    await me.page.keyboard.press('Escape')
    await me.page.getByRole('button', { name: /\(you\)/ }).click()
    await look(me.page, 'document-identity')
    await me.page.keyboard.press('Escape')
    await me.page.keyboard.press('Control+/')
    await me.page.getByRole('dialog').waitFor()
    await look(me.page, 'document-shortcuts')
    await me.page.keyboard.press('Escape')

    await me.open(freshName('blank'))
    await look(me.page, 'blank')
    expect(me.problems).toEqual([])
  })
})

describe('trouble', () => {
  let standIn: Server
  beforeAll(async () => {
    standIn = await startServer('stand-in')
  })
  afterAll(() => standIn.stop())

  test.each([1440, 390] as const)('at %d px', async (width) => {
    const me = await Person.arrive({ ...stage, server: standIn }, 'Grace Hopper', showing(width))
    here.push(me)

    await me.page.goto(`${standIn.url}/#trash`)
    await me.page.getByRole('heading', { name: 'The trash is empty' }).waitFor()
    await look(me.page, 'trash-empty')
    await me.page.goto(`${standIn.url}/`)
    await me.page.getByRole('searchbox').fill('zzz')
    await me.page.getByText('No title contains').waitFor()
    await look(me.page, 'search-empty')

    const name = freshName('trouble')
    await me.open(name)
    await me.title.fill('Notes from the train')
    await me.write('Between two tunnels.')
    await pillSays(me, 'saved')
    await knobs(standIn, { storing: 'the disk is full' })
    await me.page.keyboard.type(' More.')
    await pillSays(me, 'not-saved')
    await look(me.page, 'not-saved')
    await knobs(standIn, { storing: null })
    await pillSays(me, 'saved')
    await knobs(standIn, { refuseSockets: true })
    await me.page.keyboard.type(' Offline.')
    await me.page.getByRole('button', { name: 'Try now' }).waitFor({ timeout: 20_000 })
    await look(me.page, 'offline')
    await knobs(standIn, { refuseSockets: false, refuseOver: 400 })
    await tryNow(me)
    await until(
      () => me.pill.getAttribute('data-state'),
      (state) => state === 'back' || state === 'saved',
      'saved',
    )
    await me.page.keyboard.insertText('much too long '.repeat(60))
    await pillSays(me, 'refused')
    await look(me.page, 'refused')
    await me.page.getByRole('button', { name: 'Undo' }).last().click()
    await pillSays(me, 'saved')
    await knobs(standIn, { refuseOver: null })
    const api = (path: string, method: string) =>
      fetch(`${standIn.url}/api/docs/${name}${path}`, { method, headers: { 'x-requested-with': 'coscribe' } })
    await api('/trash', 'POST')
    await me.page.getByRole('heading', { name: 'This document is in the trash' }).waitFor()
    await look(me.page, 'trashed')
    await api('', 'DELETE')
    expect(me.problems).toEqual([])
  })
})
