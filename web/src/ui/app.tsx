//! The frame around the pages. The document page and the lab are chunks of their own, as they bring the editor.

import type { FunctionComponent } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { t } from '../i18n/strings'
import { Confirmation } from './dialog'
import { Feedback } from './feedback'
import { Home } from './home/home'
import { followLink, route } from './router'

const loadDocument = () => import('./document/page').then(({ Page }) => Page)
const loadLab = () => import('./lab/lab').then(({ Lab }) => Lab)

interface LazyProps<Props> {
  /** The same function each time, as another one loads anew. */
  readonly load: () => Promise<FunctionComponent<Props>>
  readonly props: Props
}

function Lazy<Props extends object>({ load, props }: LazyProps<Props>) {
  const [page, setPage] = useState<{ readonly component: FunctionComponent<Props> } | 'failed' | null>(null)
  const [attempt, setAttempt] = useState(0)
  useEffect(() => {
    load().then(
      (component) => setPage({ component }),
      () => setPage('failed'),
    )
  }, [load, attempt])
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
  return <Component {...props} />
}

export function App() {
  const at = route.value
  return (
    <>
      {at.page === 'home' && <Home trash={at.trash} />}
      {at.page === 'document' && <Lazy key={at.name} load={loadDocument} props={{ name: at.name }} />}
      {at.page === 'lab' && <Lazy key="/lab" load={loadLab} props={{ name: at.name, seed: at.seed }} />}
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
