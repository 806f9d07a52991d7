//! The toolbar, after the ARIA toolbar pattern: one tab stop, arrow keys inside.

import type { Signal } from '@preact/signals'
import type { Editor } from '@tiptap/core'
import { useRef, useState } from 'preact/hooks'
import {
  type Block,
  clear,
  insertRule,
  type List,
  type Mark,
  setBlock,
  type ToolbarState,
  toggleList,
  toggleMark,
  toggleQuote,
} from '../../editor/toolbar'
import { type StringKey, t } from '../../i18n/strings'
import { Icon, type IconName } from '../icons'
import { Menu, type MenuItem } from '../menu'
import { keyLabel } from './keys'
import type { SurfaceState } from './surface'

interface Tool {
  readonly key: StringKey
  readonly icon: IconName
  readonly keys?: string
  readonly pressed?: boolean
  readonly disabled?: boolean
  readonly run: () => void
}

interface ToolbarProps {
  readonly surface: Signal<SurfaceState>
  readonly editLink: () => void
}

const MARKS: readonly (readonly [Mark, IconName, string])[] = [
  ['bold', 'bold', 'Mod-B'],
  ['italic', 'italic', 'Mod-I'],
  ['underline', 'underline', 'Mod-U'],
  ['strike', 'strike', 'Mod-Shift-X'],
  ['code', 'code', 'Mod-E'],
]
const LISTS: readonly (readonly [List, IconName, string])[] = [
  ['bulletList', 'bulletList', 'Mod-Shift-8'],
  ['orderedList', 'orderedList', 'Mod-Shift-7'],
  ['taskList', 'taskList', 'Mod-Shift-9'],
]
const BLOCKS: readonly (readonly [Block, string])[] = [
  ['paragraph', 'Mod-Alt-0'],
  ['heading1', 'Mod-Alt-1'],
  ['heading2', 'Mod-Alt-2'],
  ['heading3', 'Mod-Alt-3'],
  ['heading4', 'Mod-Alt-4'],
  ['heading5', 'Mod-Alt-5'],
  ['heading6', 'Mod-Alt-6'],
  ['codeBlock', 'Mod-Alt-C'],
]

/** The groups of buttons, apart from the block menu, which comes after the first. */
function groups(
  editor: Editor | null,
  state: ToolbarState,
  surface: SurfaceState,
  editLink: () => void,
): Tool[][] {
  const on = (run: (editor: Editor) => void) => () => editor && run(editor)
  return [
    [
      {
        key: 'toolbar.undo',
        icon: 'undo',
        keys: 'Mod-Z',
        disabled: !state.canUndo,
        run: () => void surface.open?.undoManager?.undo(),
      },
      {
        key: 'toolbar.redo',
        icon: 'redo',
        keys: 'Mod-Shift-Z',
        disabled: !state.canRedo,
        run: () => void surface.open?.undoManager?.redo(),
      },
    ],
    [
      ...MARKS.map(([mark, icon, keys]) => ({
        key: `toolbar.${mark}` as StringKey,
        icon,
        keys,
        pressed: state.marks.has(mark),
        run: on((editor) => toggleMark(editor, mark)),
      })),
      { key: 'toolbar.link', icon: 'link', keys: 'Mod-K', pressed: state.link !== null, run: editLink },
    ],
    LISTS.map(([list, icon, keys]) => ({
      key: `toolbar.${list}` as StringKey,
      icon,
      keys,
      pressed: state.list === list,
      run: on((editor) => toggleList(editor, list)),
    })),
    [
      {
        key: 'toolbar.blockquote',
        icon: 'quote',
        keys: 'Mod-Shift-B',
        pressed: state.quote,
        run: on(toggleQuote),
      },
      {
        key: 'toolbar.codeBlock',
        icon: 'codeBlock',
        keys: 'Mod-Alt-C',
        pressed: state.block === 'codeBlock',
        run: on((editor) => setBlock(editor, 'codeBlock')),
      },
      { key: 'toolbar.rule', icon: 'rule', run: on(insertRule) },
    ],
    [{ key: 'toolbar.clear', icon: 'clear', keys: 'Mod-\\', run: on(clear) }],
  ]
}

export function Toolbar({ surface, editLink }: ToolbarProps) {
  const bar = useRef<HTMLDivElement>(null)
  const [current, setCurrent] = useState(0)
  const { open, toolbar: state } = surface.value
  const editor = open?.editor ?? null
  const [history, ...rest] = groups(editor, state, surface.value, editLink)
  let index = 0
  const button = (tool: Tool) => (
    <ToolButton key={tool.key} tool={tool} tabIndex={index++ === current ? 0 : -1} />
  )

  const onKeyDown = (event: KeyboardEvent) => {
    const all = [...(bar.current?.querySelectorAll<HTMLElement>('button') ?? [])]
    const at = all.indexOf(document.activeElement as HTMLElement)
    const targets: Record<string, number> = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: -1 }
    const target = targets[event.key]
    if (target === undefined || at < 0) return
    event.preventDefault()
    const next = (target + all.length) % all.length
    setCurrent(next)
    all[next]?.focus()
  }

  return (
    <div
      ref={bar}
      class="toolbar"
      role="toolbar"
      aria-label={t('toolbar.label')}
      aria-controls="text"
      onKeyDown={onKeyDown}
    >
      <div class="tool-group">{history?.map(button)}</div>
      <BlockMenu editor={editor} block={state.block} tabIndex={index++ === current ? 0 : -1} />
      {rest.map((group, at) => (
        <div class="tool-group" key={group[0]?.key ?? at}>
          {group.map(button)}
        </div>
      ))}
    </div>
  )
}

function ToolButton({ tool, tabIndex }: { tool: Tool; tabIndex: number }) {
  const name = t(tool.key)
  return (
    <button
      type="button"
      class="tool"
      aria-label={name}
      title={tool.keys ? `${name} (${keyLabel(tool.keys)})` : name}
      aria-pressed={tool.pressed}
      // Not `disabled`: that would take the focus away from who works with the keyboard.
      aria-disabled={tool.disabled}
      tabIndex={tabIndex}
      // The text keeps its focus and its selection.
      onMouseDown={(event) => event.preventDefault()}
      onClick={() => !tool.disabled && tool.run()}
    >
      <Icon name={tool.icon} />
    </button>
  )
}

function BlockMenu({ editor, block, tabIndex }: { editor: Editor | null; block: Block; tabIndex: number }) {
  const items: MenuItem[] = BLOCKS.map(([name, keys]) => ({
    label: t(`toolbar.${name}` as StringKey),
    keys: keyLabel(keys),
    class: `block-${name}`,
    checked: name === block,
    run: () => {
      if (editor && !(name === 'codeBlock' && block === 'codeBlock')) setBlock(editor, name)
    },
  }))
  return (
    <Menu
      label={`${t('toolbar.block')}: ${t(`toolbar.${block}` as StringKey)}`}
      title={t('toolbar.block')}
      items={items}
      class="tool block-button"
      tabIndex={tabIndex}
    >
      <span>{t(`toolbar.${block}` as StringKey)}</span>
      <Icon name="chevron" size={14} />
    </Menu>
  )
}
