//! What the page does when the server refuses, can not store, is gone, or holds another document of that name. Uses the
//! stand-in server, as the real one can not be made to misbehave on demand.

import { afterEach, describe, expect, test } from 'vitest'
import { freshName, knobs, Person, pillSays, setStage, tryNow, until } from './harness'

const stage = setStage('stand-in')
let people: Person[] = []
afterEach(async () => {
  await knobs(stage.server, {
    storing: null,
    refuseOver: null,
    closeOver: null,
    refuseSockets: false,
    silent: false,
  })
  for (const person of people) await person.leave()
  people = []
})

async function arrive(name: string, document?: string): Promise<Person> {
  const person = await Person.arrive(stage, name)
  people.push(person)
  if (document) await person.open(document)
  return person
}

const post = (path: string, body?: unknown, method = 'POST') =>
  fetch(`${stage.server.url}${path}`, {
    method,
    headers: body ? { 'content-type': 'application/json' } : { 'x-requested-with': 'coscribe' },
    ...(body ? { body: JSON.stringify(body) } : {}),
  })

/** Sees the pill say that it saves, for which a quick save leaves no time. */
async function writeAndSave(person: Person, text: string): Promise<void> {
  await knobs(stage.server, { silent: true })
  await person.write(text)
  await pillSays(person, 'saving')
  await knobs(stage.server, { silent: false })
  await pillSays(person, 'saved')
}

async function paste(person: Person, text: string): Promise<void> {
  await person.editor.focus()
  await person.editor.evaluate((element, text) => {
    const data = new DataTransfer()
    data.setData('text/plain', text)
    element.dispatchEvent(
      new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true }),
    )
  }, text)
}

describe.each([
  ['refused with a message', { refuseOver: 4_000 }],
  ['refused by closing with 1009', { closeOver: 4_000 }],
])('a paste over the limit, %s', (_, limit) => {
  test('is named, can be undone, and everything typed around it is saved', async () => {
    const name = freshName('refused')
    const ada = await arrive('Ada', name)
    await writeAndSave(ada, 'Before. ')
    let sockets = 0
    ada.page.on('websocket', () => sockets++)
    await knobs(stage.server, limit)
    await paste(ada, 'a'.repeat(10_000))
    await pillSays(ada, 'refused')
    const bar = ada.page.locator('.notice-danger')
    await until(
      () => bar.textContent(),
      (text) => /larger than the server takes/.test(text ?? ''),
      'the limit is named',
    )
    await ada.page.keyboard.type('After.')
    await ada.page.waitForTimeout(1_500)
    expect(sockets, 'no loop of connections').toBeLessThanOrEqual(1)
    await bar.getByRole('button', { name: 'Undo' }).click()
    await pillSays(ada, 'saved')
    expect(await ada.text()).toBe('Before. After.')
    const bo = await arrive('Bo', name)
    await until(
      () => bo.text(),
      (text) => text === 'Before. After.',
      'Bo sees what was saved',
    )
    expect(ada.problems).toEqual([])
  })
})

test('after a reload the refused text is still here, and can be copied or discarded', async () => {
  const name = freshName('refused-reload')
  const ada = await arrive('Ada', name)
  await ada.context.grantPermissions(['clipboard-read', 'clipboard-write'])
  await writeAndSave(ada, 'Saved. ')
  await knobs(stage.server, { refuseOver: 4_000 })
  await paste(ada, 'y'.repeat(10_000))
  await pillSays(ada, 'refused')
  await ada.page.reload()
  await pillSays(ada, 'refused')
  await ada.page.getByRole('button', { name: 'Copy my text' }).click()
  await until(
    () => ada.page.evaluate(() => navigator.clipboard.readText()),
    (text) => text.length === 10_007,
    'the clipboard',
  )
  await ada.page.getByRole('button', { name: 'Discard unsaved edits' }).click()
  await ada.page.getByRole('dialog').getByRole('button', { name: 'Discard unsaved edits' }).click()
  await pillSays(ada, 'saved')
  expect((await ada.text()).trim()).toBe('Saved.')
})

