/** A list that begins short, with a button that shows more of it. */
import type { ComponentChildren } from 'preact'
import { useId, useRef, useState } from 'preact/hooks'
import { count } from '../text.js'

const FIRST = 25
const MORE = 200

/** How much more of a list was shown, by its page and its place there: whoever comes back finds it so. */
const OPENED = new Map<string, number>()

export function LongList<Item>(props: {
  items: readonly Item[]
  children: (item: Item, place: number) => ComponentChildren
  first?: number
  class?: string
}) {
  const { items, children, first = FIRST } = props
  const place = `${location.hash} ${useId()}`
  const [more, setMore] = useState(OPENED.get(place) ?? 0)
  const list = useRef<HTMLUListElement>(null)
  const length = Math.min(items.length, first + more)
  const showMore = () => {
    setMore(more + MORE)
    OPENED.set(place, more + MORE)
    // The button may be gone: whoever uses the keyboard goes on at the first new line.
    requestAnimationFrame(() => list.current?.children[length]?.querySelector('a')?.focus())
  }
  return (
    <>
      <ul class={props.class ?? 'rows'} ref={list}>
        {items.slice(0, length).map((item, place) => (
          <li key={place}>{children(item, place)}</li>
        ))}
      </ul>
      {length < items.length && (
        <button type="button" class="more" onClick={showMore}>
          Show {count(Math.min(MORE, items.length - length))} more of {count(items.length)}
        </button>
      )}
    </>
  )
}
