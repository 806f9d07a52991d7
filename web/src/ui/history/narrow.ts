//! Whether the page is as narrow as a phone: then the list of versions is a sheet and the bar keeps only what fits.

import { useEffect, useState } from 'preact/hooks'

/** The same width as in `history.css`. */
const QUERY = '(max-width: 700px)'

export function useNarrow(): boolean {
  const [isNarrow, setNarrow] = useState(() => matchMedia(QUERY).matches)
  useEffect(() => {
    const query = matchMedia(QUERY)
    const onChange = () => setNarrow(query.matches)
    query.addEventListener('change', onChange)
    return () => query.removeEventListener('change', onChange)
  }, [])
  return isNarrow
}
