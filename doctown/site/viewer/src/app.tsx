/** The shell around the pages: header, search box, the page that the address asks for, footer. */
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks'
import { Model } from './data/model.js'
import type { Names, Overview } from './data/shards.js'
import type { Store } from './data/store.js'
import { MapPage } from './graphs/map.js'
import { GraphPage } from './graphs/graph.js'
import { ClusterPage } from './pages/cluster.js'
import { FilePage } from './pages/file.js'
import { FilesPage } from './pages/files.js'
import { ListPage } from './pages/list.js'
import { OverviewPage } from './pages/overview.js'
import { SearchPage } from './pages/search.js'
import { SymbolPage } from './pages/symbol.js'
import { UnknownPage } from './pages/unknown.js'
import { SiteContext, useShard } from './parts/context.js'
import { WhenLoaded } from './parts/loading.js'
import { hrefOf, routeOf } from './routes.js'
import type { Route } from './routes.js'
import { shownName } from './text.js'

function Page({ route, model, overview }: { route: Route; model: Model | null; overview: Overview }) {
  if (route.page === 'overview') return <OverviewPage overview={overview} />
  if (route.page === 'unknown') return <UnknownPage />
  if (model === null) return null
  switch (route.page) {
    case 'search':
      return <SearchPage model={model} query={route.query} />
    case 'symbol':
      return <SymbolPage model={model} id={route.id} />
    case 'file':
      return <FilePage model={model} path={route.path} />
    case 'files':
      return <FilesPage model={model} />
    case 'cluster':
      return <ClusterPage model={model} id={route.id} />
    case 'map':
      return <MapPage model={model} by={route.by} folder={route.folder} />
    case 'graph':
      return <GraphPage model={model} id={route.id} hops={route.hops} guesses={route.guesses} />
    case 'list':
      return <ListPage model={model} list={route.list} />
  }
}

function useRoute(): Route {
  const [hash, setHash] = useState(location.hash)
  useLayoutEffect(() => {
    const follow = () => setHash(location.hash)
    addEventListener('hashchange', follow)
    return () => removeEventListener('hashchange', follow)
  }, [])
  return useMemo(() => routeOf(hash), [hash])
}

function Site({ store, overview }: { store: Store; overview: Overview }) {
  const route = useRoute()
  const names = useShard<Names>(store, 'names')
  const model = useMemo(() => (names.state === 'ready' ? new Model(overview, names.value) : null), [overview, names])
  const main = useRef<HTMLElement>(null)
  const isFirst = useRef(true)
  const name = shownName(overview.manifest.repository.name)
  const onShown = (title: string) => {
    document.title = title === name ? name : `${title} · ${name}`
    if (isFirst.current) performance.mark('doctown-content')
    else main.current?.querySelector('h1')?.focus({ preventScroll: true })
    isFirst.current = false
  }
  useEffect(() => {
    if (names.state === 'ready') performance.mark('doctown-search')
  }, [names])
  const needsNames = route.page !== 'overview' && route.page !== 'unknown'
  return (
    <SiteContext.Provider value={{ store, overview, model, onShown }}>
      <header>
        <a href={hrefOf({ page: 'overview' })}>{name}</a>
        <input type="search" aria-label="Search" placeholder="Search" />
      </header>
      <main ref={main}>
        {needsNames ? (
          <WhenLoaded store={store} name="names" loaded={names}>
            {() => <Page route={route} model={model} overview={overview} />}
          </WhenLoaded>
        ) : (
          <Page route={route} model={model} overview={overview} />
        )}
      </main>
      <footer>Made by Doctown {shownName(overview.manifest.generator.version)}.</footer>
    </SiteContext.Provider>
  )
}

export function App({ store }: { store: Store }) {
  const overview = useShard<Overview>(store, 'overview')
  return (
    <WhenLoaded store={store} name="overview" loaded={overview}>
      {(value) => <Site store={store} overview={value} />}
    </WhenLoaded>
  )
}
