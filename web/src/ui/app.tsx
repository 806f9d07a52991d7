//! The frame around both pages. The document page is a chunk of its own, as it brings the editor.

import type { FunctionComponent } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { t } from '../i18n/strings'
import { Confirmation } from './dialog'
import { Feedback } from './feedback'
import { Home } from './home/home'
import { followLink, route } from './router'

type DocumentPage = FunctionComponent<{ readonly name: string }>

function LazyDocument({ name }: { name: string }) {
  const [page, setPage] = useState<{ readonly component: DocumentPage } | 'failed' | null>(null)
  const [attempt, setAttempt] = useState(0)
  useEffect(() => {
    import('./document/page').then(
      ({ Page }) => setPage({ component: Page }),
      () => setPage('failed'),
    )
  }, [attempt])
  if (page === 'failed') {
    return (
      <main class="centered-notice">
        <p>{t('app.editorFailed')}</p>
        <button type="button" class="button" onClick={() => setAttempt(attempt + 1)}>
          {t('app.retry')}
        </button>
      </main>
    )
  }
  if (!page) return <main class="document-frame" aria-busy="true" aria-label={t('doc.opening')} />
  const Component = page.component
  return <Component key={name} name={name} />
}

export function App() {
  const at = route.value
  return (
    <>
      {at.page === 'home' && <Home trash={at.trash} />}
      {at.page === 'document' && <LazyDocument name={at.name} />}
      {at.page === 'unknown' && (
        <main class="centered-notice">
          <p>{t('app.notFound')}</p>
          <a class="button" href="/" onClick={followLink}>
            {t('doc.home')}
          </a>
        </main>
      )}
      <Feedback />
      <Confirmation />
    </>
  )
}
