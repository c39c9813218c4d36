/** The symbols of one cluster, the most central first. */
import { useMemo } from 'preact/hooks'
import type { Model } from '../data/model.js'
import { useShown } from '../parts/context.js'
import { SymbolLine } from '../parts/links.js'
import { LongList } from '../parts/longlist.js'
import { hrefOf } from '../routes.js'
import { counted, shown, shownName } from '../text.js'
import { UnknownPage } from './unknown.js'

export function ClusterPage({ model, id }: { model: Model; id: number }) {
  const cluster = model.overview.clusters[id]
  return cluster === undefined ? <UnknownPage what="cluster" /> : <KnownCluster key={id} model={model} id={id} />
}

function KnownCluster({ model, id }: { model: Model; id: number }) {
  const cluster = model.overview.clusters[id]!
  const label = shownName(cluster.label)
  useShown(`Cluster: ${label}`, String(id))
  const members = useMemo(() => model.membersOfCluster(id), [model, id])
  const basis = model.overview.cluster_basis === 'embeddings' ? 'their meaning' : 'the words in them'
  return (
    <article>
      <nav class="trail" aria-label="Where it stands">
        <a href={hrefOf({ page: 'map', by: 'clusters', folder: '' })}>Clusters</a>
      </nav>
      <h1 tabIndex={-1}>{label}</h1>
      <p class="note">
        {counted(members.length, 'symbol')} that belong together by {basis}, the most central first.
        {cluster.terms.length > 0 && ` Terms: ${shown(cluster.terms.join(', '), 400)}.`}
      </p>
      <LongList items={members} first={50}>
        {(node) => <SymbolLine model={model} node={node} />}
      </LongList>
    </article>
  )
}
