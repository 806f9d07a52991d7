//! A menu button with arrow-key navigation, after the ARIA menu pattern.

import type { ComponentChildren } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { Icon, type IconName } from './icons'
import { Popover } from './popover'

export interface MenuItem {
  readonly label: string
  readonly icon?: IconName
  readonly keys?: string
  readonly danger?: boolean
  readonly checked?: boolean
  readonly separated?: boolean
  readonly class?: string
  readonly run: () => void
}

interface MenuProps {
  readonly label: string
  readonly items: readonly MenuItem[]
  readonly children: ComponentChildren
  readonly class?: string
  readonly align?: 'start' | 'end'
  readonly title?: string
  readonly tabIndex?: number
}

export function Menu({ label, items, children, align = 'start', title, tabIndex, ...rest }: MenuProps) {
  const button = useRef<HTMLButtonElement>(null)
  const [open, setOpen] = useState(false)
  // A click on the open menu's button closes it through the popover first; without this it would open again.
  const closedAt = useRef(Number.NEGATIVE_INFINITY)
  return (
    <>
      <button
        ref={button}
        type="button"
        class={rest.class ?? 'icon-button'}
        aria-label={label}
        aria-haspopup="menu"
        aria-expanded={open}
        title={title}
        tabIndex={tabIndex}
        onClick={() => performance.now() - closedAt.current > 200 && setOpen(!open)}
        onKeyDown={(event) => {
          if (event.key !== 'ArrowDown' || open) return
          event.preventDefault()
          event.stopPropagation()
          setOpen(true)
        }}
      >
        {children}
      </button>
      {open && button.current && (
        <Popover
          anchor={button.current}
          align={align}
          label={label}
          role="menu"
          class="menu"
          onClose={() => {
            closedAt.current = performance.now()
            setOpen(false)
          }}
        >
          <MenuItems items={items} close={() => setOpen(false)} />
        </Popover>
      )}
    </>
  )
}

function MenuItems({ items, close }: { items: readonly MenuItem[]; close: () => void }) {
  const list = useRef<HTMLDivElement>(null)
  const rows = () => [...(list.current?.querySelectorAll<HTMLElement>('[role^=menuitem]') ?? [])]
  useEffect(() => {
    const all = rows()
    ;(all.find((row) => row.getAttribute('aria-checked') === 'true') ?? all[0])?.focus()
  }, [])
  const onKeyDown = (event: KeyboardEvent) => {
    const all = rows()
    const at = all.indexOf(document.activeElement as HTMLElement)
    const targets: Record<string, number> = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 }
    const target = targets[event.key]
    if (event.key === 'Tab') close()
    if (target === undefined) return
    event.preventDefault()
    all.at(target % all.length)?.focus()
  }
  return (
    <div ref={list} class="menu-items" role="presentation" onKeyDown={onKeyDown}>
      {items.map((item) => (
        <button
          key={item.label}
          type="button"
          role={item.checked === undefined ? 'menuitem' : 'menuitemradio'}
          aria-checked={item.checked}
          tabIndex={-1}
          class={`menu-item ${item.danger ? 'danger' : ''} ${item.separated ? 'separated' : ''} ${item.class ?? ''}`}
          onClick={() => {
            close()
            item.run()
          }}
        >
          {item.icon && <Icon name={item.icon} size={16} />}
          <span class="menu-label">{item.label}</span>
          {item.keys && <kbd>{item.keys}</kbd>}
          {item.checked && <Icon name="check" size={16} />}
        </button>
      ))}
    </div>
  )
}
