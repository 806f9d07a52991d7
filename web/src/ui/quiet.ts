//! How long the page waits before it shows that it is waiting.

import { useEffect, useState } from 'preact/hooks'

/** Waiting shorter than this shows nothing: a flash of a placeholder is worse than none. */
export const QUIET_MS = 400

/** Whether something has been waited for so long that it should be shown. */
export function useSlow(isWaiting: boolean): boolean {
  const [isSlow, setSlow] = useState(false)
  useEffect(() => {
    if (!isWaiting) return
    const timer = setTimeout(() => setSlow(true), QUIET_MS)
    return () => {
      clearTimeout(timer)
      setSlow(false)
    }
  }, [isWaiting])
  return isWaiting && isSlow
}