describe('the pill', () => {
  test('says Saving while an acknowledgement is late, then Saved', async () => {
    const ada = await arrive('Ada', freshName('slow'))
    await pillSays(ada, 'saved')
    await writeAndSave(ada, 'x')
  })

  test('says Not saved with the reason while the server can not store', async () => {
    const ada = await arrive('Ada', freshName('disk-full'))
    await pillSays(ada, 'saved')
    await knobs(stage.server, { storing: 'the disk is full' })
    await ada.write('x')
    await until(
      () => ada.pill.textContent(),
      (text) => text === 'Not saved: the disk is full',
      'the reason',
    )
    await knobs(stage.server, { storing: null })
    await pillSays(ada, 'saved')
  })

  test('counts down after ten seconds, and "Try now" works', async () => {
    const ada = await arrive('Ada', freshName('down'))
    await pillSays(ada, 'saved')
    await knobs(stage.server, { refuseSockets: true })
    await pillSays(ada, 'reconnecting')
    await ada.write('ab')
    await until(
      () => ada.pill.textContent(),
      (text) => text?.includes('2 edits kept on this device') ?? false,
      'the count',
    )
    await ada.page.getByRole('button', { name: 'Try now' }).waitFor()
    await knobs(stage.server, { refuseSockets: false })
    await tryNow(ada)
    await until(
      () => ada.pill.textContent(),
      (text) => text === 'Back online, 2 edits merged' || text === 'Saved',
      'back',
    )
  })

  test('remembers the count over a reload', async () => {
    const ada = await arrive('Ada', freshName('count'))
    await writeAndSave(ada, 'a')
    await knobs(stage.server, { refuseSockets: true })
    await ada.page.keyboard.type('bcd')
    await until(
      () => ada.pill.textContent(),
      (text) => text?.includes('3 edits kept') ?? false,
      'the count',
    )
    await ada.page.reload()
    await ada.editor.waitFor()
    expect(await ada.text()).toBe('abcd')
    await until(
      () => ada.pill.textContent(),
      (text) => text?.includes('3 edits kept') ?? false,
      'the count after the reload',
    )
    await knobs(stage.server, { refuseSockets: false })
    await until(
      () => ada.pill.getAttribute('data-state'),
      (state) => state === 'back' || state === 'saved',
      'saved',
    )
  })

  test('keeps what was typed right before the page went', async () => {
    const ada = await arrive('Ada', freshName('hurry'))
    await pillSays(ada, 'saved')
    await knobs(stage.server, { refuseSockets: true })
    await pillSays(ada, 'reconnecting')
    const typed = 'abcdefghijklmnopqrstuvwxyz'
    await ada.editor.focus()
    await Promise.all([
      ada.page.waitForEvent('load'),
      ada.page.evaluate(async (typed) => {
        for (const letter of typed) {
          document.execCommand('insertText', false, letter)
          await null
        }
        location.reload()
      }, typed),
    ])
    await until(
      () => ada.pill.textContent(),
      (text) => text?.includes('26 edits kept') ?? false,
      'the count after the reload',
    )
    expect(await ada.text()).toBe(typed)
  })

  test('does not claim to keep edits where the browser can not', async () => {
    const ada = await arrive('Ada')
    await ada.context.addInitScript(() => Object.defineProperty(window, 'indexedDB', { value: undefined }))
    await ada.open(freshName('private'))
    await pillSays(ada, 'saved')
    await ada.page.getByText('This browser cannot keep offline edits').waitFor()
    await knobs(stage.server, { refuseSockets: true })
    await ada.write('x')
    await until(
      () => ada.pill.textContent(),
      (text) => text?.includes('1 edit in this tab only') ?? false,
      'the truth',
    )
  })
})

describe('a document that is gone', () => {
  test('in the trash: the text is offered, Restore brings it back', async () => {
    const name = freshName('trashed')
    const ada = await arrive('Ada', name)
    await writeAndSave(ada, 'Do not lose me')
    let sockets = 0
    ada.page.on('websocket', () => sockets++)
    await post(`/api/docs/${name}/trash`)
    await ada.page.getByRole('heading', { name: 'This document is in the trash' }).waitFor()
    await ada.page.getByText('Do not lose me').waitFor()
    await ada.page.waitForTimeout(1_000)
    expect(sockets, 'does not try to come back').toBe(0)
    await ada.page.getByRole('button', { name: 'Restore' }).click()
    await until(
      () => ada.text(),
      (text) => text === 'Do not lose me',
      'restored',
    )
  })

  test('deleted while offline: nothing comes back, the text becomes my own copy', async () => {
    const name = freshName('deleted')
    const ada = await arrive('Ada', name)
    await ada.title.fill('Plan')
    await writeAndSave(ada, 'Shared. ')
    await knobs(stage.server, { refuseSockets: true })
    await ada.page.keyboard.type('Mine.')
    await until(
      () => ada.pill.getAttribute('data-state'),
      (state) => state === 'offline',
      'offline',
    )
    await post(`/api/docs/${name}/trash`)
    await post(`/api/docs/${name}`, undefined, 'DELETE')
    await knobs(stage.server, { refuseSockets: false })
    await ada.page.getByRole('heading', { name: 'This document was deleted' }).waitFor({ timeout: 20_000 })
    await ada.page.getByRole('button', { name: 'Save as my own copy' }).click()
    await until(
      () => ada.page.url(),
      (url) => !url.includes(name),
      'another document',
    )
    await until(
      () => ada.title.inputValue(),
      (title) => title === 'Plan (my copy)',
      'the title',
    )
    await until(
      () => ada.text(),
      (text) => text === 'Shared. Mine.',
      'the text',
    )
    await pillSays(ada, 'saved')
    expect((await post(`/api/docs/${name}`, undefined, 'GET')).status).toBe(410)
  })

  test('created anew: the old text does not merge into the new document', async () => {
    const name = freshName('anew')
    const ada = await arrive('Ada', name)
    await writeAndSave(ada, 'old ')
    // The second visit knows the epoch.
    await ada.open(name)
    await pillSays(ada, 'saved')
    await knobs(stage.server, { refuseSockets: true })
    await ada.write('unsaved')
    await post(`/api/docs/${name}/trash`)
    await post(`/api/docs/${name}`, undefined, 'DELETE')
    await post('/api/docs', { id: name, title: 'New one' })
    await knobs(stage.server, { refuseSockets: false })
    await ada.page
      .getByRole('heading', { name: 'This document was deleted and created anew' })
      .waitFor({ timeout: 20_000 })
    await ada.page.getByText('old unsaved').waitFor()
    await ada.page.getByRole('button', { name: 'Open the new one' }).click()
    await until(
      () => ada.title.inputValue(),
      (title) => title === 'New one',
      'the new one',
    )
    expect((await ada.text()).trim()).toBe('')
    await ada.page.getByText('unsaved edits of an earlier document').waitFor()
  })
})
