//! What the screens look like and how accessible they are: in each width and theme, for a person to look at, and with axe-core,
//! whose rules look for what keeps people with a disability out.
//!
//! `COSCRIBE_SHOTS` names a directory for pictures of all screens; without it there are none.

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import type { BrowserContextOptions, Page, PageScreenshotOptions } from 'playwright-core'
import { expect } from 'vitest'

const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

export type Width = 1440 | 820 | 390
export const WIDTHS: readonly Width[] = [1440, 820, 390]

const SHOTS = process.env.COSCRIBE_SHOTS
const HEIGHTS = { 1440: 900, 820: 1100, 390: 844 } as const

/** Settings of a browser context that shows screens of this width, still. */
export const showing = (width: Width): BrowserContextOptions => ({
  viewport: { width, height: HEIGHTS[width] },
  reducedMotion: 'reduce',
  hasTouch: width === 390,
})

/** Looks at the page as it is now, light and dark: axe must find nothing, and where pictures are wanted there is one of each. */
export async function look(page: Page, screen: string, options: PageScreenshotOptions = {}): Promise<void> {
  for (const theme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme: theme, reducedMotion: 'reduce' })
    const label = `${screen}-${page.viewportSize()?.width}-${theme}`
    // The new colours are painted with the frame after the next.
    await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))))
    await page.evaluate(() => document.fonts.ready)
    if (SHOTS) await page.screenshot({ path: join(SHOTS, `${label}.png`), ...options })
    await check(page, label)
  }
}

async function check(page: Page, label: string): Promise<void> {
  await page.evaluate(axeSource)
  const violations = await page.evaluate(async () => {
    const axe = (
      window as unknown as {
        axe: {
          run(
            context: unknown,
            options: unknown,
          ): Promise<{ violations: { id: string; nodes: { html: string; failureSummary: string }[] }[] }>
        }
      }
    ).axe
    const { violations } = await axe.run(document, { resultTypes: ['violations'] })
    return violations.map(
      ({ id, nodes }) =>
        `${id}: ${nodes.map(({ html, failureSummary }) => `${html.slice(0, 160)} ${failureSummary}`).join(' | ')}`,
    )
  })
  expect(violations, label).toEqual([])
}
