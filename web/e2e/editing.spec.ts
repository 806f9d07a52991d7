//! One person at the keyboard: input rules, shortcuts, links, paste, tasks, and the home page.

import { afterEach, describe, expect, test } from 'vitest'
import { freshName, Person, pillSays, setStage, until } from './harness'

const stage = setStage()
let ada: Person
afterEach(async () => {
  expect(ada.problems).toEqual([])
  await ada.leave()
})

async function blank(): Promise<Person> {
  ada = await Person.arrive(stage, 'Ada')
  await ada.open(freshName('editing'))
  await ada.editor.focus()
  return ada
}

describe('typing', () => {
  test.each([
    ['# T', '<h1>T</h1>'],
    ['### T', '<h3>T</h3>'],
    ['- a', '<ul><li><p>a</p></li></ul>'],
    ['1. a', '<ol><li><p>a</p></li></ol>'],
    ['> q', '<blockquote><p>q</p></blockquote>'],
    ['``` c', '<pre><code>c</code></pre>'],
    ['**b** c', '<strong>b</strong> c'],
    ['*i* c', '<em>i</em> c'],
    ['~~s~~ c', '<s>s</s> c'],
    ['`c` d', '<code>c</code> d'],
    ['--- a', '<hr'],
    ['https://example.org/x. ', 'https://example.org/x'],
    ['see https://example.org/x now', 'href="https://example.org/x">https://example.org/x</a> now'],
    ['[x] t', 'data-checked="true"'],
  ])('%j becomes %j', async (typed, html) => {
    await blank()
    await ada.page.keyboard.type(typed)
    await until(
      () => ada.html(),
      (found) => found.replace(/ (contenteditable|draggable)="\w+"/g, '').includes(html),
      html,
    )
  })

  test('shortcuts', async () => {
    await blank()
    const { keyboard } = ada.page
    for (const [keys, html] of [
      ['Control+Alt+2', '<h2'],
      ['Control+Alt+0', '<p '],
      ['Control+Shift+7', '<ol>'],
      ['Control+Shift+8', '<ul>'],
      ['Control+Shift+9', 'taskList'],
    ] as const) {
      await keyboard.press(keys)
      await until(
        () => ada.html(),
        (found) => found.includes(html),
        `${keys} gives ${html}`,
      )
    }
    await keyboard.type('task')
    await keyboard.press('Control+Enter')
    await until(
      () => ada.html(),
      (found) => found.includes('data-checked="true"'),
      'Ctrl+Enter ticks',
    )
    await keyboard.press('Shift+Home')
    await ada.settle()
    for (const [keys, tag] of [
      ['Control+b', '<strong>'],
      ['Control+i', '<em>'],
      ['Control+u', '<u>'],
      ['Control+Shift+x', '<s>'],
    ] as const) {
      await keyboard.press(keys)
      await until(
        () => ada.html(),
        (found) => found.includes(tag),
        `${keys} gives ${tag}`,
      )
    }
    await keyboard.press('Control+\\')
    await until(
      () => ada.html(),
      (found) => !/<(strong|em|u|s)>/.test(found),
      'cleared',
    )
  })

  test('blocks move and double', async () => {
    await blank()
    const { keyboard } = ada.page
    await keyboard.type('one\ntwo\nthree')
    await keyboard.press('Alt+ArrowUp')
    await until(
      () => ada.text(),
      (text) => text === 'one\nthree\ntwo',
      'up',
    )
    await keyboard.press('Alt+ArrowDown')
    await until(
      () => ada.text(),
      (text) => text === 'one\ntwo\nthree',
      'down',
    )
    await keyboard.press('Control+d')
    await until(
      () => ada.text(),
      (text) => text === 'one\ntwo\nthree\nthree',
      'doubled',
    )
    await keyboard.type('!')
    await until(
      () => ada.text(),
      (text) => text === 'one\ntwo\nthree\nthree!',
      'the caret follows',
    )
  })
})

describe('links', () => {
  test('Ctrl+K links the selection, edits and removes; bad schemes are refused', async () => {
    await blank()
    const { keyboard } = ada.page
    await keyboard.type('a word')
    await keyboard.press('Control+Shift+ArrowLeft')
    await ada.settle()
    await keyboard.press('Control+k')
    const field = ada.page.getByRole('textbox', { name: 'Link address' })
    await field.fill('javascript:alert(1)')
    await field.press('Enter')
    await ada.page.getByRole('alert').getByText('Only web, e-mail and telephone links').waitFor()
    expect(await ada.html()).not.toContain('<a')
    await field.fill('example.org')
    await field.press('Enter')
    await until(
      () => ada.html(),
      (html) => html.includes('href="https://example.org"'),
      'linked',
    )
    await keyboard.press('Control+k')
    expect(await field.inputValue()).toBe('https://example.org')
    await ada.page.getByRole('button', { name: 'Remove link' }).click()
    await until(
      () => ada.html(),
      (html) => !html.includes('<a'),
      'removed',
    )
  })
})

