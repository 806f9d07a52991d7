//! How long to wait before the next attempt to connect. Pure: randomness comes as an argument.

/** The first retry comes quickly, as most losses are blips. */
const BASE_MS = 250
/** Nobody should wait longer than this after the server is back. */
const CAP_MS = 15_000

/**
 * Exponential with "equal jitter": half of the delay is fixed, half is random, so that a thousand tabs do not come
 * back in the same instant after a restart. `random` is in [0, 1).
 */
export function backoffDelay(attempt: number, random: number): number {
  const ceiling = Math.min(CAP_MS, BASE_MS * 2 ** Math.min(attempt, 16))
  return Math.round(ceiling / 2 + (ceiling / 2) * random)
}
