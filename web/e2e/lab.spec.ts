//! The lab: four editors in one page on a bad network, which must end equal.

import type { Page } from 'playwright-core'
import { afterEach, describe, expect, test } from 'vitest'
import { Person, setStage, until } from './harness'
import { look, showing, WIDTHS } from './screens'

const NAMES = ['Ada', 'Bo', 'Cleo', 'Davi'] as const

const stage = setStage()
let here: Person[] = []
afterEach(async () => {
  for (const person of here) {
    expect(person.problems).toEqual([])
    await person.leave()
  }
  here = []
})

async function enter(path = '/lab', options = {}): Promise<Page> {
  const person = await Person.arrive(stage, 'Grace', {
    viewport: { width: 1440, height: 900 },
    ...options,
  })
  here.push(person)
  await person.page.goto(stage.server.url + path)
  await until(
    () => person.page.locator('.lab-connection[data-state=live]').count(),
    (count) => count === NAMES.length,
    'four connections',
  )
  return person.page
}

const seat = (page: Page, name: string) => page.locator(`.lab-seat[aria-label="${name}"]`)
const text = (page: Page, name: string) =>
  seat(page, name)
    .locator('.ProseMirror')
    .evaluate((element) => {
      const copy = element.cloneNode(true) as HTMLElement
      for (const caret of copy.querySelectorAll('.caret')) caret.remove()
      return [...copy.children].map((block) => block.textContent).join('\n')
    })
const texts = (page: Page) => Promise.all(NAMES.map((name) => text(page, name)))
const behind = async (page: Page, name: string) => Number(await seat(page, name).getAttribute('data-behind'))
/** Waits until they have made more than so many edits. */
const written = (page: Page, edits: number) =>
  until(
    async () => Number.parseInt((await page.locator('.lab-edits').textContent()) ?? '0', 10),
    (count) => count > edits,
    'they should write',
    30_000,
  )
const verdict = (page: Page, wanted: string, ms?: number) =>
  until(
    async () => ({
      verdict: await page.locator('.lab-verdict').getAttribute('data-verdict'),
      behind: await Promise.all(NAMES.map((name) => behind(page, name))),
      connections: await page.locator('.lab-connection').allTextContents(),
    }),
    (sign) => sign.verdict === wanted,
    `the sign should say ${wanted}`,
    ms,
  )
const slide = (page: Page, name: string, value: number) =>
  page.getByRole('slider', { name }).evaluate((element, value) => {
    ;(element as HTMLInputElement).value = String(value)
    element.dispatchEvent(new Event('input', { bubbles: true }))
  }, value)

