/** The search box of the header, and the keys around it. The results are a page (`pages/search.tsx`). */
import type { RefObject } from 'preact'
import { useEffect, useRef } from 'preact/hooks'
import type { Navigation } from '../navigation.js'
import { hrefOf } from '../routes.js'

/** `/` leads to the search from anywhere but where one types. */
function useSlash(input: RefObject<HTMLInputElement | null>): void {
  useEffect(() => {
    const focus = (event: KeyboardEvent) => {
      const at = event.target as HTMLElement
      const isTyping = at.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(at.tagName)
      if (event.key !== '/' || isTyping || event.ctrlKey || event.metaKey || event.altKey) return
      event.preventDefault()
      input.current?.focus()
      input.current?.select()
    }
    addEventListener('keydown', focus)
    return () => removeEventListener('keydown', focus)
  }, [])
}

/** Escape in the results does what it does in the box. */
function useEscape(main: RefObject<HTMLElement | null>, isSearch: boolean, close: () => void): void {
  useEffect(() => {
    const element = main.current
    const onKey = (event: KeyboardEvent) => {
      if (event.key === 'Escape' && isSearch) close()
    }
    element?.addEventListener('keydown', onKey)
    return () => element?.removeEventListener('keydown', onKey)
  })
}

export function SearchBox({ navigation, main }: { navigation: Navigation; main: RefObject<HTMLElement | null> }) {
  const { route } = navigation
  const input = useRef<HTMLInputElement>(null)
  // Whether the search was opened from another page, to which Escape leads back.
  const wasOpened = useRef(false)
  const query = route.page === 'search' ? route.query : ''

  useSlash(input)

  const close = () => {
    navigation.note()
    if (route.page === 'search' && wasOpened.current) history.back()
    else if (route.page === 'search') location.hash = hrefOf({ page: 'overview' })
    input.current?.blur()
    wasOpened.current = false
  }
  const type = (text: string) => {
    performance.clearMarks('doctown-input')
    performance.mark('doctown-input')
    if (route.page === 'search') navigation.replace({ page: 'search', query: text })
    else if (text !== '') {
      wasOpened.current = true
      navigation.open({ page: 'search', query: text })
    }
  }
  const onKey = (event: KeyboardEvent) => {
    const first = main.current?.querySelector<HTMLAnchorElement>('.results a')
    if (event.key === 'Escape') close()
    else if (event.key === 'ArrowDown') first?.focus()
    else if (event.key === 'Enter' && route.page === 'search') {
      navigation.note()
      input.current?.blur() // so that the focus goes to the page
      first?.click()
    } else return
    event.preventDefault()
  }
  useEscape(main, route.page === 'search', close)
  return (
    <search>
      <input
        ref={input}
        id="search"
        type="search"
        autocomplete="off"
        autocapitalize="off"
        spellcheck={false}
        aria-label="Search names and summaries"
        aria-keyshortcuts="/"
        placeholder="Search names and summaries ( / )"
        maxLength={500}
        value={query}
        onInput={(event) => type(event.currentTarget.value)}
        onKeyDown={onKey}
        onBlur={navigation.note}
      />
    </search>
  )
}
