/** The page that is shown, as a state: follows the address, and remembers how far each page was scrolled. */
import { useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks'
import { hrefOf, routeOf } from './routes.js'
import type { Route } from './routes.js'

/** Browsers refuse more than some seven changes of an address a second: what is typed is noted when it rests. */
const NOTE_AFTER_MS = 300

interface EntryState {
  key?: string
  scroll?: number
}

export interface Navigation {
  route: Route
  /** Show this page at once, as a step of its own in the history. */
  open: (route: Route) => void
  /** Show this page in place of the one that is shown, without an entry of its own in the history. */
  replace: (route: Route) => void
  /** Write down in the history what `replace` has been given. Call it before the page is left. */
  note: () => void
  /** Scroll where the page was left, or to its start. Call it when the content, or more of it, is there. */
  settle: () => void
}

function entry(): EntryState {
  return (history.state as EntryState | null) ?? {}
}

export function useNavigation(): Navigation {
  const [hash, setHash] = useState(location.hash)
  const memory = useRef({
    scrolls: new Map<string, number>(),
    key: '',
    keys: 0,
    target: null as number | null,
    noted: '',
  })

  const note = () => {
    const { noted, key } = memory.current
    memory.current.noted = ''
    if (noted !== '') history.replaceState({ key } satisfies EntryState, '', noted)
  }

  const arrive = (target: number) => {
    const own = memory.current
    own.key = entry().key ?? `${Date.now()}-${(own.keys += 1)}`
    own.target = own.scrolls.get(own.key) ?? target
    if (entry().key === undefined) history.replaceState({ key: own.key } satisfies EntryState, '')
  }
  // An address that is set is told a moment later: of keys in quick succession each would then make a step.
  const open = (route: Route) => {
    history.pushState(null, '', hrefOf(route))
    arrive(0)
    setHash(location.hash)
  }

  useLayoutEffect(() => {
    const own = memory.current
    history.scrollRestoration = 'manual'
    arrive(entry().scroll ?? 0)
    const follow = () => {
      own.noted = ''
      arrive(0)
      setHash(location.hash)
    }
    const remember = () => own.target === null && own.scrolls.set(own.key, scrollY)
    // Whoever scrolls has found a place.
    const give = () => (own.target = null)
    // A page that is loaded again finds its place too.
    const leave = () => history.replaceState({ key: own.key, scroll: scrollY } satisfies EntryState, '')
    addEventListener('hashchange', follow)
    addEventListener('scroll', remember, { passive: true })
    addEventListener('pagehide', leave)
    for (const name of ['wheel', 'pointerdown', 'keydown']) addEventListener(name, give, { passive: true })
    return () => {
      for (const name of ['wheel', 'pointerdown', 'keydown']) removeEventListener(name, give)
      removeEventListener('hashchange', follow)
      removeEventListener('scroll', remember)
      removeEventListener('pagehide', leave)
    }
  }, [])

  const timer = useRef(0)
  const replace = (route: Route) => {
    const href = hrefOf(route)
    setHash(href)
    memory.current.noted = href
    clearTimeout(timer.current)
    timer.current = setTimeout(note, NOTE_AFTER_MS) as unknown as number
  }
  const settle = () => {
    const { target } = memory.current
    if (target === null) return
    scrollTo(0, target)
    // As long as the page is too short, more of it is to come.
    if (Math.abs(scrollY - target) <= 1) memory.current.target = null
  }
  const route = useMemo(() => routeOf(hash), [hash])
  return { route, open, replace, note, settle }
}
