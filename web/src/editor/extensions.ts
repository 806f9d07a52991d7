//! The document's schema and the behaviour that comes with each block and mark. The node and mark names are the
//! contract with the server and with every stored document: add, never rename.

import { type AnyExtension, Extension, InputRule } from '@tiptap/core'
import { TaskItem, TaskList } from '@tiptap/extension-list'
import { Placeholder } from '@tiptap/extensions'
import { StarterKit } from '@tiptap/starter-kit'
import { t } from '../i18n/strings'
import { isAllowedHref } from './links'

/** An address followed by a space becomes a link, when typed. (A plugin that watches the document would also write when others type.) */
const TypedLinks = Extension.create({
  name: 'typedLinks',
  addInputRules() {
    return [
      new InputRule({
        find: /(?:^|\s)(https?:\/\/[^\s<>"']+[^\s<>"'.,;:!?)])(\s)$/,
        handler: ({ state, range, match }) => {
          const [whole, href = '', space = ' '] = match
          const type = state.schema.marks.link
          if (!type || !isAllowedHref(href)) return null
          const from = range.from + whole.indexOf(href)
          state.tr.addMark(from, from + href.length, type.create({ href }))
          state.tr.insertText(space, range.to).removeStoredMark(type)
          return undefined
        },
      }),
    ]
  },
})

export function schemaExtensions(): AnyExtension[] {
  return [
    StarterKit.configure({
      // Undo is that of one's own edits (see collaboration.ts); a trailing paragraph would write on opening.
      undoRedo: false,
      trailingNode: false,
      dropcursor: { width: 2, color: false, class: 'drop-cursor' },
      link: {
        autolink: false,
        openOnClick: false,
        linkOnPaste: true,
        defaultProtocol: 'https',
        isAllowedUri: (url) => isAllowedHref(url),
      },
    }),
    TaskList,
    TaskItem.configure({
      nested: true,
      a11y: {
        checkboxLabel: (node, checked) =>
          t(checked ? 'editor.taskDone' : 'editor.taskOpen', {
            text: node.textContent || t('editor.emptyTask'),
          }),
      },
    }),
    TypedLinks,
    Placeholder.configure({ placeholder: t('editor.placeholder'), showOnlyWhenEditable: true }),
  ]
}
