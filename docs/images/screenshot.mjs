//! Takes the pictures of the README: two people write in one document.
//!
//!   npm --prefix web ci
//!   cargo run -- --listen 127.0.0.1:8080 --data-dir "$(mktemp -d)" &
//!   node docs/images/screenshot.mjs http://127.0.0.1:8080

import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

const require = createRequire(new URL('../../web/package.json', import.meta.url))
const { chromium } = require('playwright-core')

const server = process.argv[2] ?? 'http://127.0.0.1:8080'
const path = (name) => fileURLToPath(new URL(name, import.meta.url))
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--hide-scrollbars'],
})

/** Each person in a context of their own, so that all they share is the server. */
async function arrive(name, hue) {
  const context = await browser.newContext({
    viewport: { width: 1440, height: 820 },
    deviceScaleFactor: 2,
    colorScheme: 'light',
    reducedMotion: 'reduce',
  })
  await context.addInitScript((identity) => localStorage.setItem('coscribe.identity', identity), JSON.stringify({ name, hue }))
  const page = await context.newPage()
  await page.goto(`${server}/d/release-plan`)
  await page.locator('.ProseMirror').waitFor()
  return page
}

/** Types paragraphs; Markdown at the start of a line becomes a block. */
async function write(page, lines) {
  await page.locator('.ProseMirror').focus()
  for (const [place, line] of lines.entries()) {
    if (place > 0) await page.keyboard.press('Enter')
    await page.keyboard.type(line)
  }
}

const saved = (page) => page.locator('.pill[data-state="saved"]').waitFor()

const ada = await arrive('Ada Okafor', 0)
const bo = await arrive('Bo Lindqvist', 5)

await ada.getByRole('textbox', { name: 'Title' }).fill('Release plan: October')
await write(ada, [
  '## What changes for people',
  'Documents open twice as fast, and everything typed offline is merged when the laptop is back. The pill at the top says **Saved** only when the words are on the server’s disk.',
  '## Before Thursday',
  '[ ] Rehearse the restore from last night’s backup',
  'Read the migration notes aloud, once, to somebody new',
  'Tell support which two settings have moved',
])
await ada.keyboard.press('Enter')
await ada.keyboard.press('Enter')
await write(ada, ['## Open question', '> If it is not written down here, it was not decided.', ''])
await ada.keyboard.press('Enter')
await ada.keyboard.type('Do we announce on Thursday evening, or wait until Friday morning so that ')
await saved(ada)

// Bo ticks off a task and has selected some words, as Ada's screen shows.
await bo.getByText('Do we announce').waitFor()
await bo.locator('.ProseMirror input[type="checkbox"]').first().click()
await bo.getByText('Documents open twice as fast').click({ position: { x: 60, y: 10 } })
await bo.keyboard.press('Home')
for (let word = 0; word < 5; word++) await bo.keyboard.press('Control+Shift+ArrowRight')
await saved(bo)
await ada.locator('.remote-selection').first().waitFor()
await ada.keyboard.type('the first questions find us awake?')
await saved(ada)

await ada.screenshot({ path: path('editor.png') })
await ada.emulateMedia({ colorScheme: 'dark' })
await ada.screenshot({ path: path('editor-dark.png') })
await browser.close()
