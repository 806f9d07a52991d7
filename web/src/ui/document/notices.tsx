//! Bars under the toolbar that name a problem and what can be done about it.

import type { Signal } from '@preact/signals'
import type { ComponentChildren } from 'preact'
import { useEffect } from 'preact/hooks'
import { undoChange } from '../../editor/undo'
import { type StringKey, t } from '../../i18n/strings'
import { saveAsOwnCopy } from '../../session/own-copy'
import type { DocumentSession } from '../../session/session'
import type { Refusal } from '../../sync/protocol'
import { confirmAction } from '../dialog'
import { toast } from '../feedback'
import { attempt } from '../home/actions'
import { Icon } from '../icons'
import { documentPath, navigate } from '../router'
import { copyText } from './bar'
import type { SurfaceState } from './surface'

interface NoticesProps {
  readonly session: DocumentSession
  readonly surface: Signal<SurfaceState>
  /** `carried`: a state that this device could not keep, for the next session to start from. */
  readonly reopen: (carried?: Uint8Array) => void
}

export function Notices({ session, surface, reopen }: NoticesProps) {
  const sync = session.sync.value
  const { unreadable } = surface.value
  const halt = sync?.halt
  return (
    <div class="notices">
      {sync?.refusal && (
        <Refused session={session} surface={surface} refusal={sync.refusal} reopen={reopen} />
      )}
      {(halt === 'forbidden' || halt === 'rejected') && (
        <Notice tone="danger" text={t(`notice.${halt}`)}>
          <NoticeButton label="notice.reload" run={() => location.reload()} />
          <NoticeButton label="refused.copy" run={() => void copyText(session)} />
        </Notice>
      )}
      {session.kept.value === null && <Notice tone="danger" text={t('notice.noStore')} />}
      {unreadable.size > 0 && (
        <Notice tone="warn" text={t('notice.readOnly', { names: [...unreadable].slice(0, 5).join(', ') })}>
          <NoticeButton label="notice.reload" run={() => location.reload()} />
        </Notice>
      )}
      {session.oldCopy.value && <OldCopy session={session} />}
    </div>
  )
}

function Notice({
  tone,
  text,
  children,
}: {
  tone: 'warn' | 'danger'
  text: string
  children?: ComponentChildren
}) {
  return (
    <div class={`notice notice-${tone}`} role="alert">
      <Icon name="warning" size={16} />
      <p>{text}</p>
      {children && <div class="notice-actions">{children}</div>}
    </div>
  )
}

function NoticeButton({ label, run }: { label: StringKey; run: () => void }) {
  return (
    <button type="button" class="button button-small" onClick={run}>
      {t(label)}
    </button>
  )
}

/** One message was too big; any other limit (the document's size, its depth) is told in the server's words. */
const SIZE_CODES = /^(update|message|frame)?-?too-(big|large)$/

/** A limit as people read it: the server names bytes. */
function sizeLimit({ limit }: Refusal): string {
  if (limit === undefined) return ''
  const bytes = Number(limit)
  const text = Number.isFinite(bytes) ? formatBytes(bytes) : String(limit)
  return t('refused.limit', { limit: text })
}

/** What it counts (bytes, blocks, levels) only the server's reason says. */
const plainLimit = ({ limit, reason }: Refusal) =>
  limit === undefined || reason.includes(String(limit)) ? '' : t('refused.limit', { limit })

function formatBytes(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`
  const [amount, unit] = bytes >= 1024 * 1024 ? [bytes / 1024 / 1024, 'MB'] : [bytes / 1024, 'kB']
  return `${Math.round(amount * 10) / 10} ${unit}`
}

interface RefusedProps extends NoticesProps {
  readonly refusal: Refusal
}

function Refused({ session, surface, refusal, reopen }: RefusedProps) {
  const isSize = SIZE_CODES.test(refusal.code)
  const what = isSize
    ? t('refused.tooBig', { limit: sizeLimit(refusal) })
    : t('refused.other', { reason: refusal.reason || refusal.code, limit: plainLimit(refusal) })
  const manager = surface.value.open?.undoManager ?? null
  // What is typed from now on is not part of the refused change.
  useEffect(() => manager?.stopCapturing(), [manager])
  const takeBack = async () => {
    if (!manager || !undoChange(manager, session.provider?.refusedUpdate ?? null)) return
    const carried = await session.shed()
    toast(t('refused.undone'))
    reopen(carried)
  }
  const discard = async () => {
    if (!(await confirmAction(t('refused.discardConfirm'), t('refused.discardHint'), t('refused.discard'))))
      return
    await session.discardLocal()
    reopen()
  }
  return (
    <Notice tone="danger" text={`${what} ${t('refused.hint')}`}>
      {surface.value.toolbar.canUndo && <NoticeButton label="refused.undo" run={() => void takeBack()} />}
      <NoticeButton label="refused.copy" run={() => void copyText(session)} />
      {!surface.value.toolbar.canUndo && <NoticeButton label="refused.discard" run={() => void discard()} />}
    </Notice>
  )
}

function OldCopy({ session }: { session: DocumentSession }) {
  const save = async () => {
    const copy = session.oldCopy.value
    const id = copy && (await attempt(() => saveAsOwnCopy(copy.update)))
    if (!id) return
    await session.discardOldCopy()
    navigate(documentPath(id))
  }
  return (
    <Notice tone="warn" text={t('notice.oldCopy')}>
      <NoticeButton label="notice.saveCopy" run={() => void save()} />
      <NoticeButton label="notice.dismissCopy" run={() => void session.discardOldCopy()} />
    </Notice>
  )
}
