//! STAND-IN, TO BE DELETED when the server has these routes: a moment as HTML, the differences between two as HTML, and
//! restoring. It makes them of what the server has already, the document as a Yjs update at any moment.

import type { BrowserContext, Route } from 'playwright-core'
import WebSocket from 'ws'
import { WebsocketProvider } from 'y-websocket'
import * as Y from 'yjs'
import { until } from './harness'

const escaped = (text: string) =>
  text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;').replace(/"/g, '&quot;')

const MARKS: readonly (readonly [string, string])[] = [
  ['bold', 'strong'],
  ['italic', 'em'],
  ['underline', 'u'],
  ['strike', 's'],
  ['code', 'code'],
]
const BLOCKS: Readonly<Record<string, string>> = {
  paragraph: 'p',
  blockquote: 'blockquote',
  bulletList: 'ul',
  orderedList: 'ol',
  listItem: 'li',
  taskItem: 'li',
}

type Child = Y.XmlElement | Y.XmlText | Y.XmlHook

function html(node: Child): string {
  if (node instanceof Y.XmlText) {
    const runs = node.toDelta() as { insert: unknown; attributes?: Record<string, { href?: string }> }[]
    return runs
      .map(({ insert, attributes = {} }) => {
        let text = escaped(String(insert))
        for (const [mark, tag] of MARKS) if (attributes[mark]) text = `<${tag}>${text}</${tag}>`
        return attributes.link ? `<a href="${escaped(attributes.link.href ?? '')}">${text}</a>` : text
      })
      .join('')
  }
  if (!(node instanceof Y.XmlElement)) return ''
  const inner = (node.toArray() as Child[]).map(html).join('')
  const name = node.nodeName
  const attributes = node.getAttributes() as { level?: number; checked?: boolean }
  if (name === 'heading') return `<h${attributes.level}>${inner}</h${attributes.level}>`
  if (name === 'codeBlock') return `<pre><code>${inner}</code></pre>`
  if (name === 'horizontalRule') return '<hr>'
  if (name === 'hardBreak') return '<br>'
  if (name === 'taskList') return `<ul class="tasks">${inner}</ul>`
  if (name === 'taskItem') return `<li data-checked="${attributes.checked === true}">${inner}</li>`
  const tag = BLOCKS[name] ?? 'div'
  return `<${tag}>${inner}</${tag}>`
}

const blocksOf = (doc: Y.Doc) => (doc.getXmlFragment('default').toArray() as Child[]).map(html)

/** Blocks that are the same from both ends; between them, one for one while there are two, plain text as text. */
function difference(before: string[], after: string[], author: string): string {
  const by = `data-author="${author}"`
  let start = 0
  while (start < before.length && start < after.length && before[start] === after[start]) start++
  let end = 0
  const most = Math.min(before.length, after.length) - start
  while (end < most && before.at(-1 - end) === after.at(-1 - end)) end++
  const removed = before.slice(start, before.length - end)
  const added = after.slice(start, after.length - end)
  const mark = (block: string, change: string) => block.replace(/^<\w+/, `$& data-change="${change}" ${by}`)
  const changed = Array.from({ length: Math.max(removed.length, added.length) }, (_, at) => {
    const [old, now] = [removed[at], added[at]]
    if (old === undefined) return mark(now ?? '', 'added')
    if (now === undefined) return mark(old, 'removed')
    const plain = /^<(\w+)>([^<]*)<\/\1>$/
    const [from, to] = [plain.exec(old), plain.exec(now)]
    if (!from || !to || from[1] !== to[1]) return mark(old, 'removed') + mark(now, 'added')
    const words = between(from[2] ?? '', to[2] ?? '')
    const del = words.removed && `<del ${by}>${words.removed}</del>`
    const ins = words.added && `<ins ${by}>${words.added}</ins>`
    return `<${to[1]}>${words.head}${del}${ins}${words.tail}</${to[1]}>`
  })
  return [...after.slice(0, start), ...changed, ...after.slice(after.length - end)].join('')
}

function between(before: string, after: string) {
  const words = (text: string) => text.split(/(?<= )/)
  const [a, b] = [words(before), words(after)]
  let start = 0
  while (start < a.length && start < b.length && a[start] === b[start]) start++
  let end = 0
  while (end < Math.min(a.length, b.length) - start && a.at(-1 - end) === b.at(-1 - end)) end++
  return {
    head: b.slice(0, start).join(''),
    removed: a.slice(start, a.length - end).join(''),
    added: b.slice(start, b.length - end).join(''),
    tail: b.slice(b.length - end).join(''),
  }
}

