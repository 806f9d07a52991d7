//! The history: what was written, by whom, and bringing it back.

import type { Page } from 'playwright-core'
import { afterEach, describe, expect, test } from 'vitest'
import WebSocket from 'ws'
import { WebsocketProvider } from 'y-websocket'
import * as Y from 'yjs'
import { binary, freshName, Person, pillSays, setStage, until } from './harness'
import { look, showing, WIDTHS } from './screens'

/** The stand-in server keeps no past. */
const hasPast = Boolean(process.env.COSCRIBE_URL) || binary() !== null

const stage = setStage()
let here: Person[] = []
afterEach(async () => {
  const people = here
  // Also when something is wrong: the next test has people of its own.
  here = []
  for (const person of people) await person.leave()
  expect(people.flatMap((person) => person.problems)).toEqual([])
})

async function arrive(name: string, options = {}): Promise<{ person: Person }> {
  const person = await Person.arrive(stage, name, options)
  here.push(person)
  return { person }
}

/** A document of two paragraphs by Ada. On a busy machine two letters may be one edit, but not with the last one where it is `alone`. */
async function written(last: 'alone' | null = null): Promise<{ ada: Person; name: string }> {
  const { person: ada } = await arrive('Ada Lovelace')
  const name = freshName('past')
  await ada.open(name)
  await ada.title.fill('The tide')
  await ada.write('The tide comes in.')
  await pillSays(ada, 'saved')
  await ada.write('\nThe tide goes out')
  if (last === 'alone') await pillSays(ada, 'saved')
  await ada.page.keyboard.type('.')
  await pillSays(ada, 'saved')
  return { ada, name }
}

const paper = (page: Page) => page.locator('.history-prose')
const shows = (page: Page, text: string) =>
  until(
    () => paper(page).innerText(),
    (value) => value.replace(/\s+/g, ' ').trim() === text,
    `the history should show “${text}”`,
  )
const range = (page: Page) => page.locator('.scrubber-range')
const seq = async (page: Page) => Number(await range(page).inputValue())
const hasAddress = (page: Page, pattern: RegExp) =>
  until(
    () => page.url(),
    (url) => pattern.test(url),
    `the address should be like ${pattern}`,
  )

/** The number of the last edit. */
async function headOf(name: string): Promise<number> {
  const answer = await fetch(`${stage.server.url}/api/docs/${name}/versions`)
  const { versions } = (await answer.json()) as { versions: { seq: number }[] }
  return versions[0]?.seq ?? 0
}

const reads = (people: readonly Person[], wanted: string) =>
  Promise.all(
    people.map((person) =>
      until(
        () => person.text(),
        (text) => text === wanted,
        `the document should read “${wanted}”`,
      ),
    ),
  )
const blockButton = (page: Page) => page.locator('.history-block')

/** Ada changes her first paragraph and removes the second; Bo only looks. Gives the edit after which she did. */
async function shortened(options = {}): Promise<{ bo: Person; me: Person; since: number; name: string }> {
  const { ada, name } = await written()
  const since = await headOf(name)
  const { page } = ada
  await ada.editor.click()
  await page.keyboard.press('Control+End')
  await page.keyboard.press('Shift+Home')
  await page.keyboard.press('Backspace')
  await page.keyboard.press('Backspace')
  await page.keyboard.press('Control+Home')
  await page.keyboard.type('Look: ')
  await pillSays(ada, 'saved')
  const { person: bo } = await arrive('Bo Li')
  await bo.open(name)
  await reads([bo], 'Look: The tide comes in.')
  const { person: me } = await arrive('Grace Hopper', options)
  await me.page.goto(`${stage.server.url}/d/${name}?history&since=${since}`)
  await me.page.locator('.history-prose [data-change=removed]').first().waitFor()
  return { bo, me, since, name }
}

