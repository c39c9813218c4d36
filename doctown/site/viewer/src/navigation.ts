/** The page that is shown, as a state: follows the address, and remembers how far each page was scrolled. */
import { useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks'
import { hrefOf, routeOf } from './routes.js'
import type { Route } from './routes.js'

/** Browsers refuse more than some seven changes of an address a second: what is typed is noted when it rests. */
const NOTE_AFTER_MS = 400

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

interface Memory {
  /** How far the pages were scrolled, by the keys of their entries. */
  scrolls: Map<string, number>
  key: string
  /** How far this page is to be scrolled; null when it is. */
  target: number | null
  /** The address that is to be written down. */
  noted: string
}

function entry(): EntryState {
  return (history.state as EntryState | null) ?? {}
}

/** The key of the entry of the history that is shown; a new one where it has none yet. */
function keyOfEntry(): string {
  const { key = crypto.randomUUID?.() ?? String(Math.random()), ...rest } = entry()
  history.replaceState({ ...rest, key } satisfies EntryState, '')
  return key
}

export function useNavigation(): Navigation {
  const [hash, setHash] = useState(location.hash)
  const memory = useRef<Memory | null>(null)
  // Before anything is drawn: what is drawn first asks where it was left.
  memory.current ??= { scrolls: new Map(), key: keyOfEntry(), target: entry().scroll ?? 0, noted: '' }
  const own = memory.current

  const note = () => {
    const { noted, key } = own
    own.noted = ''
    if (noted !== '') history.replaceState({ key } satisfies EntryState, '', noted)
  }

  const arrive = (target: number) => {
    own.key = keyOfEntry()
    own.target = own.scrolls.get(own.key) ?? target
  }
  // An address that is set is told a moment later: of keys in quick succession each would then make a step.
  const open = (route: Route) => {
    history.pushState(null, '', hrefOf(route))
    arrive(0)
    setHash(location.hash)
  }

  useLayoutEffect(() => {
    history.scrollRestoration = 'manual'
    const follow = () => {
      own.noted = ''
      arrive(0)
      setHash(location.hash)
    }
    let timer = 0
    const remember = () => {
      if (own.target !== null) return
      own.scrolls.set(own.key, scrollY)
      clearTimeout(timer)
      timer = setTimeout(keep, NOTE_AFTER_MS) as unknown as number
    }
    // A page that is loaded again finds its place too.
    const keep = () => {
      const scroll = own.scrolls.get(own.key) ?? 0
      if (own.noted === '') history.replaceState({ key: own.key, scroll } satisfies EntryState, '')
    }
    // Whoever scrolls has found a place.
    const give = () => (own.target = null)
    addEventListener('hashchange', follow)
    addEventListener('scroll', remember, { passive: true })
    for (const name of ['wheel', 'pointerdown', 'keydown']) addEventListener(name, give, { passive: true })
    return () => {
      for (const name of ['wheel', 'pointerdown', 'keydown']) removeEventListener(name, give)
      removeEventListener('hashchange', follow)
      removeEventListener('scroll', remember)
      clearTimeout(timer)
    }
  }, [])

  const timer = useRef(0)
  const replace = (route: Route) => {
    const href = hrefOf(route)
    setHash(href)
    own.noted = href
    clearTimeout(timer.current)
    timer.current = setTimeout(note, NOTE_AFTER_MS) as unknown as number
  }
  const settle = () => {
    const { target } = own
    if (target === null) return
    scrollTo(0, target)
    // As long as the page is too short, more of it is to come.
    if (Math.abs(scrollY - target) <= 1) own.target = null
  }
  const route = useMemo(() => routeOf(hash), [hash])
  return { route, open, replace, note, settle }
}
