//! How long a step through the history of a long document takes in Chromium, from the input to the painted frame: of 100,000
//! edits in 2,000 paragraphs by three people in one session, so that each step shows all of the document as new. Says the
//! figures; `npm run bench`, with a server as in `e2e/harness.ts`.

import * as decoding from 'lib0/decoding'
import * as encoding from 'lib0/encoding'
import type { Page } from 'playwright-core'
import { expect, test } from 'vitest'
import WebSocket from 'ws'
import * as Y from 'yjs'
import { setStage } from '../e2e/harness'
import { dice } from '../test/dice'

const EDITS = 100_000
const PARAGRAPHS = 2_000
const STEPS = 60
const SYNC = 0
const UPDATE = 2

const stage = setStage('any', ['--durability', 'process'])

/** Sends updates one by one: each is stored before the next, so that it is an edit of its own. */
async function writer(url: string): Promise<(update: Uint8Array) => Promise<void>> {
  const socket = new WebSocket(url)
  socket.binaryType = 'arraybuffer'
  let stored = () => {}
  socket.on('message', (data: ArrayBuffer) => {
    const message = decoding.createDecoder(new Uint8Array(data))
    if (decoding.readVarUint(message) === SYNC && decoding.readVarUint(message) === UPDATE) stored()
  })
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject))
  return (update) => {
    const message = encoding.createEncoder()
    encoding.writeVarUint(message, SYNC)
    encoding.writeVarUint(message, UPDATE)
    encoding.writeVarUint8Array(message, update)
    return new Promise((resolve) => {
      stored = resolve
      socket.send(encoding.toUint8Array(message))
    })
  }
}

/** Each types some forty letters here and there, takes some back, and goes on elsewhere, mostly in a new paragraph. */
async function write(name: string): Promise<void> {
  const random = dice(7)
  const url = `${stage.server.url.replace('http', 'ws')}/ws/${name}`
  const writers = [await writer(url), await writer(url), await writer(url)]
  const doc = new Y.Doc()
  const body = doc.getXmlFragment('default')
  let update = new Uint8Array()
  doc.on('update', (made: Uint8Array) => (update = made as typeof update))
  let who = 0
  let text = new Y.XmlText()
  for (let edit = 0; edit < EDITS; edit++) {
    if (edit % 240 === 0) {
      who = random(writers.length)
      doc.clientID = 1_000 + who
    }
    const { length } = text
    if (edit % 40 === 0) {
      if (body.length < PARAGRAPHS && random(4) > 0) {
        text = new Y.XmlText('the ')
        const paragraph = new Y.XmlElement('paragraph')
        paragraph.insert(0, [text])
        body.insert(random(body.length + 1), [paragraph])
      } else {
        const paragraph = body.get(random(body.length)) as Y.XmlElement
        text = paragraph.get(0) as Y.XmlText
        text.insert(text.length, ' ')
      }
    } else if (edit % 13 === 0) text.delete(length - 1, 1)
    else text.insert(length, 'abcdefghij klmnop'[random(17)] as string)
    await writers[who]?.(update)
  }
}

/** Makes an input some sixty times; the milliseconds that each took, sorted. */
const timed = (page: Page, input: { readonly key: string } | { readonly by: number }) =>
  page.evaluate(
    async ([input, steps]) => {
      const range = document.querySelector('.scrubber-range') as HTMLInputElement
      const prose = document.querySelector('.history-prose') as HTMLElement
      const took: number[] = []
      for (let step = 0; step < steps; step++) {
        const begun = performance.now()
        const painted = new Promise<number>((resolve) => {
          const observer = new MutationObserver(() => {
            observer.disconnect()
            requestAnimationFrame(() => {
              const { port1, port2 } = new MessageChannel()
              port1.onmessage = () => resolve(performance.now() - begun)
              port2.postMessage(0)
            })
          })
          observer.observe(prose, { childList: true, subtree: true, characterData: true })
        })
        if ('key' in input) {
          const key = new KeyboardEvent('keydown', { key: input.key, bubbles: true, cancelable: true })
          document.body.dispatchEvent(key)
        } else {
          range.value = String(Number(range.value) + input.by)
          range.dispatchEvent(new Event('input', { bubbles: true }))
        }
        took.push(await painted)
        // As fast as a held key repeats.
        await new Promise((resolve) => setTimeout(resolve, 60))
      }
      return took.sort((one, other) => one - other)
    },
    [input, STEPS] as const,
  )

test('a step of the scrubber', async () => {
  if (stage.server.isStandIn) throw new Error('There is no server to measure: cargo build --release')
  await write('long')
  const context = await stage.browser.newContext({ viewport: { width: 1440, height: 900 } })
  const page = await context.newPage()
  await page.goto(`${stage.server.url}/d/long?history=${EDITS * 0.6}`)
  await page.locator('.history-prose p').first().waitFor()
  const inputs = [
    ['the next edit', { key: 'ArrowRight' }],
    ['the one before', { key: 'ArrowLeft' }],
    ['dragged by 200', { by: 200 }],
    ['dragged back by 200', { by: -200 }],
  ] as const
  for (const [name, input] of inputs) {
    const took = await timed(page, input)
    const at = (share: number) => `${(took[Math.floor(took.length * share)] ?? Number.NaN).toFixed(0)} ms`
    console.log(`${name}: median ${at(0.5)}, three quarters within ${at(0.75)}, 95 % within ${at(0.95)}`)
    expect(took).toHaveLength(STEPS)
  }
  await context.close()
})
