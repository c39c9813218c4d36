/** The map of clusters or folders. */
import type { Model } from '../data/model.js'
import { useShown } from '../parts/context.js'

export function MapPage(props: { model: Model; by: 'clusters' | 'folders'; folder: string }) {
  const title = `Map of ${props.by}`
  useShown(title)
  return <h1 tabIndex={-1}>{title}</h1>
}
