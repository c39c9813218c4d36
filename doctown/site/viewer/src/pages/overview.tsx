/** The first page: what the repository is and where to begin. */
import type { Overview } from '../data/shards.js'
import { useShown } from '../parts/context.js'
import { shownName } from '../text.js'

export function OverviewPage({ overview }: { overview: Overview }) {
  const name = shownName(overview.manifest.repository.name)
  useShown(name)
  return <h1 tabIndex={-1}>{name}</h1>
}
