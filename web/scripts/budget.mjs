//! Fails the build when a page would load more than its budget: gzip bytes of what the list of documents needs, of what
//! the document page and the history add to it, and of what the lab adds to all.

import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'

const SHELL_KB = 60
const EDITOR_KB = 260
const LAB_KB = 16
const HISTORY_KB = 20

const root = fileURLToPath(new URL('../../static/assets/', import.meta.url))
const files = readdirSync(root).filter((name) => /\.(js|css)$/.test(name))
const source = (name) => readFileSync(root + name, 'utf8')

/** What a script imports before it runs. */
const imports = (name) =>
  [...source(name).matchAll(/(?:from|import)\s*["']\.\/([\w.-]+\.js)["']/g)].map(([, file]) => file)

function closure(entry) {
  const seen = new Set()
  const waiting = [entry]
  for (let name = waiting.pop(); name; name = waiting.pop()) {
    if (seen.has(name)) continue
    seen.add(name)
    waiting.push(...imports(name))
  }
  return seen
}

const shell = closure('app.js')
const css = files.filter((name) => name.endsWith('.css'))
const editor = [...closure('page.js')].filter((name) => !shell.has(name))
const history = [...closure('history.js')].filter((name) => !shell.has(name))
const lab = [...closure('lab.js')].filter((name) => !shell.has(name) && !editor.includes(name))
const unknown = files.filter((name) => ![...shell, ...css, ...editor, ...history, ...lab].includes(name))
const kilobytes = (names) =>
  names.reduce((sum, name) => sum + gzipSync(source(name), { level: 9 }).length, 0) / 1024

let failed = false
for (const [label, names, limit] of [
  ['shell', [...shell, ...css], SHELL_KB],
  ['editor', editor, EDITOR_KB],
  ['history', history, HISTORY_KB],
  ['lab', lab, LAB_KB],
  ['what belongs to no page', unknown, 0],
]) {
  const size = kilobytes(names)
  const verdict = size <= limit ? 'ok' : 'TOO BIG'
  if (size > limit) failed = true
  console.log(`${label}: ${size.toFixed(1)} kB gz of ${limit} (${names.join(', ')}) ${verdict}`)
}
process.exit(failed ? 1 : 0)
