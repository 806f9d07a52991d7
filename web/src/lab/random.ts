//! Randomness that can be played again: the same seed gives the same lab.

/**
 * Numbers in [0, 1) from a 32-bit seed: a counter with an odd step, scrambled by multiply and xor-shift ("mulberry32",
 * public domain). Good enough to vary keystrokes and cuts, and for nothing that has to stay secret.
 */
export function seeded(seed: number): () => number {
  let counter = seed | 0
  return () => {
    counter = (counter + 0x6d2b79f5) | 0
    let mixed = Math.imul(counter ^ (counter >>> 15), 1 | counter)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
