//! The browser's socket and clock in the shape that `sync/` takes.

import { SCHEMA_VERSION } from '../editor/schema-version'
import type { Clock, SocketLike } from '../sync/provider'

export const browserClock: Clock = {
  now: () => Date.now(),
  random: () => Math.random(),
  after: (ms, run) => {
    const timer = setTimeout(run, ms)
    return () => clearTimeout(timer)
  },
}

export const openSocket = (address: string): SocketLike => new WebSocket(address) as unknown as SocketLike

/** Where the document's socket is; `epoch` is 0 for one that has no record yet. */
export function documentAddress(name: string, epoch: number): string {
  const scheme = location.protocol === 'https:' ? 'wss' : 'ws'
  const query = `client=coscribe&schema=${SCHEMA_VERSION}&epoch=${epoch}`
  return `${scheme}://${location.host}/ws/${encodeURIComponent(name)}?${query}`
}
