//! A panel beside the control that opened it, in the browser's top layer (Popover API): closes on Escape and on a click
//! elsewhere, and gives the focus back.

import type { ComponentChildren, RefObject } from 'preact'
import { useLayoutEffect, useRef } from 'preact/hooks'

const GAP = 6
const MARGIN = 8

export interface Anchor {
  getBoundingClientRect(): DOMRect
}

interface PopoverProps {
  readonly anchor: Anchor
  readonly onClose: () => void
  readonly class?: string
  readonly align?: 'start' | 'end'
  readonly label?: string
  readonly role?: 'menu' | 'dialog' | 'listbox'
  readonly children: ComponentChildren
}

export function Popover({
  anchor,
  onClose,
  align = 'start',
  label,
  role = 'dialog',
  children,
  ...rest
}: PopoverProps) {
  const panel = useRef<HTMLDivElement>(null)
  useLayoutEffect(() => {
    const element = panel.current
    if (!element) return
    const opener = document.activeElement
    element.showPopover()
    place(element, anchor, align)
    const reposition = () => place(element, anchor, align)
    const onToggle = (event: Event) => {
      if ((event as ToggleEvent).newState === 'closed') onClose()
    }
    element.addEventListener('toggle', onToggle)
    addEventListener('resize', reposition)
    addEventListener('scroll', reposition, true)
    return () => {
      removeEventListener('resize', reposition)
      removeEventListener('scroll', reposition, true)
      element.removeEventListener('toggle', onToggle)
      const hadFocus = element.contains(document.activeElement) || document.activeElement === document.body
      if (hadFocus && opener instanceof HTMLElement) opener.focus({ preventScroll: true })
    }
  }, [anchor, align])
  return (
    <div
      ref={panel as RefObject<HTMLDivElement>}
      popover="auto"
      class={`popover ${rest.class ?? ''}`}
      role={role}
      aria-label={label}
    >
      {children}
    </div>
  )
}

function place(element: HTMLElement, anchor: Anchor, align: 'start' | 'end'): void {
  const at = anchor.getBoundingClientRect()
  const { offsetWidth: width, offsetHeight: height } = element
  const viewport = window.visualViewport
  const right = viewport?.width ?? innerWidth
  const bottom = viewport?.height ?? innerHeight
  const left = align === 'start' ? at.left : at.right - width
  const below = at.bottom + GAP
  const top =
    below + height + MARGIN > bottom && at.top - GAP - height > MARGIN ? at.top - GAP - height : below
  element.style.left = `${Math.max(MARGIN, Math.min(left, right - width - MARGIN))}px`
  element.style.top = `${Math.max(MARGIN, Math.min(top, bottom - height - MARGIN))}px`
}
