//! The bar on top: which moment is shown, its changes, and what can be done with it.

import { t } from '../../i18n/strings'
import { keyLabel } from '../document/keys'
import { Icon } from '../icons'
import { Menu, type MenuItem } from '../menu'
import { leaveHistory } from '../router'
import { Switch } from '../switch'
import type { HistoryModel } from './model'
import { useNarrow } from './narrow'

export function HistoryBar({ model }: { model: HistoryModel }) {
  const { title, detail } = model.heading.value
  const isNarrow = useNarrow()
  const isEmpty = model.archive.head.value === 0
  return (
    <header class="bar history-bar">
      <button
        type="button"
        class="icon-button history-back"
        aria-label={t('history.back')}
        title={`${t('history.back')} (${keyLabel('Esc')})`}
        onClick={() => leaveHistory(model.name)}
      >
        <Icon name="back" />
      </button>
      <div class="history-what">
        <h1>{isEmpty ? t('history.title') : title}</h1>
        <p>{isEmpty ? model.title.value : detail}</p>
      </div>
      <span class="bar-space" />
      {!isEmpty && !isNarrow && (
        <>
          <ChangeTools model={model} />
          {!model.isPurged.value && <Actions model={model} />}
        </>
      )}
      {!isEmpty && <More model={model} isNarrow={isNarrow} />}
    </header>
  )
}

/** The switch for changes and the way through them. */
export function ChangeTools({ model }: { model: HistoryModel }) {
  const { showsChanges, isBusy } = model.viewer
  const count = model.changes.value.length
  const at = model.currentChange.value
  const words =
    count === 0
      ? t('history.noChanges')
      : at < 0
        ? t('history.changeCount', { count })
        : t('history.changeAt', { at: at + 1, count })
  return (
    <fieldset class="history-changes" aria-label={t('history.changes')}>
      <Switch
        label={t('history.showChanges')}
        on={showsChanges.value}
        onChange={(on) => (showsChanges.value = on)}
      />
      {showsChanges.value && (
        <span class="history-steps">
          <StepButton model={model} step={-1} />
          <span class="history-count" data-busy={isBusy.value}>
            {words}
          </span>
          <StepButton model={model} step={1} />
        </span>
      )}
    </fieldset>
  )
}

function StepButton({ model, step }: { model: HistoryModel; step: -1 | 1 }) {
  const name = t(step < 0 ? 'history.previousChange' : 'history.nextChange')
  return (
    <button
      type="button"
      class="icon-button"
      aria-label={name}
      title={`${name} (${keyLabel(step < 0 ? 'Alt-↑' : 'Alt-↓')})`}
      aria-disabled={model.changes.value.length === 0}
      onClick={() => model.goToChange(step)}
    >
      <Icon name={step < 0 ? 'up' : 'down'} />
    </button>
  )
}

function Actions({ model }: { model: HistoryModel }) {
  const isNamed = model.viewer.entry.value?.kind === 'named'
  return (
    <div class="history-actions">
      <button
        type="button"
        class="button"
        title={keyLabel('Mod-Shift-S')}
        onClick={() => (model.dialog.value = isNamed ? 'rename' : 'name')}
      >
        {t(isNamed ? 'home.rename' : 'history.name')}
      </button>
      {!model.isPresent.value && (
        <button type="button" class="button button-primary" onClick={() => (model.dialog.value = 'restore')}>
          {t('history.restore')}
        </button>
      )}
    </div>
  )
}

function More({ model, isNarrow }: { model: HistoryModel; isNarrow: boolean }) {
  const entry = model.viewer.entry.value
  const named = entry?.kind === 'named' ? entry.version : null
  const isPurged = model.isPurged.value
  const items: MenuItem[] = [
    ...(isNarrow && !model.isPresent.value && !isPurged
      ? [
          {
            label: t('history.restoreThis'),
            icon: 'restore' as const,
            run: () => (model.dialog.value = 'restore'),
          },
        ]
      : []),
    ...(isNarrow && !isPurged
      ? [
          {
            label: t(named ? 'history.rename' : 'history.name'),
            icon: 'named' as const,
            run: () => (model.dialog.value = named ? 'rename' : 'name'),
          },
        ]
      : []),
    ...(isPurged
      ? []
      : [{ label: t('history.copy'), icon: 'copies' as const, run: () => void model.copy() }]),
    { label: t('history.copyLink'), icon: 'link', run: () => void model.copyLink() },
    ...(named
      ? [
          {
            label: t('history.unname'),
            icon: 'unname' as const,
            separated: true,
            run: () => void model.removeName(named),
          },
        ]
      : []),
    ...(entry
      ? [
          {
            label: t('history.purge'),
            icon: 'trash' as const,
            danger: true,
            separated: !named,
            run: () => (model.dialog.value = 'purge'),
          },
        ]
      : []),
  ]
  return (
    <Menu label={t('history.more')} title={t('history.more')} items={items} align="end">
      <Icon name="more" />
    </Menu>
  )
}
