/** What needs somebody to look at it: failed symbols, stale summaries, warnings. */
import { useMemo } from 'preact/hooks'
import type { Model } from '../data/model.js'
import { useShown } from '../parts/context.js'
import { Name, SymbolLine } from '../parts/links.js'
import { LongList } from '../parts/longlist.js'
import type { ListName } from '../routes.js'
import { count, shown } from '../text.js'

export function ListPage({ model, list }: { model: Model; list: ListName }) {
  if (list === 'failed') return <Failed model={model} />
  return list === 'stale' ? <Stale model={model} /> : <Warnings model={model} />
}

function Failed({ model }: { model: Model }) {
  useShown('Failed symbols')
  const nodes = useMemo(() => model.failedNodes(), [model])
  return (
    <>
      <h1 tabIndex={-1}>Failed symbols</h1>
      <p class="note">
        {nodes.length === 0 ? 'None has failed.' : `${count(nodes.length)} have no summary; each says why on its page.`}
      </p>
      <LongList items={nodes} first={100}>
        {(node) => <SymbolLine model={model} node={node} />}
      </LongList>
    </>
  )
}

function Warnings({ model }: { model: Model }) {
  useShown('Warnings')
  const { warnings } = model.overview.manifest
  return (
    <>
      <h1 tabIndex={-1}>Warnings</h1>
      {warnings.length === 0 && <p class="note">There are none.</p>}
      <LongList items={warnings} first={100} class="texts">
        {(warning) => shown(warning, 1_000)}
      </LongList>
    </>
  )
}

function Ids({ model, title, ids }: { model: Model; title: string; ids: string[] }) {
  if (ids.length === 0) return null
  return (
    <section>
      <h2>
        {title} <span class="count">{count(ids.length)}</span>
      </h2>
      <LongList items={ids} first={100}>
        {(id) => {
          const node = model.find(id)
          return node === null ? <Name name={id} /> : <SymbolLine model={model} node={node} />
        }}
      </LongList>
    </section>
  )
}

function Stale({ model }: { model: Model }) {
  useShown('Stale summaries')
  const { staleness } = model.overview
  return (
    <>
      <h1 tabIndex={-1}>Stale summaries</h1>
      {staleness === null ? (
        <p class="note">This site was not compared with a source: make it with --source FOLDER.</p>
      ) : (
        <>
          <p class="note">{count(staleness.up_to_date)} are up to date.</p>
          <Ids model={model} title="The source has changed since" ids={staleness.stale} />
          <Ids model={model} title="New in the source" ids={staleness.new} />
          <Ids model={model} title="Gone from the source" ids={staleness.gone} />
          <Ids model={model} title="In the source as before, and not documented" ids={staleness.undocumented} />
        </>
      )}
    </>
  )
}
