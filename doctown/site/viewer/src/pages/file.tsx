/** The outline of one file. */
import type { Model } from '../data/model.js'
import { useShown } from '../parts/context.js'

export function FilePage(props: { model: Model; path: string }) {
  const title = props.path
  useShown(title)
  return <h1 tabIndex={-1}>{title}</h1>
}
