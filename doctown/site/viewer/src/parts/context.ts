/** What every page can ask for: the store, the model once the names are there, and how to say that it is shown. */
import { createContext } from 'preact'
import { useContext, useEffect, useLayoutEffect, useState } from 'preact/hooks'
import type { Model } from '../data/model.js'
import type { SearchIndex } from '../data/search.js'
import type { Overview, Summaries } from '../data/shards.js'
import type { Loaded, Store } from '../data/store.js'

export interface Site {
  store: Store
  overview: Overview
  /** Null until the names are there. */
  model: Model | null
  /** Null until they are there. */
  summaries: Summaries | null
  /** Null until it is built; another object when the words of summaries are in it. */
  search: { index: SearchIndex; hasSummaries: boolean } | null
  /** Called by a page when its content is there, with its title. */
  onShown: (title: string) => void
  /** Called when a part that came later is there. */
  onMore: () => void
}

export const SiteContext = createContext<Site | null>(null)

export function useSite(): Site {
  const site = useContext(SiteContext)
  if (site === null) throw new Error('no site around this component')
  return site
}

/** Redraw the component when any shard changes its state. */
export function useStore(store: Store): void {
  const [, setVersion] = useState(0)
  useLayoutEffect(() => store.subscribe(() => setVersion((version) => version + 1)), [store])
}

/** The shard of this name, loaded when first asked for. */
export function useShard<Value>(store: Store, name: string): Loaded<Value> {
  useStore(store)
  useEffect(() => {
    if (store.get(name).state === 'loading') store.load(name).catch(() => undefined) // the state says it
  }, [store, name])
  return store.get<Value>(name)
}

/** Say that a part of the page that came later is there. */
export function useMore(): void {
  const { onMore } = useSite()
  useLayoutEffect(onMore, [])
}

/** Give the page its title, and say that its content is shown. `key` changes with what it shows. */
export function useShown(title: string, key: string = title): void {
  const { onShown } = useSite()
  useLayoutEffect(() => onShown(title), [title, key])
}
