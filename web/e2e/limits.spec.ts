//! The limits of the real server, as a person meets them. Skipped while no binary is built.

import { describe, expect, test } from 'vitest'
import { binary, freshName, Person, pillSays, setStage, until } from './harness'

const LIMITS = ['--max-message-bytes', '16KiB', '--max-document-bytes', '32KiB']

describe.skipIf(binary() === null)('a real limit', () => {
  const stage = setStage('any', LIMITS)

  async function paste(person: Person, length: number): Promise<void> {
    await person.editor.focus()
    await person.page.keyboard.press('Control+End')
    await person.editor.evaluate((element, length) => {
      const data = new DataTransfer()
      data.setData('text/plain', 'word '.repeat(length / 5))
      element.dispatchEvent(
        new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true }),
      )
    }, length)
  }

  test.each([
    ['one message', [20_000]],
    ['the document', [12_000, 12_000, 12_000]],
  ])('%s: the last paste is refused, undone, and the rest is saved', async (_, pastes) => {
    const name = freshName('limit')
    const ada = await Person.arrive(stage, 'Ada')
    let sockets = 0
    ada.page.on('websocket', () => sockets++)
    await ada.open(name)
    await ada.write('Start. ')
    await pillSays(ada, 'saved')
    for (const [at, length] of pastes.entries()) {
      await paste(ada, length)
      await pillSays(ada, at === pastes.length - 1 ? 'refused' : 'saved')
    }
    const kept = (await ada.text()).length - (pastes.at(-1) ?? 0)
    const before = sockets
    expect(before, 'no loop').toBeLessThanOrEqual(2)
    await ada.page.locator('.notice-danger').getByRole('button', { name: 'Undo' }).click()
    await pillSays(ada, 'saved')
    const bo = await Person.arrive(stage, 'Bo')
    await bo.open(name)
    await until(
      async () => (await bo.text()).length,
      (length) => length === kept,
      `${kept} letters are saved`,
    )
    expect(ada.problems).toEqual([])
    await ada.leave()
    await bo.leave()
  })
})
