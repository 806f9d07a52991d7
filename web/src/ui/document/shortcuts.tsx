//! The sheet of keyboard shortcuts.

import { type StringKey, t } from '../../i18n/strings'
import { Dialog } from '../dialog'
import { keyLabel } from './keys'

type Shortcut = readonly [StringKey, ...string[]]

const SECTIONS: readonly (readonly [StringKey, readonly Shortcut[]])[] = [
  [
    'keys.text',
    [
      ['toolbar.bold', 'Mod-B'],
      ['toolbar.italic', 'Mod-I'],
      ['toolbar.underline', 'Mod-U'],
      ['toolbar.strike', 'Mod-Shift-X'],
      ['toolbar.code', 'Mod-E'],
      ['toolbar.link', 'Mod-K'],
      ['keys.clear', 'Mod-\\'],
      ['keys.plainPaste', 'Mod-Shift-V'],
      ['toolbar.undo', 'Mod-Z'],
      ['toolbar.redo', 'Mod-Shift-Z'],
    ],
  ],
  [
    'keys.move',
    [
      ['keys.toolbar', 'Alt-F10'],
      ['keys.regions', 'F6', 'Shift-F6'],
      ['keys.sheet', 'Mod-/'],
    ],
  ],
  [
    'keys.document',
    [
      ['doc.history', 'Mod-Alt-Shift-H'],
      ['doc.nameVersion', 'Mod-Shift-S'],
    ],
  ],
  [
    'keys.blocks',
    [
      ['toolbar.paragraph', 'Mod-Alt-0'],
      ['keys.headings', 'Mod-Alt-1…6'],
      ['toolbar.orderedList', 'Mod-Shift-7'],
      ['toolbar.bulletList', 'Mod-Shift-8'],
      ['toolbar.taskList', 'Mod-Shift-9'],
      ['toolbar.blockquote', 'Mod-Shift-B'],
      ['toolbar.codeBlock', 'Mod-Alt-C'],
      ['keys.tick', 'Mod-Enter'],
      ['keys.nest', 'Tab', 'Shift-Tab'],
      ['keys.moveBlock', 'Alt-↑', 'Alt-↓'],
      ['keys.duplicate', 'Mod-D'],
    ],
  ],
  [
    'keys.inHistory',
    [
      ['keys.previousNextChange', 'Alt-↑', 'Alt-↓'],
      ['history.restoreBlock', 'Alt-Enter'],
      ['keys.stepEdit', '←', '→'],
      ['keys.stepSession', 'Shift-←', 'Shift-→'],
      ['keys.play', 'Space'],
      ['keys.purge', 'Delete'],
      ['keys.backToDocument', 'Escape'],
    ],
  ],
]

const MARKDOWN = ['# ', '## ', '- ', '1. ', '[ ] ', '> ', '```', '---', '**b**', '*i*', '~~s~~', '`code`']

export function Shortcuts({ onClose }: { onClose: () => void }) {
  return (
    <Dialog title={t('doc.shortcuts')} class="dialog-wide" onClose={onClose}>
      <div class="shortcut-columns">
        {SECTIONS.map(([heading, shortcuts]) => (
          <section key={heading}>
            <h3>{t(heading)}</h3>
            <dl>
              {shortcuts.map(([label, ...keys]) => (
                <div key={label}>
                  <dt>{t(label)}</dt>
                  <dd>
                    {keys.map((key) => (
                      <kbd key={key}>{keyLabel(key)}</kbd>
                    ))}
                  </dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
        <section>
          <h3>{t('keys.markdown')}</h3>
          <p class="markdown-keys">
            {MARKDOWN.map((text) => (
              <kbd key={text}>{text}</kbd>
            ))}
          </p>
        </section>
      </div>
    </Dialog>
  )
}
