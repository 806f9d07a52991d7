// Random edits of every shared type. With `lossy` also values that a replica in another language could change; with
// `whole` no edit lies inside a surrogate pair; with `marks` marks over marks only; with `paste` now and then a long one.
import * as Y from 'yjs'

const words = ['a', 'be', 'sea', 'Größe', '文書', '😀', 'x😀y', 'the quick brown fox ']
const values = () => [null, true, false, 0, 7, -65, 1.5, 2 ** 40, 1e300, 'text', '', [1, [2, { k: 3 }]], { b: 1, a: { c: [] } }, new Uint8Array([0, 255]), undefined]
const lossyValues = [12n, -0, { deep: [-0, 2n ** 60n] }]

/** The text's UTF-16 units, with one for each embed. */
const units = (text) => text.toDelta().map(({ insert }) => typeof insert === 'string' ? insert : '.').join('')

/**
 * Yjs alone makes two U+FFFD of a surrogate pair when a look-up ends inside it, which others need not learn of: replicas
 * then differ without any server. So no edit that has to converge may do that, and no editor does.
 */
const outsidePairs = (units, at) => /[\uDC00-\uDFFF]/.test(units[at] ?? '') && /[\uD800-\uDBFF]/.test(units[at - 1] ?? '') ? at + 1 : at

const editText = (text, random, { whole }) => {
  let at = random.below(text.length + 1)
  let end = Math.min(text.length, at + 1 + random.below(8))
  if (whole) [at, end] = [at, end].map((position) => outsidePairs(units(text), position))
  const some = end - at
  switch (random.below(6)) {
    case 0: case 1: return text.insert(at, random.of(words))
    case 2: return text.insert(at, random.of(words), random.of([{ bold: true }, { link: { href: 'u' } }, { bold: null }]))
    case 3: return text.insertEmbed(at, random.of([{ image: 'u"\\' }, { n: 1e20, a: [null, -1.5] }]))
    case 4: return some > 0 && text.format(at, some, random.of([{ bold: true }, { bold: null }, { em: { x: 1, y: '' } }]))
    default: return some > 0 && text.delete(at, some)
  }
}

const newType = (random) => random.of([
  () => new Y.Map([['k', 1], ['l', 'two']]), () => Y.Array.from([1, 'two', [3]]), () => new Y.Text('nested')
])()

const editMap = (map, random, options) => {
  const key = random.of(['k', 'l', 'm'])
  const inner = map.get(key)
  switch (random.below(6)) {
    case 0: return map.delete(key)
    case 1: return map.set(key, newType(random))
    case 2: if (inner instanceof Y.Map) return editMap(inner, random, options)
    case 3: if (inner instanceof Y.Text) return editText(inner, random, options)
    case 4: if (inner instanceof Y.Array) return editArray(inner, random, options)
    default: return map.set(key, random.of(options.lossy ? lossyValues : values()))
  }
}

/** A Y.Array refuses some values unless they lie in another one. */
const inList = (value) => value === undefined || typeof value === 'bigint' ? [value] : value

const editArray = (array, random, options) => {
  const at = random.below(array.length + 1)
  switch (random.below(4)) {
    case 0: return at < array.length && array.delete(at, Math.min(array.length - at, 1 + random.below(3)))
    case 1: return array.insert(at, [newType(random)])
    default: return array.insert(at, Array.from({ length: 1 + random.below(4) }, () => inList(random.of(options.lossy ? lossyValues : values()))))
  }
}

const editXml = (parent, random, options) => {
  const at = random.below(parent.length + 1)
  const child = at < parent.length ? parent.get(at) : null
  switch (random.below(6)) {
    case 0: return child !== null && parent.delete(at, 1)
    case 1: if (child instanceof Y.XmlElement) return child.setAttribute(random.of(['id', 'class']), random.of(words))
    case 2: if (child instanceof Y.XmlElement) return child.removeAttribute('id')
    case 3: if (child instanceof Y.XmlElement) return editXml(child, random, options)
    case 4: if (child instanceof Y.XmlText) return editText(child, random, options)
    default: return parent.insert(at, [random.chance(0.5) ? new Y.XmlElement('p') : new Y.XmlText(random.of(words))])
  }
}

const text = (words, marks) => {
  const text = new Y.XmlText()
  text.insert(0, words, marks)
  return text
}

const paragraph = (...children) => {
  const element = new Y.XmlElement('paragraph')
  element.insert(0, children)
  return element
}

/** What the bindings of ProseMirror do: whole blocks come and go, marks are formats, a split block is a new one. */
const editBlocks = (fragment, random, options) => {
  const at = random.below(fragment.length + 1)
  const block = at < fragment.length ? fragment.get(at) : null
  const line = block instanceof Y.XmlElement && block.length > 0 ? block.get(0) : null
  switch (random.below(9)) {
    case 0: return block !== null && fragment.delete(at, 1)
    case 1: return block instanceof Y.XmlElement && block.setAttribute(random.of(['align', 'level']), random.of(['left', 'right']))
    case 2: {
      if (!(line instanceof Y.XmlText) || line.length < 2) return
      const cut = outsidePairs(units(line), 1 + random.below(line.length - 1))
      const rest = units(line).slice(cut)
      if (cut >= line.length) return
      line.delete(cut, line.length - cut)
      return fragment.insert(at + 1, [paragraph(text(rest, random.chance(0.5) ? { bold: {} } : {}))])
    }
    case 3: return fragment.insert(at, [paragraph(text('one ', {}), new Y.XmlElement('hardBreak'), text('two', { em: {} }))])
    case 4: return block instanceof Y.XmlElement && block.insert(random.below(block.length + 1), [random.chance(0.5) ? paragraph(text('in', {})) : text('', {})])
    case 5: case 6: if (line instanceof Y.XmlText) return editText(line, random, options)
    default: return fragment.insert(at, [paragraph(text(random.of(words), random.of([{}, { bold: {} }, { link: { href: 'u', class: null } }])))])
  }
}

/** Marks over marks: what several people do to one sentence at once leaves marks that Yjs cleans up. */
const mark = (doc, random) => {
  const block = doc.getXmlFragment('prosemirror').get(0)
  const line = block instanceof Y.XmlElement && block.length > 0 ? block.get(0) : null
  const text = line instanceof Y.XmlText && random.chance(0.4) ? line : doc.getText('text')
  if (text.length < 4) return text.insert(0, 'one sentence ')
  const [at, end] = [random.below(text.length), random.below(text.length)].sort((a, b) => a - b).map((at) => outsidePairs(units(text), at))
  if (at === end) return
  return random.chance(0.15) ? text.delete(at, end - at) : text.format(at, end - at, random.of([{ bold: true }, { bold: null }, { em: true }, { em: null }, { bold: true, em: null }]))
}

/** A paste, long enough for a length of several bytes. */
const paste = (doc, random) => doc.getText('text').insert(0, random.of(words).repeat(500 + random.below(2000)))

export const editSomething = (doc, random, options) => {
  if (options.paste && random.chance(0.004)) return paste(doc, random)
  if (options.marks) return mark(doc, random)
  switch (random.below(10)) {
    case 0: return editMap(doc.getMap('map'), random, options)
    case 1: return editArray(doc.getArray('array'), random, options)
    case 2: case 3: return editXml(doc.getXmlFragment('xml'), random, options)
    case 4: case 5: return editBlocks(doc.getXmlFragment('prosemirror'), random, options)
    default: return editText(doc.getText('text'), random, options)
  }
}