describe('the lab', () => {
  test('four who type on a slow network, one of them offline, are apart, and then equal', async () => {
    const page = await enter('/lab?seed=7')
    await until(
      () => page.url(),
      (url) => new URL(url).searchParams.get('doc')?.startsWith('lab-') ?? false,
      'the address should name the document',
    )
    await slide(page, 'Delay each way', 600)
    await page.getByRole('switch', { name: 'Cleo offline' }).click()
    await page.getByRole('button', { name: 'Everybody types' }).click()
    await written(page, 120)
    await verdict(page, 'apart')
    expect(await page.locator('.lab-sign-title').textContent()).toMatch(/^Apart: \d+ edits under way$/)
    expect(await behind(page, 'Cleo')).toBeGreaterThan(10)
    expect(await text(page, 'Cleo')).not.toBe(await text(page, 'Ada'))
    expect(await seat(page, 'Cleo').locator('.is-behind').count()).toBe(3)

    await page.getByRole('button', { name: 'Stop typing' }).click()
    await seat(page, 'Davi').locator('.ProseMirror').click()
    await page.keyboard.press('Control+End')
    await page.keyboard.press('Enter')
    await page.keyboard.type('A person was here.')
    // Ada, Bo and Davi find together; Cleo's edits are with Cleo only.
    await until(
      () => Promise.all(['Ada', 'Bo', 'Davi'].map((name) => text(page, name))),
      (three) => new Set(three).size === 1 && three.every((text) => text.includes('A person was here.')),
      'the three with a network should agree',
    )
    await verdict(page, 'apart')

    await page.getByRole('switch', { name: 'Cleo offline' }).click()
    await verdict(page, 'equal', 20_000)
    const [first, ...others] = await texts(page)
    expect(first).toContain('A person was here.')
    for (const other of others) expect(other).toBe(first)
    for (const name of NAMES) expect(await behind(page, name)).toBe(0)
    expect(await page.locator('.lab-time').allTextContents()).not.toContain('–')
    await page.getByText('All four copies are equal', { exact: true }).waitFor({ state: 'attached' })

    const second = await enter(new URL(page.url()).pathname + new URL(page.url()).search)
    await until(
      () => texts(second),
      (all) => all.every((text) => text === first),
      'a second browser should see the same',
    )
  })

  test('a connection that keeps breaking loses nothing', async () => {
    const page = await enter()
    await slide(page, 'Delay each way', 50)
    await slide(page, 'Breaks', 20)
    await page.getByRole('button', { name: 'Everybody types' }).click()
    await until(
      () => page.locator('.lab-cut').count(),
      (count) => count >= 3,
      'connections should break',
      30_000,
    )
    await written(page, 60)
    await page.getByRole('button', { name: 'Stop typing' }).click()
    await slide(page, 'Breaks', 0)
    await verdict(page, 'equal', 30_000)
    const [first, ...others] = await texts(page)
    expect(first?.length).toBeGreaterThan(30)
    for (const other of others) expect(other).toBe(first)
  })

  test('writes into no other document, and throws its own away', async () => {
    const person = await Person.arrive(stage, 'Grace')
    here.push(person)
    await person.page.goto(`${stage.server.url}/lab?doc=budget`)
    await person.page.getByText('The lab writes only into its own scratch documents').waitFor()
    expect(await person.page.locator('.ProseMirror').count()).toBe(0)

    const page = await enter()
    await seat(page, 'Bo').locator('.ProseMirror').click()
    await page.keyboard.type('Scribble')
    expect(await page.locator('.lab-verdict').getAttribute('data-verdict')).toBe('apart')
    await verdict(page, 'equal', 20_000)
    expect(await texts(page)).toEqual(Array(4).fill('Scribble'))
    await page.getByRole('button', { name: /^Scratch document/ }).click()
    await page.getByRole('menuitem', { name: 'Move the document to trash' }).click()
    await page.getByText('This scratch document is in the trash.').waitFor()
    await page.getByRole('button', { name: 'Restore' }).click()
    await until(
      () => texts(page),
      (all) => all.length === 4 && all.every((text) => text === 'Scribble'),
      'the text should be back',
    )
  })

  test('is found from the list of documents', async () => {
    const person = await Person.arrive(stage, 'Grace')
    here.push(person)
    await person.page.goto(stage.server.url)
    await person.page.getByRole('link', { name: 'Lab', exact: true }).click()
    await person.page.getByRole('button', { name: 'Everybody types' }).waitFor()
  })
})

describe('the screen', () => {
  test.each(WIDTHS)('at %d px', async (width) => {
    const page = await enter('/lab?seed=3', showing(width))
    const picture = (state: string) => look(page, `lab-${state}`, { fullPage: width < 1440 })
    await picture('idle')
    if (width === 390) {
      await page.getByRole('button', { name: /^Network/ }).click()
      await page.locator('.lab-switch', { hasText: 'Bo' }).click()
    }
    await page.getByRole('switch', { name: 'Bo offline' }).click()
    await page.getByRole('button', { name: 'Everybody types' }).click()
    await written(page, 60)
    await page.getByRole('button', { name: 'Stop typing' }).click()
    await picture('apart')
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
    expect(overflow).toBeLessThanOrEqual(0)
    await page.getByRole('switch', { name: 'Bo offline' }).click()
    await verdict(page, 'equal', 20_000)
    await picture('equal')
  })
})
