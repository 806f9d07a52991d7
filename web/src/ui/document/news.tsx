//! What others wrote since this browser was last here: a quiet word at the edge, and the memory behind it.

import { useEffect, useState } from 'preact/hooks'
import { listVersions } from '../../api/versions'
import { t } from '../../i18n/strings'
import { awarenessUser } from '../../session/identity'
import { lastSeen, type News, newsSince, remember } from '../../session/last-seen'
import type { DocumentSession } from '../../session/session'
import { names } from '../history/words'
import { Icon } from '../icons'
import { historyPath, openHistory } from '../router'
import { relativeTime } from '../time'

/** Sessions that are looked at for who wrote; more than these are not counted up. */
const SESSIONS = 50
/** After the last change in view, the time until it counts as seen. */
const SEEN_MS = 4_000

export function NewsNotice({ session }: { session: DocumentSession }) {
  const [news, setNews] = useState<News | null>(null)
  useEffect(() => follow(session, setNews), [session])
  if (!news) return null
  const time = relativeTime(new Date(news.since.at), Date.now())
  return (
    <aside class="news" aria-label={t('history.sinceBar')}>
      <Icon name="history" size={16} />
      <p role="status">{t('history.news', { names: names(news.authors), time })}</p>
      <button
        type="button"
        class="button button-small"
        onClick={() => {
          setNews(null)
          openHistory(historyPath(session.name, { since: news.since.seq }))
        }}
      >
        {t('history.newsShow')}
      </button>
      <button
        type="button"
        class="icon-button"
        aria-label={t('history.newsDismiss')}
        onClick={() => setNews(null)}
      >
        <Icon name="close" size={16} />
      </button>
    </aside>
  )
}

/** Tells once what is new, then keeps in mind how far the page was in view. Returns what ends it. */
function follow(session: DocumentSession, tell: (news: News) => void): () => void {
  const { name, doc } = session
  const leave = new AbortController()
  let timer: ReturnType<typeof setTimeout> | null = null
  const newest = async (limit: number) => {
    try {
      return (await listVersions(name, { limit }, leave.signal)).versions
    } catch {
      // Only this notice depends on it, and the pill already says when the server is away: the next edit asks again.
      return null
    }
  }
  const see = async (limit: number) => {
    const versions = await newest(limit)
    if (!versions || leave.signal.aborted || document.visibilityState !== 'visible') return versions
    const seq = Math.max(0, ...versions.map((version) => version.seq))
    if (seq > 0) remember(name, { seq, at: Date.now() })
    return versions
  }
  const onUpdate = () => {
    if (timer) clearTimeout(timer)
    timer = setTimeout(() => void see(1), SEEN_MS)
  }
  const before = lastSeen(name)
  void see(SESSIONS).then((versions) => {
    const news = versions && newsSince(versions, before, awarenessUser.value)
    if (news && !leave.signal.aborted) tell(news)
    if (!leave.signal.aborted) doc.on('update', onUpdate)
  })
  document.addEventListener('visibilitychange', onUpdate)
  return () => {
    leave.abort()
    if (timer) clearTimeout(timer)
    doc.off('update', onUpdate)
    document.removeEventListener('visibilitychange', onUpdate)
  }
}
