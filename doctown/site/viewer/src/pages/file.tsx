/** The outline of one file. */
import { useMemo } from 'preact/hooks'
import { byNeighbour } from '../data/edges.js'
import type { Model } from '../data/model.js'
import type { Symbols } from '../data/shards.js'
import { useShard, useShown, useSite } from '../parts/context.js'
import { Kind, Flags, Lines, Name, SymbolLink, WebLink } from '../parts/links.js'
import { WhenLoaded } from '../parts/loading.js'
import { LongList } from '../parts/longlist.js'
import { hrefOf } from '../routes.js'
import { count, counted, shown, shownName, size } from '../text.js'
import { UnknownPage } from './unknown.js'

const STATUS = { parsed: 'parsed', partial: 'parsed in part', skipped: 'skipped' }
const MAX_DEPTH = 12

export function FilePage({ model, path }: { model: Model; path: string }) {
  const file = model.findFile(path)
  return file === null ? <UnknownPage what="file" id={path} /> : <KnownFile key={file} model={model} file={file} />
}

/** The symbols of a file in the order of the source, with how deep each stands in others. */
function outline(model: Model, file: number): [node: number, depth: number][] {
  return model
    .nodesOfFile(file)
    .filter((node) => !model.isModule(node))
    .map((node) => [node, Math.min(MAX_DEPTH, model.ancestors(node).length)])
}

function KnownFile({ model, file }: { model: Model; file: number }) {
  const info = model.fileInfo(file)!
  const path = shownName(info.path)
  useShown(path, String(file))
  const symbols = useMemo(() => outline(model, file), [model, file])
  const module = model.moduleOfFile(file)
  const folder = info.path.split('/').slice(0, -1).join('/')
  return (
    <article>
      <nav class="trail" aria-label="Where it stands">
        <a href={hrefOf({ page: 'files' })}>Files</a>
        {folder !== '' && (
          <>
            <span aria-hidden="true"> › </span>
            <a href={hrefOf({ page: 'map', by: 'folders', folder })}>
              <Name name={folder} />
            </a>
          </>
        )}
      </nav>
      <h1 tabIndex={-1}>
        <Name name={info.path} />
      </h1>
      <p class="origin">
        <span>{info.language === null ? 'no known language' : shownName(info.language)}</span>
        <span>{counted(info.lines, 'line')}</span>
        <span>{size(info.bytes)}</span>
        <span class={info.status === 'parsed' ? undefined : 'flag flag-bad'}>{STATUS[info.status] ?? info.status}</span>
        <WebLink address={model.sourceAddress(file, 1, Math.max(1, info.lines))}>
          {model.overview.url_template === null ? '' : 'source at the commit'}
        </WebLink>
      </p>
      {info.reason !== null && (
        <p class="failed">
          {info.status === 'skipped' ? 'Not read' : 'Read in part only'}: {shown(info.reason, 1_000)}
        </p>
      )}
      {module !== null && <Module model={model} module={module} />}
      {symbols.length > 0 && (
        <section>
          <h2>
            Symbols <span class="count">{count(symbols.length)}</span>
          </h2>
          <LongList items={symbols} first={300} class="rows outline">
            {([node, depth]) => <OutlineLine model={model} node={node} depth={depth} />}
          </LongList>
        </section>
      )}
      {symbols.length === 0 && info.status !== 'skipped' && <p class="note">It defines no symbols.</p>}
    </article>
  )
}

/** What is said of the file as a whole, and what imports it. */
function Module({ model, module }: { model: Model; module: number }) {
  const { store, summaries } = useSite()
  const shard = model.shardOf(module)
  const symbols = useShard<Symbols>(store, shard)
  const summary = summaries?.summaries[module]
  return (
    <>
      {typeof summary === 'string' && <p class="lead">{shown(summary)}</p>}
      <WhenLoaded store={store} name={shard} loaded={symbols}>
        {(value) => {
          const entry = value.symbols[module - value.first]
          const imports = entry?.in.filter((edge) => edge[1] === 'imports' && model.has(edge[0])) ?? []
          const importers = byNeighbour(imports).filter(({ node }) => node !== module)
          return (
            <>
              {entry?.docstring != null && <p class="docstring">{shown(entry.docstring)}</p>}
              <p class="note">
                {importers.length === 0
                  ? 'No file is known to import it'
                  : `Imported by ${counted(importers.length, 'file')}`}
                ; see <SymbolLink model={model} node={module} name="the file as a whole" />.
              </p>
            </>
          )
        }}
      </WhenLoaded>
    </>
  )
}

function OutlineLine({ model, node, depth }: { model: Model; node: number; depth: number }) {
  const { summaries } = useSite()
  const summary = summaries?.summaries[node]
  return (
    <div class={`row depth-${depth}`}>
      <div class="row-head">
        <Kind kind={model.kind(node)} />
        <SymbolLink model={model} node={node} name={model.shortName(node)} />
        <Flags model={model} node={node} />
        <span class="where">
          <Lines model={model} file={model.file(node)} start={model.start(node)} end={model.end(node)} />
        </span>
      </div>
      {typeof summary === 'string' && <p class="summary">{shown(summary, 300)}</p>}
    </div>
  )
}
