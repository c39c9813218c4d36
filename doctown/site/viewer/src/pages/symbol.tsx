/** All that is known of one symbol. */
import type { Model } from '../data/model.js'
import { useShown } from '../parts/context.js'

export function SymbolPage(props: { model: Model; id: string }) {
  const title = props.id
  useShown(title)
  return <h1 tabIndex={-1}>{title}</h1>
}
