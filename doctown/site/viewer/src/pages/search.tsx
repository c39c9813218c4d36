/** The results of a search, renewed with each letter. */
import { useEffect, useLayoutEffect, useMemo, useRef } from 'preact/hooks'
import type { Model } from '../data/model.js'
import type { Summaries } from '../data/shards.js'
import { useShown, useSite } from '../parts/context.js'
import { SymbolLine } from '../parts/links.js'
import { WhenLoaded } from '../parts/loading.js'
import { LongList } from '../parts/longlist.js'
import { counted, shownName } from '../text.js'

const MAX_RESULTS = 200
const SHOWN_AT_ONCE = 20

/** Move the focus between the results, and from the first of them back to the search box. */
function moveBetweenResults(event: KeyboardEvent, list: HTMLElement): void {
  if (event.key !== 'ArrowDown' && event.key !== 'ArrowUp') return
  const links = [...list.querySelectorAll<HTMLAnchorElement>('li a')]
  const at = links.indexOf(document.activeElement as HTMLAnchorElement)
  if (at < 0) return
  event.preventDefault()
  const next = links[at + (event.key === 'ArrowDown' ? 1 : -1)]
  if (next !== undefined) next.focus()
  else if (event.key === 'ArrowUp') document.getElementById('search')?.focus()
}

export function SearchPage({ model, query }: { model: Model; query: string }) {
  const { search, store } = useSite()
  const summaries = store.get<Summaries>('summaries')
  const results = useMemo(() => search?.index.search(query, MAX_RESULTS) ?? null, [search, query])
  useShown(query === '' ? 'Search' : `Search: ${shownName(query)}`)
  const list = useRef<HTMLDivElement>(null)
  useLayoutEffect(() => {
    const element = list.current
    if (element === null) return
    const onKey = (event: KeyboardEvent) => moveBetweenResults(event, element)
    element.addEventListener('keydown', onKey)
    return () => element.removeEventListener('keydown', onKey)
  }, [])
  useEffect(() => {
    const from = performance.getEntriesByName('doctown-input').at(-1)
    if (from === undefined) return
    requestAnimationFrame(() =>
      setTimeout(() => {
        if (performance.getEntriesByName('doctown-input').length === 0) return
        performance.measure('doctown-keystroke', 'doctown-input')
        performance.clearMarks('doctown-input')
      }),
    )
  }, [query])
  return (
    <div ref={list}>
      <h1 tabIndex={-1}>{query === '' ? 'Search' : <>Results for “{shownName(query)}”</>}</h1>
      <p class="note" role="status">
        {query.trim() === '' ? (
          'Type a name, parts of it, or words of what it does.'
        ) : results === null ? (
          'Preparing the search…'
        ) : (
          <>
            {results.total === 0 ? 'Nothing was found' : counted(results.total, 'result')}
            {results.total > MAX_RESULTS && `; the best ${MAX_RESULTS} are listed`}
            {search?.hasSummaries === false && summaries.state !== 'failed' && '; summaries are not searched yet'}.
          </>
        )}
      </p>
      {summaries.state === 'failed' && (
        <WhenLoaded store={store} name="summaries" loaded={summaries}>
          {() => null}
        </WhenLoaded>
      )}
      {results !== null && results.nodes.length > 0 && (
        <LongList key={query} items={results.nodes} first={SHOWN_AT_ONCE} class="rows results">
          {(node) => <SymbolLine model={model} node={node} words={results.words} />}
        </LongList>
      )}
    </div>
  )
}
