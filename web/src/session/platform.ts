//! The browser's socket and clock in the shape that `sync/` takes.

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