/** Names a moment by the API. */
async function nameVersion(name: string, label: string, seq?: number): Promise<void> {
  await fetch(`${stage.server.url}/api/docs/${name}/versions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(seq === undefined ? { label } : { label, seq }),
  })
}

async function toggleChanges(page: Page, on: boolean): Promise<void> {
  const toggle = page.getByRole('switch', { name: 'Show changes' })
  if ((await toggle.getAttribute('aria-checked')) !== String(on)) await toggle.click()
}

describe.runIf(hasPast)('the history', () => {
  test('opens over the document, steps through the writing, and leaves everything as it was', async () => {
    const { ada, name } = await written()
    const { page } = ada
    await ada.editor.click()
    await page.keyboard.press('Control+Alt+Shift+H')
    await page.locator('.timeline-entry').first().waitFor()
    expect(new URL(page.url()).search).toBe('?history')
    await toggleChanges(page, false)
    await shows(page, 'The tide comes in. The tide goes out.')
    expect(await page.evaluate(() => document.activeElement?.className)).not.toContain('ProseMirror')

    const head = await seq(page)
    await page.keyboard.press('ArrowLeft')
    expect(await seq(page)).toBe(head - 1)
    await page.keyboard.press('Shift+ArrowLeft')
    expect(await seq(page)).toBe(0)
    await page.getByText('The document was empty at this moment.').waitFor()
    await page.keyboard.press('Shift+ArrowRight')
    expect(await seq(page)).toBe(head)
    await shows(page, 'The tide comes in. The tide goes out.')

    await page.keyboard.press('ArrowLeft')
    await hasAddress(page, new RegExp(`\\?history=${head - 1}$`))
    await page.goBack()
    await until(
      () => page.evaluate(() => document.activeElement?.className ?? ''),
      (focused) => focused.includes('ProseMirror'),
      'the text should have the focus again',
    )
    expect(new URL(page.url()).search).toBe('')
    // The session went on meanwhile: undo knows what was typed before.
    await page.keyboard.press('Control+z')
    await until(
      () => ada.text(),
      (text) => !text.includes('goes out'),
      'undo should take back the last sentence',
    )
    expect(await page.title()).toContain('The tide ·')
    expect(name).toBeTruthy()
  })

  test('has an address that can be reloaded and shared', async () => {
    const { ada, name } = await written()
    const { person: bo } = await arrive('Bo Li')
    await bo.page.goto(`${stage.server.url}/d/${name}?history`)
    await bo.page.locator('.timeline-entry').first().waitFor()
    await toggleChanges(bo.page, false)
    await shows(bo.page, 'The tide comes in. The tide goes out.')
    const head = await seq(bo.page)
    await bo.page.keyboard.press('ArrowLeft')
    await hasAddress(bo.page, /history=\d+$/)
    await bo.page.reload()
    await until(
      () => seq(bo.page),
      (at) => at === head - 1,
      'the moment should be the one of the address',
    )
    // The history alone needs no editor.
    const scripts = await bo.page.evaluate(() =>
      performance.getEntriesByType('resource').map(({ name }) => name),
    )
    expect(scripts.filter((name) => name.includes('vendor-editor'))).toEqual([])
    await bo.page.getByRole('button', { name: 'Back to the document' }).click()
    await bo.editor.waitFor()
    expect(new URL(bo.page.url()).search).toBe('')
    expect(await bo.text()).toBe(await ada.text())
  })

  test('goes from change to change, and says them', async () => {
    const { ada } = await written()
    const { page } = ada
    await ada.editor.click()
    await page.keyboard.press('Control+Home')
    await page.keyboard.type('Look: ')
    await pillSays(ada, 'saved')
    await page.getByRole('button', { name: 'More' }).click()
    await page.getByRole('menuitem', { name: 'History' }).click()
    await page.locator('.history-prose [data-change]').first().waitFor()
    const isAt = (count: string, text: string) =>
      until(
        async () => [
          await page.locator('.history-count').textContent(),
          ...(await page.locator('.is-current').allTextContents()),
        ],
        (seen) => seen.length === 2 && seen[0] === count && seen[1] === text,
        `change ${count} should be “${text}”`,
      )
    await isAt('1 of 2', 'Look: The tide comes in.')
    await page.keyboard.press('Alt+ArrowDown')
    await isAt('2 of 2', 'The tide goes out.')
    await page
      .getByText('Change 2 of 2. Added by Ada Lovelace: The tide goes out.')
      .waitFor({ state: 'attached' })
    // When it was written is told to whoever points at it.
    const title = await page.locator('.is-current').getAttribute('title')
    expect(title).toMatch(/^Added by Ada Lovelace, \d{1,2} \w{3,4}, \d{2}:\d{2}$/)
    await page.keyboard.press('Alt+ArrowDown')
    await isAt('1 of 2', 'Look: The tide comes in.')
    const hue = await page.locator('.is-current').getAttribute('class')
    expect(hue).toMatch(/hue-\d+/)
    await toggleChanges(page, false)
    await until(
      () => page.locator('.history-prose [data-change]').count(),
      (count) => count === 0,
      'no changes should be marked',
    )
  })

  test('shows who formatted what somebody else wrote', async () => {
    const { ada, name } = await written()
    const since = await headOf(name)
    const { person: bo } = await arrive('Bo Li')
    await bo.open(name)
    await reads([bo], 'The tide comes in.\nThe tide goes out.')
    // Bo makes a line bold, of which Ada takes back the end.
    await bo.editor.focus()
    await bo.page.keyboard.press('Control+Home')
    await bo.page.keyboard.press('Shift+End')
    await bo.settle()
    await bo.page.keyboard.press('Control+b')
    await pillSays(bo, 'saved')
    await until(
      () => ada.html(),
      (html) => /<strong>.*The tide comes in\./.test(html),
      'Ada sees it in bold',
    )
    await ada.editor.focus()
    await ada.page.keyboard.press('Control+Home')
    await ada.page.keyboard.press('End')
    for (let letter = 0; letter < 3; letter++) await ada.page.keyboard.press('Shift+ArrowLeft')
    await ada.settle()
    await ada.page.keyboard.press('Control+b')
    await until(
      () => bo.html(),
      (html) => /<strong>The tide comes <\/strong>/.test(html),
      'Bo sees it taken back',
    )
    const { person: me } = await arrive('Grace Hopper')
    await me.page.goto(`${stage.server.url}/d/${name}?history&since=${since}`)
    const formatted = paper(me.page).locator('span[data-change=formatted]')
    await formatted.first().waitFor()
    expect(await formatted.allInnerTexts()).toEqual(['The tide comes '])
    const byBo = await formatted.first().evaluate((span) => getComputedStyle(span).textDecorationColor)
    // What Ada did since is told alone, too.
    const head = await headOf(name)
    await me.page.goto(`${stage.server.url}/d/${name}?history&since=${head - 1}`)
    await until(
      () => formatted.allInnerTexts(),
      (texts) => texts.join() === 'in.',
      'what Ada took back',
    )
    const byAda = await formatted.first().evaluate((span) => getComputedStyle(span).textDecorationColor)
    expect(byBo).not.toBe(byAda)
    await me.page.keyboard.press('Alt+ArrowDown')
    await me.page.getByText('Change 1 of 1. Formatted by Ada Lovelace: in.').waitFor({ state: 'attached' })
  })

  test('shows maps and lists of other programs under their names, and who changed them', async () => {
    const name = freshName('board')
    const join = async (as: string) => {
      const doc = new Y.Doc()
      const url = `${stage.server.url.replace('http', 'ws')}/ws`
      const polyfill = WebSocket as unknown as typeof globalThis.WebSocket
      const client = new WebsocketProvider(url, name, doc, { WebSocketPolyfill: polyfill, disableBc: true })
      client.awareness.setLocalStateField('user', { name: as, color: '#30bced' })
      await until(() => client.synced, Boolean, `${as} is there`)
      return { client, board: doc.getMap('board'), list: doc.getArray('list') }
    }
    const [ada, bo] = [await join('Ada Lovelace'), await join('Bo Li')]
    try {
      ada.board.set('title', 'Plan')
      ada.board.set('size', 3)
      ada.list.push(['first'])
      await until(
        () => bo.list.length,
        (length) => length === 1,
        'Bo has all of it',
      )
      const since = await headOf(name)
      bo.board.set('title', 'Great plan')
      await until(
        () => ada.board.get('title'),
        (title) => title === 'Great plan',
        'Ada has it',
      )
      const { person: me } = await arrive('Grace Hopper')
      await me.page.goto(`${stage.server.url}/d/${name}?history&since=${since}`)
      await shows(me.page, 'board size 3 title "Plan""Great plan" list "first"')
      await me.page.keyboard.press('Alt+ArrowDown')
      await me.page
        .getByText('Change 1 of 1. Changed by Bo Li: "Plan" "Great plan"')
        .waitFor({ state: 'attached' })
    } finally {
      for (const { client } of [ada, bo]) client.destroy()
    }
  })

  test('plays the writing from the beginning to the end', async () => {
    const { ada } = await written()
    const { page } = ada
    await page.keyboard.press('Control+Alt+Shift+H')
    await page.locator('.timeline-entry').first().waitFor()
    await toggleChanges(page, false)
    const head = await seq(page)
    const seen = new Set<string>()
    await page.exposeFunction('sees', (text: string) => seen.add(text))
    await page.evaluate(() => {
      const element = document.querySelector('.history-prose') as HTMLElement
      new MutationObserver(() =>
        (window as unknown as { sees: (text: string) => void }).sees(element.innerText),
      ).observe(element, { childList: true, subtree: true })
    })
    await page.getByRole('button', { name: 'Play the writing' }).click()
    await page.getByRole('button', { name: 'Pause' }).waitFor()
    await until(
      () => seq(page),
      (at) => at < head,
      'it should begin anew',
    )
    await page.getByRole('button', { name: 'Play the writing' }).waitFor({ timeout: 20_000 })
    expect(await seq(page)).toBe(head)
    await shows(page, 'The tide comes in. The tide goes out.')
    expect(seen.size).toBeGreaterThan(5)
    expect([...seen].some((text) => text.startsWith('The tide c') && !text.includes('out'))).toBe(true)
  })

  test('names, renames and unnames a version', async () => {
    const { ada, name } = await written()
    const { page } = ada
    await ada.editor.click()
    await page.keyboard.press('Control+Shift+S')
    await page.getByRole('dialog', { name: 'Name the present version' }).waitFor()
    await page.keyboard.type('First draft')
    await page.keyboard.press('Enter')
    await page.getByText('The version is named “First draft”').waitFor()
    // It is no key for strikethrough any more.
    expect(await ada.html()).not.toContain('<s>')

    await page.goto(`${stage.server.url}/d/${name}?history`)
    const option = (label: string) => page.getByRole('option', { name: new RegExp(`^${label}`) })
    await option('First draft').click()
    await page.getByRole('heading', { name: 'First draft' }).waitFor()
    await hasAddress(page, /history=v\d+$/)
    await page.keyboard.press('Control+Shift+S')
    await page.getByRole('dialog', { name: 'Rename this version' }).waitFor()
    await page.keyboard.type('Second draft')
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: 'Second draft' }).waitFor()
    await page.reload()
    await page.getByRole('heading', { name: 'Second draft' }).waitFor()
    // The list comes later, and scrolling to what is shown closes a menu.
    await option('Second draft').waitFor()

    await page.getByRole('button', { name: 'More for this version' }).click()
    await page.getByRole('menuitem', { name: 'Remove the name' }).click()
    await page.getByText('“Second draft” has no name any more').waitFor()
    expect(await option('Second draft').count()).toBe(0)

    await page.keyboard.press('Shift+ArrowLeft')
    await page.getByRole('button', { name: 'Name this version' }).click()
    await page.getByRole('textbox', { name: 'Name' }).fill('Nothing yet')
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: 'Nothing yet' }).waitFor()
    expect(await seq(page)).toBe(0)
  })

  test('restores in plain words, for everyone, and takes it back', async () => {
    const { ada, name } = await written('alone')
    const { page } = ada
    const before = await ada.text()
    const { person: bo } = await arrive('Bo Li')
    await bo.open(name)
    await page.keyboard.press('Control+Alt+Shift+H')
    await page.locator('.timeline-entry').first().waitFor()
    expect(await page.getByRole('button', { name: 'Restore', exact: true }).count()).toBe(0)
    await page.keyboard.press('ArrowLeft')
    await page.getByRole('button', { name: 'Restore', exact: true }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByText('stays in the history').waitFor()
    await dialog.getByText('People who are writing are not interrupted').waitFor()
    await page.keyboard.press('Escape')
    expect(await page.locator('.history-frame').count()).toBe(1)

    await page.getByRole('button', { name: 'Restore', exact: true }).click()
    await dialog.getByRole('button', { name: 'Restore this version' }).click()
    await page.getByText(/^Restored the version of/).waitFor()
    expect(await page.locator('.history-frame').count()).toBe(0)
    const restored = before.slice(0, -1)
    for (const person of [ada, bo])
      await until(
        () => person.text(),
        (text) => text === restored,
        'the document should be as it was',
      )
    await page.getByRole('button', { name: 'Undo' }).last().click()
    await page.getByText('The restore was undone').waitFor()
    for (const person of [ada, bo])
      await until(
        () => person.text(),
        (text) => text === before,
        'the document should be as it was before the restore',
      )
  })

  test('restores one block by the keys, and takes it back', async () => {
    const { bo, me } = await shortened()
    const { page } = me
    // The first change is chosen; the last one is the paragraph that is gone.
    await page.keyboard.press('Alt+ArrowUp')
    await until(
      () => page.locator('.is-offered').textContent(),
      (text) => text === 'The tide goes out.',
      'the removed paragraph should be offered',
    )
    expect(await blockButton(page).getAttribute('title')).toMatch(/^It comes back where it was/)
    await look(page, 'history-block-tools')
    await page.keyboard.press('Alt+Enter')
    await page.getByText('The block is restored').waitFor()
    await reads([bo], 'Look: The tide comes in.\nThe tide goes out.')
    expect(await page.locator('.history-frame').count()).toBe(1)
    await page.getByRole('button', { name: 'Undo' }).last().click()
    await page.getByText('The restore was undone').waitFor()
    await reads([bo], 'Look: The tide comes in.')
  })

  test('restores the block under the pointer as it was before it changed', async () => {
    const { bo, me } = await shortened()
    const { page } = me
    await page.locator('.history-prose ins').first().hover()
    await until(
      () => page.locator('.is-offered').textContent(),
      (text) => text === 'Look: The tide comes in.',
      'the changed paragraph should be offered',
    )
    // The way from the block to its button does not take it away.
    await blockButton(page).hover()
    await look(page, 'history-block-hover')
    await blockButton(page).click()
    await page.getByText('The block is restored').waitFor()
    await reads([bo], 'The tide comes in.')
  })

  test('restores a block that was tapped', async () => {
    const { bo, me } = await shortened({ hasTouch: true, viewport: { width: 390, height: 844 } })
    const { page } = me
    // It stands over text there, so it comes only when it is asked for.
    expect(await blockButton(page).count()).toBe(0)
    await page.getByText('The tide goes out.').tap()
    await until(
      () => page.locator('.is-offered').textContent(),
      (text) => text === 'The tide goes out.',
      'the tapped paragraph should be offered',
    )
    await blockButton(page).tap()
    await page.getByText('The block is restored').waitFor()
    await reads([bo], 'Look: The tide comes in.\nThe tide goes out.')
  })

  test('restores a block of a moment without its changes, and offers none of the present', async () => {
    const { bo, me, since, name } = await shortened()
    const { page } = me
    await toggleChanges(page, false)
    await shows(page, 'Look: The tide comes in.')
    await page.keyboard.press('Alt+ArrowDown')
    expect(await blockButton(page).count()).toBe(0)
    await page.goto(`${stage.server.url}/d/${name}?history=${since}`)
    await page.locator('.history-prose p').first().waitFor()
    await toggleChanges(page, false)
    await shows(page, 'The tide comes in. The tide goes out.')
    await page.keyboard.press('Alt+ArrowDown')
    await page.keyboard.press('Alt+ArrowDown')
    await page.getByText('Block 2 of 2: The tide goes out.').waitFor({ state: 'attached' })
    await page.keyboard.press('Alt+Enter')
    await page.getByText('The block is restored').waitFor()
    await reads([bo], 'Look: The tide comes in.\nThe tide goes out.')
  })

  test('takes back what one of several people did', async () => {
    const { ada, name } = await written()
    const since = await headOf(name)
    const { person: bo } = await arrive('Bo Li')
    await bo.open(name)
    await bo.write(' Bo saw it.')
    await pillSays(bo, 'saved')
    await reads([ada], 'The tide comes in.\nThe tide goes out. Bo saw it.')
    await ada.write(' So did Ada.')
    await pillSays(ada, 'saved')
    const { person: me } = await arrive('Grace Hopper')
    const { page } = me
    // The second time, what Bo wrote is there because it was brought back.
    for (const time of ['first', 'second']) {
      await page.goto(`${stage.server.url}/d/${name}?history=${since}`)
      await page.getByRole('button', { name: 'Restore', exact: true }).click()
      const dialog = page.getByRole('dialog')
      await dialog.getByRole('radio', { name: 'Everything since then' }).waitFor()
      await dialog.getByRole('radio', { name: 'Only what Bo Li did since then' }).check()
      await dialog.getByText('What others did since then stays.').waitFor()
      if (time === 'first') await look(page, 'history-author')
      await dialog.getByRole('button', { name: 'Take it back' }).click()
      await page.getByText(/^Took back what Bo Li did since/).waitFor()
      await reads([ada, bo], 'The tide comes in.\nThe tide goes out. So did Ada.')
      await page.getByRole('button', { name: 'Undo' }).last().click()
      await page.getByText('The restore was undone').waitFor()
      await reads([ada, bo], 'The tide comes in.\nThe tide goes out. Bo saw it. So did Ada.')
    }
  })

  test('restores while two others go on typing, each where they were', async () => {
    const { ada, name } = await written()
    const since = await headOf(name)
    const { person: bo } = await arrive('Bo Li')
    await bo.open(name)
    await bo.editor.focus()
    await bo.page.keyboard.press('Control+Home')
    await bo.page.keyboard.press('End')
    await bo.page.keyboard.type(' Bo saw it.')
    await pillSays(bo, 'saved')
    const { person: me } = await arrive('Grace Hopper')
    const { page } = me
    await page.goto(`${stage.server.url}/d/${name}?history=${since}`)
    await page.getByRole('button', { name: 'Restore', exact: true }).click()
    const restore = page.getByRole('dialog').getByRole('button', { name: 'Restore this version' })
    await restore.waitFor()

    let isOver = false
    const typed = { ada: '', bo: '' }
    const type = async (who: 'ada' | 'bo', { keyboard }: Page, letters: string) => {
      for (let at = 0; !isOver; at++) {
        const letter = letters[at % letters.length] as string
        await keyboard.type(letter)
        typed[who] += letter
      }
    }
    const typing = Promise.all([type('ada', ada.page, 'abcdefghij'), type('bo', bo.page, '0123456789')])
    let atRestore = typed
    try {
      for (const [person, seen] of [
        [ada, /Bo saw it\.\d/],
        [bo, /goes out\.[a-j]/],
      ] as const)
        await until(
          () => person.text(),
          (text) => seen.test(text),
          'the restore should find letters of both',
        )
      await restore.click()
      await page.getByText(/^Restored the version of/).waitFor()
      atRestore = { ...typed }
      await until(
        async () => Math.min(typed.ada.length - atRestore.ada.length, typed.bo.length - atRestore.bo.length),
        (length) => length >= 5,
        'both should go on typing',
      )
    } finally {
      isOver = true
      await typing
    }

    for (const person of [ada, bo]) await pillSays(person, 'saved')
    const text = await ada.text()
    await reads([ada, bo], text)
    const paragraphs = /^The tide comes in\.(\d*)\nThe tide goes out\.([a-j]*)$/.exec(text)
    // What came before the restore is gone with what it took back; each letter from then on is there, once and in its place.
    for (const [who, stays] of [
      ['bo', paragraphs?.[1]],
      ['ada', paragraphs?.[2]],
    ] as const) {
      expect(typed[who].endsWith(stays ?? '?'), text).toBe(true)
      expect(stays?.length).toBeGreaterThanOrEqual(typed[who].length - atRestore[who].length)
      expect(stays?.length).toBeLessThan(typed[who].length)
    }
    const { person: later } = await arrive('Nils Aall')
    await later.open(name)
    await reads([later], text)
  })

  test('removes a named moment for good, after it was asked', async () => {
    const { ada, name } = await written()
    await nameVersion(name, 'Noon', 3)
    const { page } = ada
    await page.goto(`${stage.server.url}/d/${name}?history`)
    const noon = page.getByRole('option', { name: /^Noon/ })
    await noon.click()
    await page.getByRole('button', { name: 'More for this version' }).click()
    await page.getByRole('menuitem', { name: 'Remove for good…' }).click()
    const dialog = page.getByRole('dialog', { name: 'Remove “Noon” for good?' })
    await dialog.getByText('The present document stays exactly as it is.').waitFor()
    await look(page, 'history-purge')
    await page.keyboard.press('Escape')
    expect(await noon.count()).toBe(1)
    await page.locator('.timeline-list').focus()
    await page.keyboard.press('Delete')
    await dialog.getByRole('button', { name: 'Remove for good' }).click()
    await page.getByText('This part of the history was removed for good').waitFor()
    expect(await noon.count()).toBe(0)
    await until(
      () => page.evaluate(() => document.activeElement?.className ?? ''),
      (focused) => focused.includes('timeline-list'),
      'the list should have the focus',
    )
    await until(
      () => page.getByRole('option', { selected: true }).count(),
      (count) => count === 1,
      'something beside it should be chosen',
    )
    await toggleChanges(page, false)
    await shows(page, 'The tide comes in. The tide goes out.')

    await page.goto(`${stage.server.url}/d/${name}?history=3`)
    await page.getByRole('heading', { name: 'This part of the history was removed for good' }).waitFor()
    expect(await page.getByRole('button', { name: 'Try again' }).count()).toBe(0)
    expect(await page.getByRole('button', { name: 'Restore', exact: true }).count()).toBe(0)
    await look(page, 'history-purged')
    // What is left beside it can still be gone to.
    await page.keyboard.press('ArrowRight')
    await page.locator('.history-prose p').first().waitFor()
    // What was to be compared with it stands alone.
    await page.goto(`${stage.server.url}/d/${name}?history&since=3`)
    await page.getByText('What came before this was removed for good').waitFor()
    await shows(page, 'The tide comes in. The tide goes out.')
    await look(page, 'history-alone')
  })

  test('removes a session for good but for the present', async () => {
    const { ada, name } = await written()
    await nameVersion(name, 'Noon', 3)
    const { page } = ada
    const head = await headOf(name)
    await page.goto(`${stage.server.url}/d/${name}?history`)
    await page
      .getByRole('option', { name: /^Ada Lovelace/ })
      .first()
      .click()
    await page.keyboard.press('Delete')
    const dialog = page.getByRole('dialog')
    await dialog.getByText('The version “Noon” goes, too.').waitFor()
    await dialog.getByRole('button', { name: 'Remove for good' }).click()
    await page.getByText('This part of the history was removed for good').waitFor()
    await toggleChanges(page, false)
    await shows(page, 'The tide comes in. The tide goes out.')
    expect(await seq(page)).toBe(head)
    await page.keyboard.press('ArrowLeft')
    await page.getByRole('heading', { name: 'This part of the history was removed for good' }).waitFor()
    await page.keyboard.press('ArrowRight')
    await shows(page, 'The tide comes in. The tide goes out.')
    await ada.open(name)
    await reads([ada], 'The tide comes in.\nThe tide goes out.')
  })

  test('opens a menu however fast the page was loaded', async () => {
    const { name } = await written()
    const { person: bo } = await arrive('Bo Li')
    await bo.page.addInitScript(() => {
      performance.now = () => 100
    })
    await bo.page.goto(`${stage.server.url}/d/${name}?history`)
    await bo.page.getByRole('button', { name: 'More for this version' }).click()
    await bo.page.getByRole('menuitem', { name: 'Copy as a new document' }).waitFor({ timeout: 10_000 })
  })

  test('copies a version as a new document', async () => {
    const { ada, name } = await written('alone')
    const { page } = ada
    await page.goto(`${stage.server.url}/d/${name}?history=${(await headOf(name)) - 1}`)
    await page.getByRole('button', { name: 'More for this version' }).click()
    await page.getByRole('menuitem', { name: 'Copy as a new document' }).click()
    await ada.editor.waitFor()
    expect(page.url()).not.toContain(name)
    expect(await ada.text()).toBe('The tide comes in.\nThe tide goes out')
    expect(await ada.title.inputValue()).toMatch(/^The tide \(copy of .+\)$/)
    await pillSays(ada, 'saved')
    const { person: bo } = await arrive('Bo Li')
    await bo.page.goto(page.url())
    await bo.editor.waitFor()
    await until(
      () => bo.text(),
      (text) => text === 'The tide comes in.\nThe tide goes out',
      'the copy should be on the server',
    )
  })

  test('tells what others wrote since the last visit', async () => {
    const { ada, name } = await written()
    const { page } = ada
    await until(
      () => page.evaluate(() => localStorage.getItem('coscribe.seen') ?? ''),
      (seen) => seen.includes(name),
      'the visit should be remembered',
      15_000,
    )
    // The last words count as seen when they have stood there for a while.
    const last = await headOf(name)
    await until(
      () =>
        page.evaluate((name) => JSON.parse(localStorage.getItem('coscribe.seen') ?? '{}')[name]?.seq, name),
      (seq) => seq === last,
      'everything should be seen',
      15_000,
    )
    await page.goto(stage.server.url)
    const { person: bo } = await arrive('Bo Li')
    await bo.open(name)
    await bo.write(' Bo saw it.')
    await pillSays(bo, 'saved')
    expect(await bo.page.locator('.news').count()).toBe(0)

    await ada.open(name)
    await page.getByText('Bo Li wrote here since your last visit').waitFor()
    await look(page, 'history-news')
    await page.getByRole('button', { name: 'See what changed' }).click()
    await page.getByText('What changed since you were last here').waitFor()
    await page.locator('.history-prose ins').first().waitFor()
    expect(await page.locator('.history-prose ins').allTextContents()).toEqual([
      expect.stringContaining('Bo saw it.'),
    ])
    expect(new URL(page.url()).search).toBe(`?history&since=${last}`)
    await page.reload()
    await page.locator('.history-prose ins').first().waitFor()
    await ada.open(name)
    await pillSays(ada, 'saved')
    expect(await page.locator('.news').count()).toBe(0)
  })

  test('says what is wrong and tries again', async () => {
    const { ada, name } = await written()
    const { page } = ada
    const moments = /\/(at|diff\/\d+)\?.*as=html/
    await ada.context.route(moments, (route) =>
      route.fulfill({
        status: 503,
        contentType: 'application/problem+json',
        body: JSON.stringify({ code: 'not-storing', title: 'Busy', detail: 'The disk is being checked.' }),
      }),
    )
    await page.keyboard.press('Control+Alt+Shift+H')
    await page.getByRole('heading', { name: 'This version could not be loaded' }).waitFor()
    await page.getByText('The disk is being checked.').waitFor()
    await look(page, 'history-failed')
    await ada.context.unroute(moments)
    await page.getByRole('button', { name: 'Try again' }).click()
    await shows(page, 'The tide comes in. The tide goes out.')

    await ada.context.route('**/versions?*', (route) => route.abort())
    await page.goto(`${stage.server.url}/d/${name}?history`)
    await page.getByRole('heading', { name: 'The history could not be loaded' }).waitFor()
    await ada.context.unroute('**/versions?*')
    await page.getByRole('button', { name: 'Try again' }).click()
    await shows(page, 'The tide comes in. The tide goes out.')

    await page.goto(`${stage.server.url}/d/${freshName('nothing')}?history`)
    await page.getByRole('heading', { name: 'Nothing has been written here yet' }).waitFor()
    await look(page, 'history-empty')
    await page.keyboard.press('Escape')
    await ada.editor.waitFor()
  })

  test('has one place for the focus in each region, and the list as a list', async () => {
    const { ada, name } = await written()
    const { page } = ada
    await nameVersion(name, 'Noon')
    await page.keyboard.press('Control+Alt+Shift+H')
    await page.getByRole('option').first().waitFor()
    const focused = () => page.evaluate(() => document.activeElement?.className ?? '')
    expect(await focused()).toContain('timeline-list')
    await page.keyboard.press('Home')
    await page.getByRole('heading', { name: 'Noon' }).waitFor()
    expect(await page.getByRole('listbox').getAttribute('aria-activedescendant')).toMatch(/^version-named-v/)
    await page.keyboard.press('ArrowDown')
    expect(await page.getByRole('option', { selected: true }).textContent()).toContain('Ada Lovelace')
    const stops: string[] = []
    for (let round = 0; round < 4; round++) {
      await page.keyboard.press('F6')
      stops.push(await focused())
    }
    expect(stops.map((stop) => stop.split(' ').at(-1))).toEqual([
      'scrubber-range',
      'history-back',
      'history-reader',
      'timeline-list',
    ])
    expect(await range(page).getAttribute('aria-valuetext')).toMatch(/Ada Lovelace, Edit \d+ of \d+$/)
    await page.keyboard.press('ArrowLeft')
    await page
      .locator('.history-scrubber [role=status]', { hasText: /Edit \d+ of/ })
      .waitFor({ state: 'attached' })
  })
})

/** The same document as if it had been written over weeks by several people, as a test can not wait. */
async function overWeeks(person: Person, name: string): Promise<void> {
  const api = `${stage.server.url}/api/docs/${name}/versions`
  const { versions } = (await (await fetch(api)).json()) as { versions: Record<string, unknown>[] }
  const head = Number(versions[0]?.seq)
  const people = versions.flatMap(({ authors }) => authors as Record<string, string>[])
  const [ada, bo] = ['Ada Lovelace', 'Bo Li'].map((name) => people.find((author) => author.name === name))
  const nobody = { id: '0123456789abcdef', name: '', color: '' }
  const cleo = { id: 'fedcba9876543210', name: 'Cleo Sanchez-Whitfield', color: '#5b8a1f' }
  const hour = 3_600_000
  const noon = new Date().setHours(12, 0, 0, 0)
  const plan: readonly (readonly [number, number, unknown[]])[] = [
    [1, 0.8, [bo]],
    [22, 0.4, [ada, bo]],
    [26, 1, [ada]],
    [31, 0.1, [nobody]],
    [73, 0.7, [ada, bo, cleo, nobody]],
    [200, 0.9, [ada]],
    [203, 0.2, [cleo]],
    [400, 0.9, [ada, nobody]],
    [9_100, 0.5, [ada]],
  ]
  const end = (at: number) => Math.round(head * (1 - at / plan.length) ** 1.6)
  const rows: Record<string, unknown>[] = plan.map(([ago, long, authors], at) => ({
    id: String(end(at)),
    seq: end(at),
    at: new Date(noon - ago * hour).toISOString(),
    kind: 'auto',
    label: '',
    authors,
    from_seq: end(at + 1) + 1,
    // The older it is, the less is kept of it.
    kept: at < 3 ? 'all' : at < 6 ? 'minutes' : 'sessions',
    from_at: new Date(noon - (ago + long) * hour).toISOString(),
  }))
  const mark = (at: number, id: string, kind: string, label: string, authors: unknown[]) => {
    const { seq, at: time } = rows[at] as { seq: number; at: string }
    return { id, seq, at: time, kind, label, authors, from_seq: seq, from_at: time }
  }
  rows.splice(6, 0, mark(6, 'v1', 'named', 'First draft, for Bo to read', [ada]))
  rows.splice(3, 0, mark(3, 'v2', 'restored', 'First draft, for Bo to read', [nobody]))
  rows.splice(2, 0, mark(2, 'v3', 'named', 'Sent to the printer', [bo]))
  await person.context.route(/\/versions\?/, (route) =>
    route.fulfill({ json: { versions: rows, next: null } }),
  )
}

describe.runIf(hasPast)('the screen', () => {
  test.each(WIDTHS)('at %d px', async (width) => {
    const name = freshName('marsh')
    const { person: ada } = await arrive('Ada Lovelace')
    const { person: bo } = await arrive('Bo Li')
    await ada.open(name)
    await ada.title.fill('Field notes: the tidal marsh')
    await ada.editor.focus()
    const lines = [
      '## What we set out to learn',
      'The marsh floods twice a day, and what it carries in is rarely what it carries out. These notes follow one creek from October to March, with **measurements every hour** and a few opinions.',
      '1. How much sediment stays after a spring tide?',
      'Does the old embankment still matter?',
      '',
      '> Water remembers where it used to go. ',
      '',
      '[ ] Calibrate the second gauge',
      'Charge the `data logger` ',
      '',
    ]
    for (const line of lines) await ada.page.keyboard.type(`${line}\n`)
    await ada.page.keyboard.type('``` level = gauge.read()')
    await pillSays(ada, 'saved')
    await bo.open(name)
    await bo.editor.getByText('rarely').dblclick()
    await bo.page.keyboard.type('never quite ')
    await bo.editor.getByText('Does the old embankment').click()
    await bo.page.keyboard.press('End')
    await bo.page.keyboard.type('\nWho owns the gauge at the bridge?')
    await bo.editor.locator('input[type=checkbox]').first().check()
    await pillSays(bo, 'saved')
    const { person: me } = await arrive('Grace Hopper', showing(width))
    await overWeeks(me, name)
    const { page } = me
    await page.goto(`${stage.server.url}/d/${name}?history`)
    await page.locator('.history-prose [data-change], .history-prose ins').first().waitFor()
    await look(page, 'history-changes')
    await page.keyboard.press('Alt+ArrowDown')
    await look(page, 'history-next')
    if (width === 390) {
      await page.getByRole('button', { name: 'Versions' }).click()
      await page.getByRole('option').first().waitFor()
      await look(page, 'history-list')
      await page.getByRole('option', { name: /^Sent to the printer/ }).click()
    } else await page.getByRole('option', { name: /^Sent to the printer/ }).click()
    await page.getByRole('heading', { name: 'Sent to the printer' }).waitFor()
    await page.getByRole('switch').click()
    await until(
      () => page.locator('.history-prose .is-current').count(),
      (count) => count === 0,
      'no changes',
    )
    await look(page, 'history-named')
    await page.keyboard.press('Alt+ArrowDown')
    await blockButton(page).waitFor()
    await look(page, 'history-block')
    await page.getByRole('button', { name: 'More for this version' }).click()
    await look(page, 'history-menu')
    await page.getByRole('menuitem', { name: 'Remove for good…' }).click()
    await page.getByRole('dialog').waitFor()
    await look(page, 'history-purge')
    await page.keyboard.press('Escape')
    await page.getByRole('dialog').waitFor({ state: 'detached' })
    if (width === 390) await page.getByRole('button', { name: 'More for this version' }).click()
    if (width === 390) await page.getByRole('menuitem', { name: 'Restore this version' }).click()
    else await page.getByRole('button', { name: 'Restore', exact: true }).click()
    await page.getByRole('radio').first().waitFor()
    await look(page, 'history-restore')
    await page.keyboard.press('Escape')
    await me.context.route(/as=html/, (route) =>
      route.fulfill({
        status: 410,
        contentType: 'application/problem+json',
        body: JSON.stringify({ code: 'purged', title: 'Gone', detail: 'It was removed for good.' }),
      }),
    )
    await range(page).fill('5')
    await page.getByRole('heading', { name: 'This part of the history was removed for good' }).waitFor()
    await page.getByText('Kept by session').waitFor()
    await look(page, 'history-purged')
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
    expect(overflow).toBeLessThanOrEqual(0)
  })
})
