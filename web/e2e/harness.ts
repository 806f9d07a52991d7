//! Starts the server and the browser for the tests, and plays persons.
//!
//! The server: `COSCRIBE_URL` (one that runs already), else `COSCRIBE_BIN`, else `target/release/coscribe` when it
//! exists, else the stand-in in `dev/`, which is always used by the tests that need a server that misbehaves.

import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  type Browser,
  type BrowserContext,
  type BrowserContextOptions,
  chromium,
  type Locator,
  type Page,
} from 'playwright-core'
import { afterAll, beforeAll } from 'vitest'

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))
const CHROMIUM_ARGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]
const START_MS = 20_000

export interface Server {
  readonly url: string
  /** Only the stand-in can be told to misbehave. */
  readonly isStandIn: boolean
  stop(): Promise<void>
}

export function binary(): string | null {
  const named = process.env.COSCRIBE_BIN
  if (named) return named
  const built = here('../../target/release/coscribe')
  return existsSync(built) ? built : null
}

/** `args` go to the real server; with them a server that runs already is not used. */
export async function startServer(
  kind: 'any' | 'stand-in' = 'any',
  args: readonly string[] = [],
): Promise<Server> {
  const running = process.env.COSCRIBE_URL
  if (running && kind === 'any' && args.length === 0)
    return { url: running.replace(/\/$/, ''), isStandIn: false, stop: async () => {} }
  const bin = kind === 'any' ? binary() : null
  // The server refuses to start on a variable of its prefix that is no setting, such as those that steer the tests.
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith('COSCRIBE_')),
  )
  const data = mkdtempSync(join(tmpdir(), 'coscribe-e2e-'))
  const child = bin
    ? spawn(bin, ['serve', '--listen', '127.0.0.1:0', '--data-dir', data, ...args], {
        stdio: ['ignore', 'pipe', 'pipe'],
        env,
      })
    : spawn(process.execPath, [here('../dev/server.mjs'), '--port', '0'], {
        stdio: ['ignore', 'pipe', 'pipe'],
        env,
      })
  const url = await printedAddress(child)
  return {
    url,
    isStandIn: !bin,
    stop: async () => {
      const ended = new Promise((resolve) => child.once('exit', resolve))
      child.kill('SIGTERM')
      await ended
      rmSync(data, { recursive: true, force: true })
    },
  }
}

function printedAddress(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let output = ''
    const timer = setTimeout(() => reject(new Error(`the server printed no address:\n${output}`)), START_MS)
    const read = (chunk: Buffer) => {
      output += chunk.toString()
      const address = /https?:\/\/[\w.[\]:]+:\d+/.exec(output)?.[0]
      if (!address) return
      clearTimeout(timer)
      resolve(address)
    }
    child.stdout?.on('data', read)
    child.stderr?.on('data', read)
    child.once('exit', (code) => {
      clearTimeout(timer)
      reject(new Error(`the server ended with ${code}:\n${output}`))
    })
  })
}

export const launchBrowser = (): Promise<Browser> =>
  chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: CHROMIUM_ARGS })

/** What the tests of a spec play on. */
export interface Stage {
  readonly server: Server
  readonly browser: Browser
}

/** Has a server and a browser, which are there from before the first test until after the last; see `startServer`. */
export function setStage(...server: Parameters<typeof startServer>): Stage {
  const stage = {} as { -readonly [part in keyof Stage]: Stage[part] }
  beforeAll(async () => {
    stage.server = await startServer(...server)
    stage.browser = await launchBrowser()
  })
  afterAll(async () => {
    await stage.browser?.close()
    await stage.server?.stop()
  })
  return stage
}

/** Turns the stand-in's knobs; see `dev/server.mjs`. */
export async function knobs(server: Server, change: Record<string, unknown>): Promise<void> {
  await fetch(`${server.url}/dev/knobs`, { method: 'POST', body: JSON.stringify(change) })
}

let documents = 0
/** A name that no other test uses. */
export const freshName = (label: string) =>
  `${label}-${process.pid}-${Date.now().toString(36)}-${documents++}`

