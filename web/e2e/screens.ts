//! What the screens look like and how accessible they are: in each width and theme, for a person to look at, and with axe-core,
//! whose rules look for what keeps people with a disability out.
//!
//! `COSCRIBE_SHOTS` names a directory for pictures of all screens. Without it there are none, and each width and each theme is
//! looked at by axe, but not each pair of them.

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import type { BrowserContextOptions, Page, PageScreenshotOptions } from 'playwright-core'
import { expect } from 'vitest'

const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

export interface Screen {
  readonly width: 1440 | 820 | 390
  readonly theme: 'light' | 'dark'
}

const SHOTS = process.env.COSCRIBE_SHOTS
const HEIGHTS = { 1440: 900, 820: 1100, 390: 844 } as const
export const SCREENS: readonly Screen[] = [
  { width: 1440, theme: 'light' },
  { width: 820, theme: 'light' },
  { width: 390, theme: 'dark' },
  ...(SHOTS
    ? ([
        { width: 1440, theme: 'dark' },
        { width: 820, theme: 'dark' },
        { width: 390, theme: 'light' },
      ] as const)
    : []),
]

/** Settings of a browser context that shows such a screen, still. */
export const showing = ({ width, theme }: Screen): BrowserContextOptions => ({
  viewport: { width, height: HEIGHTS[width] },
  colorScheme: theme,
  reducedMotion: 'reduce',
  hasTouch: width === 390,
})

/** A picture for a person to look at, where pictures are wanted. */
export async function shoot(page: Page, label: string, options: PageScreenshotOptions = {}): Promise<void> {
  await page.evaluate(() => document.fonts.ready)
  if (SHOTS) await page.screenshot({ path: join(SHOTS, `${label}.png`), ...options })
}

/** Fails with what axe finds on the page as it is now; `label` says which screen that is. */
export async function check(page: Page, label: string): Promise<void> {
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