/** What the stand-in was asked for, for a test to look at. */
export interface HistoryStub {
  /** Set: every moment and difference fails with this status. */
  failing: number | null
  moments: number
  restores: string[]
}

export async function standInForHistory(context: BrowserContext, url: string): Promise<HistoryStub> {
  const stub: HistoryStub = { failing: null, moments: 0, restores: [] }
  const at = async (doc: string, seq: number | string): Promise<Y.Doc> => {
    const response = await fetch(`${url}/api/docs/${doc}/at?seq=${seq}&as=yjs`)
    if (!response.ok) throw new Error(`${response.status} ${await response.text()}`)
    const replica = new Y.Doc()
    Y.applyUpdate(replica, new Uint8Array(await response.arrayBuffer()))
    return replica
  }
  const version = async (doc: string, id: string) =>
    (await (await fetch(`${url}/api/docs/${doc}/versions/${id}`)).json()) as {
      seq: number
      authors: { id: string }[]
    }
  const answer = async (route: Route, make: () => Promise<string>) => {
    stub.moments++
    if (stub.failing !== null)
      return route.fulfill({
        status: stub.failing,
        contentType: 'application/problem+json',
        body: JSON.stringify({ code: 'not-storing', title: 'Busy', detail: 'The disk is being checked.' }),
      })
    try {
      await route.fulfill({ contentType: 'text/html; charset=utf-8', body: await make() })
    } catch (error) {
      // The page has aborted the request meanwhile.
      if (!String(error).includes('closed')) throw error
    }
  }
  await context.route(/\/api\/docs\/[^/]+\/at\?.*as=html/, (route) => {
    const address = new URL(route.request().url())
    const doc = address.pathname.split('/')[3] ?? ''
    return answer(route, async () => blocksOf(await at(doc, address.searchParams.get('seq') ?? '0')).join(''))
  })
  await context.route(/\/api\/docs\/[^/]+\/versions\/[^/]+\/diff\/[^/]+\?as=html/, (route) => {
    const [, , , doc = '', , from = '', , to = ''] = new URL(route.request().url()).pathname.split('/')
    return answer(route, async () => {
      const [before, after, { authors }] = await Promise.all([at(doc, from), at(doc, to), version(doc, to)])
      return difference(blocksOf(before), blocksOf(after), authors[0]?.id ?? '')
    })
  })
  await context.route(/\/api\/docs\/[^/]+\/versions\/[^/]+\/restore$/, async (route) => {
    const [, , , doc = '', , id = ''] = new URL(route.request().url()).pathname.split('/')
    stub.restores.push(id)
    const { seq } = await version(doc, id)
    const head = await headOf(url, doc)
    await bringBack(url, doc, await at(doc, seq))
    const before = await version(doc, String(head))
    await route.fulfill({ json: { changed: true, version: null, before } })
  })
  return stub
}

async function headOf(url: string, doc: string): Promise<number> {
  const response = await fetch(`${url}/api/docs/${doc}/versions?limit=1`)
  const { versions } = (await response.json()) as { versions: { seq: number }[] }
  return versions[0]?.seq ?? 0
}

/** Writes the old content over the present one, as a person would. */
async function bringBack(url: string, name: string, old: Y.Doc): Promise<void> {
  const doc = new Y.Doc()
  const provider = new WebsocketProvider(`${url.replace(/^http/, 'ws')}/ws`, name, doc, {
    WebSocketPolyfill: WebSocket as unknown as typeof globalThis.WebSocket,
    disableBc: true,
  })
  await new Promise<void>((resolve) =>
    provider.on('sync', (isSynced: boolean) => {
      if (isSynced) resolve()
    }),
  )
  const before = await headOf(url, name)
  const body = doc.getXmlFragment('default')
  doc.transact(() => {
    body.delete(0, body.length)
    const blocks = old.getXmlFragment('default').toArray() as Y.XmlElement[]
    body.insert(
      0,
      blocks.map((block) => block.clone()),
    )
  })
  await until(
    () => headOf(url, name),
    (head) => head > before,
    'the restore should be stored',
  )
  provider.destroy()
}
