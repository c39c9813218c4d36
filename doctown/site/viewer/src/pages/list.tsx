/** What needs somebody to look at it. */
import type { Model } from '../data/model.js'
import { useShown } from '../parts/context.js'

export function ListPage(props: { model: Model; list: 'failed' | 'stale' | 'warnings' }) {
  const title = props.list
  useShown(title)
  return <h1 tabIndex={-1}>{title}</h1>
}
