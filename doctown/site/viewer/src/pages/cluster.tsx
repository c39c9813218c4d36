/** The symbols of one cluster. */
import type { Model } from '../data/model.js'
import { useShown } from '../parts/context.js'

export function ClusterPage(props: { model: Model; id: number }) {
  const title = `Cluster ${props.id}`
  useShown(title)
  return <h1 tabIndex={-1}>{title}</h1>
}
