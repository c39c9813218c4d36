/** The neighbourhood of one symbol. */
import type { Model } from '../data/model.js'
import { useShown } from '../parts/context.js'

export function GraphPage(props: { model: Model; id: string; hops: 1 | 2; guesses: boolean }) {
  const title = `Graph of ${props.id}`
  useShown(title)
  return <h1 tabIndex={-1}>{title}</h1>
}