/** One person: a browser context of their own, so that two never share storage or a BroadcastChannel. */
export class Person {
  private constructor(
    readonly context: BrowserContext,
    readonly page: Page,
    readonly url: string,
    /** Violations of the content policy and uncaught errors; every test ends by looking here. */
    readonly problems: string[],
  ) {}

  static async arrive(
    { browser, server }: Stage,
    name: string,
    options: BrowserContextOptions = {},
  ): Promise<Person> {
    const context = await browser.newContext({ viewport: { width: 1200, height: 800 }, ...options })
    await context.addInitScript((name) => {
      const identity = JSON.stringify({
        name,
        hue: [...name].reduce((sum, letter) => sum + letter.charCodeAt(0), 0) % 12,
      })
      if (!localStorage.getItem('coscribe.identity')) localStorage.setItem('coscribe.identity', identity)
      addEventListener('securitypolicyviolation', (event) => {
        console.error(
          `CSP ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`,
        )
      })
    }, name)
    const page = await context.newPage()
    const problems: string[] = []
    page.on('pageerror', (error) => problems.push(`uncaught: ${error.stack ?? error.message}`))
    page.on('console', (message) => {
      const text = message.text()
      if (/CSP|Content Security Policy/i.test(text)) problems.push(text)
    })
    return new Person(context, page, server.url, problems)
  }

  async open(document: string): Promise<void> {
    await this.page.goto(`${this.url}/d/${encodeURIComponent(document)}`)
    await this.editor.waitFor()
  }

  get editor(): Locator {
    return this.page.locator('.ProseMirror')
  }

  get title(): Locator {
    return this.page.getByRole('textbox', { name: 'Title' })
  }

  get pill(): Locator {
    return this.page.locator('.pill')
  }

  tool(name: string): Locator {
    return this.page.getByRole('toolbar').getByRole('button', { name, exact: true })
  }

  async write(text: string): Promise<void> {
    await this.editor.focus()
    await this.page.keyboard.press('Control+End')
    await this.page.keyboard.type(text)
  }

  /** The text as the person sees it, without other people's carets. */
  text(): Promise<string> {
    return this.editor.evaluate((element) => {
      const copy = element.cloneNode(true) as HTMLElement
      for (const caret of copy.querySelectorAll('.caret')) caret.remove()
      return [...copy.children].map((block) => block.textContent).join('\n')
    })
  }

  html(): Promise<string> {
    return this.editor.evaluate((element) => {
      const copy = element.cloneNode(true) as HTMLElement
      for (const caret of copy.querySelectorAll('.caret')) caret.remove()
      return copy.innerHTML
    })
  }

  /** Two frames: by then the editor knows of a selection that a key has just changed. */
  async settle(): Promise<void> {
    await this.page.evaluate(
      () =>
        new Promise<void>((resolve) => requestAnimationFrame(() => requestAnimationFrame(() => resolve()))),
    )
  }

  async leave(): Promise<void> {
    await this.context.close()
  }
}

/** Waits for a condition; the message says what was there instead. */
export async function until<T>(
  read: () => Promise<T> | T,
  holds: (value: T) => boolean,
  what: string,
  ms = 20_000,
): Promise<T> {
  const end = Date.now() + ms
  for (;;) {
    const value = await read()
    if (holds(value)) return value
    if (Date.now() > end) throw new Error(`${what}; last seen: ${JSON.stringify(value)}`)
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
}

/** "Saved" stays for the time of a quick save, so it counts here only when no edit is on its way. */
export const pillSays = (person: Person, state: string, ms?: number) =>
  until(
    () => person.pill.evaluate(({ dataset }) => ({ says: dataset.state, unsaved: dataset.unsaved })),
    ({ says, unsaved }) => says === state && (state !== 'saved' || unsaved === '0'),
    `the pill should say ${state}`,
    ms,
  )

/** Presses "Try now". The page may try by itself in the same moment, and then the button is gone, and soon all is saved. */
export const tryNow = (person: Person) =>
  person.page
    .getByRole('button', { name: 'Try now' })
    .click({ timeout: 2_000 })
    .catch(() => pillSays(person, 'saved'))
