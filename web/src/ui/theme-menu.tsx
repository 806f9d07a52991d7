//! The choice between light, dark and the system's theme.

import { t } from '../i18n/strings'
import { Icon } from './icons'
import { Menu } from './menu'
import { setTheme, type Theme, theme } from './theme'

const THEMES: readonly Theme[] = ['system', 'light', 'dark']

export function ThemeMenu() {
  const items = THEMES.map((name) => ({
    label: t(`theme.${name}`),
    icon: name,
    checked: theme.value === name,
    run: () => setTheme(name),
  }))
  return (
    <Menu
      class="icon-button theme-button"
      label={t('theme.label')}
      title={t('theme.label')}
      items={items}
      align="end"
    >
      <Icon name={theme.value} />
    </Menu>
  )
}
