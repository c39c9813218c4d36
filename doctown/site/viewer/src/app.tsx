/** The shell around the pages: header with the search box, the page that the address asks for, footer. */
import type { ComponentChildren, RefObject } from 'preact'
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks'
import { Model } from './data/model.js'
import { SearchIndex } from './data/search.js'
import type { Names, Overview, Summaries } from './data/shards.js'
import type { Store } from './data/store.js'
import { GraphPage } from './graphs/graph.js'
import { MapPage } from './graphs/map.js'
import { useNavigation } from './navigation.js'
import type { Navigation } from './navigation.js'
import { ClusterPage } from './pages/cluster.js'
import { FilePage } from './pages/file.js'
import { FilesPage } from './pages/files.js'
import { ListPage } from './pages/list.js'
import { OverviewPage } from './pages/overview.js'
import { SearchPage } from './pages/search.js'
import { SymbolPage } from './pages/symbol.js'
import { UnknownPage } from './pages/unknown.js'
import { SiteContext, useShard } from './parts/context.js'
import type { Site as SiteValue } from './parts/context.js'
import { WhenLoaded } from './parts/loading.js'
import { SearchBox } from './parts/searchbox.js'
import { ThemeSwitch } from './parts/theme.js'
import { hrefOf } from './routes.js'
import type { Route } from './routes.js'
import { shownName } from './text.js'

/** So many summaries are put into the index before the page may react again. */
const SUMMARIES_AT_ONCE = 2_000

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

/** Let the browser draw and react before going on. */
function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve))
}

/** The index of names as soon as they are there, then of summaries too. */
function useSearch(model: Model | null, store: Store): SiteValue['search'] {
  const [search, setSearch] = useState<SiteValue['search']>(null)
  const index = search?.index
  const summaries = store.get<Summaries>('summaries')
  useEffect(() => {
    if (model === null) return
    const timer = setTimeout(() => {
      setSearch({ index: new SearchIndex(model), hasSummaries: false })
      performance.mark('doctown-search')
      store.load('summaries').catch(() => undefined) // the search page says it
    })
    return () => clearTimeout(timer)
  }, [model, store])
  useEffect(() => {
    if (index === undefined || summaries.state !== 'ready') return
    let isWanted = true
    const texts = summaries.value.summaries
    const add = async () => {
      for (let first = 0; first < texts.length && isWanted; first += SUMMARIES_AT_ONCE) {
        index.addSummaries(texts, first, first + SUMMARIES_AT_ONCE)
        await pause()
      }
      if (isWanted) setSearch({ index, hasSummaries: true })
    }
    void add()
    return () => {
      isWanted = false
    }
  }, [index, summaries.state])
  return search
}

function Header({
  navigation,
  main,
  name,
}: {
  navigation: Navigation
  main: RefObject<HTMLElement | null>
  name: string
}) {
  const links: [Route, string][] = [
    [{ page: 'files' }, 'Files'],
    [{ page: 'map', by: 'clusters', folder: '' }, 'Map'],
  ]
  return (
    <header class="bar">
      <button type="button" class="skip" onClick={() => main.current?.focus()}>
        Skip to the content
      </button>
      <a class="brand" href={hrefOf({ page: 'overview' })}>
        {name}
      </a>
      <SearchBox navigation={navigation} main={main} />
      <nav aria-label="Pages">
        {links.map(([route, label]) => (
          <a key={label} href={hrefOf(route)} aria-current={route.page === navigation.route.page ? 'page' : undefined}>
            {label}
          </a>
        ))}
      </nav>
      <ThemeSwitch />
    </header>
  )
}

function Site({ store, overview }: { store: Store; overview: Overview }) {
  const navigation = useNavigation()
  const { route } = navigation
  const names = useShard<Names>(store, 'names')
  const model = useMemo(() => (names.state === 'ready' ? new Model(overview, names.value) : null), [overview, names])
  const search = useSearch(model, store)
  const loadedSummaries = store.get<Summaries>('summaries')
  const main = useRef<HTMLElement>(null)
  const isFirst = useRef(true)
  const { repository, generator } = overview.manifest
  const name = shownName(repository.name)
  const onShown = (title: string) => {
    document.title = title === name ? name : `${title} · ${name}`
    navigation.settle()
    if (isFirst.current) performance.mark('doctown-content')
    else if (document.activeElement?.id !== 'search') main.current?.querySelector('h1')?.focus({ preventScroll: true })
    isFirst.current = false
  }
  const needsNames = route.page !== 'overview' && route.page !== 'unknown'
  const summaries = loadedSummaries.state === 'ready' ? loadedSummaries.value : null
  return (
    <SiteContext.Provider value={{ store, overview, model, summaries, search, onShown, onMore: navigation.settle }}>
      <Header navigation={navigation} main={main} name={name} />
      <main ref={main} tabIndex={-1}>
        {needsNames ? (
          <WhenLoaded store={store} name="names" loaded={names} isPage>
            {() => <Page route={route} model={model} overview={overview} />}
          </WhenLoaded>
        ) : (
          <Page route={route} model={model} overview={overview} />
        )}
      </main>
      <footer>
        Documentation of {name}
        {repository.commit !== null && ` at commit ${shownName(repository.commit.slice(0, 12))}`}, made by{' '}
        {shownName(generator.name)} {shownName(generator.version)}. What is written here may be wrong; the source is
        what counts.
      </footer>
    </SiteContext.Provider>
  )
}

/** Tell what has gone wrong in place of a blank page. */
function Shell({ children }: { children: ComponentChildren }) {
  useLayoutEffect(() => {
    document.title = 'Documentation'
  }, [])
  return <main>{children}</main>
}

export function App({ store }: { store: Store }) {
  const overview = useShard<Overview>(store, 'overview')
  if (overview.state === 'ready') return <Site store={store} overview={overview.value} />
  return (
    <Shell>
      <WhenLoaded store={store} name="overview" loaded={overview} isPage>
        {() => null}
      </WhenLoaded>
    </Shell>
  )
}
