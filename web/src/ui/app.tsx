//! The frame around the pages. The document page and the lab are chunks of their own, as they bring the editor; so is
//! the history, which can be opened without it.

import type { FunctionComponent } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { t } from '../i18n/strings'
import { Confirmation } from './dialog'
import { Feedback } from './feedback'
import { Home } from './home/home'
import { followLink, type Route, route } from './router'

const loadDocument = () => import('./document/page').then(({ Page }) => Page)
const loadHistory = () => import('./history/history').then(({ History }) => History)
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

/** The document whose page is there: also under its history, so that undo, carets and the place in the text stay. */
function useOpenDocument(at: Route): string | null {
  const open = useRef<string | null>(null)
  if (at.page === 'document') open.current = at.name
  else if (at.page !== 'history' || at.name !== open.current) open.current = null
  return open.current
}

export function App() {
  const at = route.value
  const openDocument = useOpenDocument(at)
  return (
    <>
      {at.page === 'home' && <Home trash={at.trash} />}
      {openDocument !== null && (
        <Lazy
          key={`document ${openDocument}`}
          load={loadDocument}
          props={{ name: openDocument, covered: at.page === 'history' }}
        />
      )}
      {at.page === 'history' && (
        <div class="cover">
          <Lazy
            key={`history ${at.name}`}
            load={loadHistory}
            props={{ name: at.name, at: at.at, since: at.since }}
          />
        </div>
      )}
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
