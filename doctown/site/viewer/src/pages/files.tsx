/** The tree of files. */
import type { Model } from '../data/model.js'
import { useShown } from '../parts/context.js'

export function FilesPage(props: { model: Model }) {
  const title = `Files (${props.model.names.files.length})`
  useShown(title)
  return <h1 tabIndex={-1}>{title}</h1>
}
