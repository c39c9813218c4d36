/** What stands where something is still loaded, or could not be. */
import type { ComponentChildren } from 'preact'
import type { Loaded, Store } from '../data/store.js'
import { shown } from '../text.js'

/** The children of a shard that is there; else that it is loaded, or why it is not and a button that tries again. */
export function WhenLoaded<Value>(props: {
  store: Store
  name: string
  loaded: Loaded<Value>
  /** Whether there is nothing else on the page, which needs a heading then. */
  isPage?: boolean
  children: (value: Value) => ComponentChildren
}) {
  const { store, name, loaded, isPage = false, children } = props
  if (loaded.state === 'ready') return <>{children(loaded.value)}</>
  if (loaded.state === 'loading') {
    return (
      <p class="loading" role="status">
        Loading…
      </p>
    )
  }
  return (
    <div class="failed" role="alert">
      {isPage && <h1>This page could not be loaded</h1>}
      <p>A part of this documentation is missing: {shown(loaded.reason, 500)}</p>
      <button type="button" onClick={() => store.retry(name)}>
        Try again
      </button>
    </div>
  )
}
