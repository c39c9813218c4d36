/** The results of a search. */
import type { Model } from '../data/model.js'
import { useShown } from '../parts/context.js'

export function SearchPage(props: { model: Model; query: string }) {
  const title = `Search: ${props.query}`
  useShown(title)
  return <h1 tabIndex={-1}>{title}</h1>
}
