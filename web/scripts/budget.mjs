//! Fails the build when a page would load more than its budget: gzip bytes of what the list of documents needs, and of
//! what the editor adds to it.

import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'

const SHELL_KB = 60
const EDITOR_KB = 260

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
const editor = files.filter((name) => name.endsWith('.js') && !shell.has(name))
const kilobytes = (names) =>
  names.reduce((sum, name) => sum + gzipSync(source(name), { level: 9 }).length, 0) / 1024

let failed = false
for (const [label, names, limit] of [
  ['shell', [...shell, ...css], SHELL_KB],
  ['editor', editor, EDITOR_KB],
]) {
  const size = kilobytes(names)
  const verdict = size <= limit ? 'ok' : 'TOO BIG'
  if (size > limit) failed = true
  console.log(`${label}: ${size.toFixed(1)} kB gz of ${limit} (${names.join(', ')}) ${verdict}`)
}
process.exit(failed ? 1 : 0)
