//! How long the page waits before it shows that it is waiting.

/** Waiting shorter than this shows nothing: a flash of a placeholder is worse than none. */
export const QUIET_MS = 400
