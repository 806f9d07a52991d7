//! Who is here, and who you are to them.

import { useSignal } from '@preact/signals'
import { useEffect, useRef, useState } from 'preact/hooks'
import { displayName, HUES } from '../../editor/palette'
import { t } from '../../i18n/strings'
import { awarenessUser, identity, setIdentity } from '../../session/identity'
import type { DocumentSession } from '../../session/session'
import { Avatar, type AvatarPerson } from '../avatar'
import { Popover } from '../popover'
import { selectAll } from '../select-all'

/** More faces than this become a number. */
const FACES = 4

export interface Peer extends AvatarPerson {
  readonly client: number
}

export function othersHere(session: DocumentSession): Peer[] {
  const { awareness } = session
  return [...awareness.getStates()]
    .filter(([client]) => client !== awareness.clientID)
    .map(([client, state]) => {
      const user = (state as { user?: { name?: unknown; color?: unknown } } | null)?.user
      return { client, name: user?.name, color: user?.color }
    })
    .sort((a, b) => a.client - b.client)
}

export function usePeers(session: DocumentSession): readonly Peer[] {
  const peers = useSignal<readonly Peer[]>([])
  useEffect(() => {
    const refresh = () => {
      const next = othersHere(session)
      const key = (list: readonly Peer[]) =>
        list.map(({ client, name, color }) => `${client} ${name} ${color}`).join('\n')
      if (key(next) !== key(peers.value)) peers.value = next
    }
    refresh()
    session.awareness.on('change', refresh)
    return () => session.awareness.off('change', refresh)
  }, [session])
  return peers.value
}

export function Presence({ session }: { session: DocumentSession }) {
  const peers = usePeers(session)
  const shown = peers.length > FACES + 1 ? peers.slice(0, FACES) : peers
  const hidden = peers.slice(shown.length)
  return (
    <div class="presence">
      <ul class="faces" aria-label={t('doc.people')}>
        {shown.map((peer) => (
          <li key={peer.client} title={displayName(peer.name)}>
            <Avatar person={peer} />
            <span class="visually-hidden">{displayName(peer.name)}</span>
          </li>
        ))}
        {hidden.length > 0 && (
          <li title={hidden.map(({ name }) => displayName(name)).join(', ')}>
            <span class="avatar avatar-m avatar-more" aria-hidden="true">
              +{hidden.length}
            </span>
            <span class="visually-hidden">{t('doc.morePeople', { count: hidden.length })}</span>
          </li>
        )}
      </ul>
      <Yourself />
    </div>
  )
}

function Yourself() {
  const button = useRef<HTMLButtonElement>(null)
  const [open, setOpen] = useState(false)
  const label = `${t('doc.you', { name: identity.value.name })}. ${t('doc.editYourself')}`
  return (
    <>
      <button
        ref={button}
        type="button"
        class="avatar-button"
        title={t('doc.you', { name: identity.value.name })}
        aria-expanded={open}
        aria-haspopup="dialog"
        onClick={() => setOpen(true)}
      >
        <Avatar person={awarenessUser.value} />
        <span class="visually-hidden">{label}</span>
      </button>
      {open && button.current && (
        <Popover
          anchor={button.current}
          align="end"
          label={t('doc.editYourself')}
          class="identity"
          onClose={() => setOpen(false)}
        >
          <IdentityForm onDone={() => setOpen(false)} />
        </Popover>
      )}
    </>
  )
}

function IdentityForm({ onDone }: { onDone: () => void }) {
  const field = useRef<HTMLInputElement>(null)
  useEffect(() => selectAll(field.current), [])
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault()
        onDone()
      }}
    >
      <label class="field">
        <span>{t('doc.yourName')}</span>
        <input
          ref={field}
          defaultValue={identity.value.name}
          maxLength={40}
          autocomplete="nickname"
          onInput={(event) => {
            const name = event.currentTarget.value.trim()
            if (name !== '') setIdentity({ name })
          }}
        />
      </label>
      <fieldset class="field">
        <legend>{t('doc.yourColor')}</legend>
        <div class="swatches">
          {Array.from({ length: HUES }, (_, hue) => (
            <label class={`swatch hue-${hue}`} key={hue} title={t('doc.color', { number: hue + 1 })}>
              <input
                type="radio"
                name="hue"
                checked={identity.value.hue === hue}
                aria-label={t('doc.color', { number: hue + 1 })}
                onChange={() => setIdentity({ hue })}
              />
              <span />
            </label>
          ))}
        </div>
      </fieldset>
      <p class="field-hint">{t('doc.kept')}</p>
      <button type="submit" class="button button-primary">
        {t('doc.done')}
      </button>
    </form>
  )
}
