//! The icons, by the name of what they mean here.

import {
  ArrowDown,
  ArrowLeft,
  ArrowUp,
  ArrowUpRight,
  Bold,
  Bookmark,
  BookmarkX,
  Check,
  ChevronDown,
  CloudOff,
  Code,
  Copy,
  Ellipsis,
  ExternalLink,
  Files,
  FileText,
  FlaskConical,
  History,
  Italic,
  Keyboard,
  Link,
  List,
  ListChecks,
  ListOrdered,
  LoaderCircle,
  Minus,
  Monitor,
  Moon,
  Pause,
  Pencil,
  Play,
  Plus,
  Printer,
  Redo2,
  RemoveFormatting,
  RotateCcw,
  Search,
  Square,
  SquareCode,
  Strikethrough,
  Sun,
  TextQuote,
  Trash2,
  TriangleAlert,
  Underline,
  Undo2,
  Unlink,
  X,
} from 'lucide'
import { createElement } from 'preact'

const ICONS = {
  arrow: ArrowUpRight,
  back: ArrowLeft,
  up: ArrowUp,
  down: ArrowDown,
  named: Bookmark,
  unname: BookmarkX,
  copies: Files,
  history: History,
  pause: Pause,
  bold: Bold,
  check: Check,
  chevron: ChevronDown,
  offline: CloudOff,
  code: Code,
  copy: Copy,
  more: Ellipsis,
  open: ExternalLink,
  document: FileText,
  italic: Italic,
  keyboard: Keyboard,
  lab: FlaskConical,
  link: Link,
  bulletList: List,
  taskList: ListChecks,
  orderedList: ListOrdered,
  progress: LoaderCircle,
  rule: Minus,
  system: Monitor,
  dark: Moon,
  rename: Pencil,
  plus: Plus,
  play: Play,
  print: Printer,
  redo: Redo2,
  clear: RemoveFormatting,
  restore: RotateCcw,
  search: Search,
  codeBlock: SquareCode,
  stop: Square,
  strike: Strikethrough,
  light: Sun,
  quote: TextQuote,
  trash: Trash2,
  warning: TriangleAlert,
  underline: Underline,
  undo: Undo2,
  unlink: Unlink,
  close: X,
} as const

export type IconName = keyof typeof ICONS

export function Icon({ name, size = 18 }: { name: IconName; size?: number }) {
  return (
    <svg
      class={`icon icon-${name}`}
      width={size}
      height={size}
      viewBox="0 0 24 24"
      fill="none"
      stroke="currentColor"
      stroke-width={size > 20 ? 1.5 : 1.75}
      stroke-linecap="round"
      stroke-linejoin="round"
      aria-hidden="true"
    >
      {ICONS[name].map(([tag, attributes]) =>
        createElement(tag as string, attributes as Record<string, string>),
      )}
    </svg>
  )
}