test('pasting from other programs is clean and breaks no policy', async () => {
  await blank()
  await ada.editor.evaluate((element) => {
    const data = new DataTransfer()
    data.setData(
      'text/html',
      `<html><head><style>p{color:red}</style></head><body><!--StartFragment--><b style="font-weight:normal" id="docs-internal-guid-7"><h2 style="color:red">Head</h2>
       <p class="MsoNormal" style='margin:0'><span style="font-weight:700;color:#123">bold</span> <a href="javascript:alert(1)">bad</a> <a href="https://ok.example">good</a><script>alert(1)</script></p></b><!--EndFragment--></body></html>`,
    )
    element.dispatchEvent(
      new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true }),
    )
  })
  const html = await until(
    () => ada.html(),
    (html) => html.includes('Head'),
    'pasted',
  )
  expect(html).toContain('<h2>Head</h2>')
  expect(html).toContain('<strong>bold</strong>')
  expect(html).toContain('https://ok.example')
  expect(html).not.toMatch(/javascript:|style=|script|red/)
})

test('tasks are ticked with the mouse and have a name', async () => {
  await blank()
  await ada.page.keyboard.type('[ ] water the plants')
  await ada.page.getByRole('checkbox', { name: 'Open task: water the plants' }).check()
  await until(
    () => ada.html(),
    (html) => html.includes('data-checked="true"'),
    'ticked',
  )
})

test('the toolbar is one tab stop with arrow keys inside', async () => {
  await blank()
  await ada.page.keyboard.type('x')
  await ada.page.keyboard.press('Alt+F10')
  await until(
    () => ada.page.evaluate(() => document.activeElement?.getAttribute('aria-label')),
    (label) => label === 'Undo',
    'first',
  )
  for (let step = 0; step < 3; step++) await ada.page.keyboard.press('ArrowRight')
  expect(await ada.page.evaluate(() => document.activeElement?.getAttribute('aria-label'))).toBe('Bold')
  await ada.page.keyboard.press('Enter')
  await ada.page.locator('.ProseMirror:focus').waitFor()
  await ada.page.keyboard.type('bold')
  await until(
    () => ada.html(),
    (html) => html.includes('<strong>bold</strong>'),
    'bold',
  )
})

test('name and colour are chosen, shown to others and kept', async () => {
  await blank()
  await ada.page.getByRole('button', { name: /\(you\)/ }).click()
  await ada.page.getByRole('textbox', { name: 'Your name' }).fill('Countess')
  await ada.page.getByRole('radio', { name: 'Colour 5' }).check()
  await ada.page.getByRole('button', { name: 'Done' }).click()
  await ada.page.getByRole('button', { name: 'Countess (you)' }).waitFor()
  await ada.page.reload()
  await ada.page.getByRole('button', { name: 'Countess (you)' }).waitFor()
})

describe('home', () => {
  test('new, rename, search, trash with undo, restore, delete for good', async () => {
    ada = await Person.arrive(stage, 'Ada')
    const { page } = ada
    const title = `Marsh ${Date.now()}`
    await page.goto(stage.server.url)
    await page.getByRole('button', { name: 'New document' }).first().waitFor()
    await page.keyboard.press('n')
    await ada.editor.waitFor()
    await ada.write('x')
    await pillSays(ada, 'saved')
    await page.getByRole('link', { name: 'All documents' }).click()

    await page.getByRole('button', { name: 'Actions for Untitled' }).first().click()
    await page.getByRole('menuitem', { name: 'Rename' }).click()
    const field = page.getByRole('textbox', { name: 'New title of Untitled' })
    await field.fill(title)
    await field.press('Enter')
    await page.getByRole('link', { name: title }).waitFor()

    await page.keyboard.press('Tab')
    await page.getByRole('searchbox').fill('no such thing anywhere')
    await page.getByText('No title contains').waitFor()
    await page.getByRole('searchbox').fill(title.toUpperCase())
    await page.getByRole('link', { name: title }).waitFor()
    await page.getByRole('link', { name: title }).click()
    await until(
      () => ada.title.inputValue(),
      (value) => value === title,
      'the title in the document',
    )
    await page.goBack()

    const trash = async () => {
      await page.getByRole('button', { name: `Actions for ${title}` }).click()
      await page.getByRole('menuitem', { name: 'Move to trash' }).click()
      await page.getByRole('link', { name: title }).waitFor({ state: 'detached' })
    }
    await trash()
    await page.getByRole('button', { name: 'Undo' }).click()
    await page.getByRole('link', { name: title }).waitFor()
    await trash()
    await page.getByRole('navigation').getByRole('link', { name: 'Trash' }).click()
    const row = page.getByRole('listitem').filter({ hasText: title })
    await row.getByRole('button', { name: 'Restore' }).click()
    await row.waitFor({ state: 'detached' })
    await page.getByRole('navigation').getByRole('link', { name: 'Documents' }).click()
    await trash()
    await page.getByRole('navigation').getByRole('link', { name: 'Trash' }).click()
    await row.getByRole('button', { name: /Delete for good/ }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click()
    await row.getByRole('button', { name: /Delete for good/ }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Delete for good' }).click()
    await row.waitFor({ state: 'detached' })
  })

  test('who is in a document shows in the list', async () => {
    const other = await Person.arrive(stage, 'Bo Here')
    ada = await Person.arrive(stage, 'Ada')
    await other.open(freshName('presence'))
    await other.write('x')
    await pillSays(other, 'saved')
    await ada.page.goto(stage.server.url)
    await ada.page.getByRole('img', { name: /Bo Here is here now/ }).waitFor({ timeout: 10_000 })
    await other.leave()
    await ada.page.getByRole('img', { name: /Bo Here/ }).waitFor({ state: 'detached', timeout: 15_000 })
  })
})
