/** All that is known of one symbol. Needs the names and the shard with its entry. */
import type { ComponentChildren } from 'preact'
import { byNeighbour, isGuess } from '../data/edges.js'
import type { EdgeGroup } from '../data/edges.js'
import type { Model } from '../data/model.js'
import type { Edge, EdgeKind, Origin, SymbolEntry, Symbols } from '../data/shards.js'
import { useMore, useShard, useShown, useSite } from '../parts/context.js'
import { FileLink, Flags, Kind, Lines, Name, SymbolLine, SymbolLink, WebLink, symbolHref } from '../parts/links.js'
import { WhenLoaded } from '../parts/loading.js'
import { LongList } from '../parts/longlist.js'
import { Signature } from '../parts/signature.js'
import { hrefOf } from '../routes.js'
import { count, counted, shown, shownName } from '../text.js'
import { UnknownPage } from './unknown.js'

/** How an edge was found, in words. */
const ORIGINS: Record<Origin, string> = {
  lexical: 'by its name in scope',
  import: 'through an import',
  self: 'on its own class',
  inherited: 'on a base class',
  qualified: 'through its module or class',
  typed: 'by the type of the object',
  unique_name: 'by the name alone',
}
const MAX_LINES_OF_EDGE = 8
const MAX_SIBLINGS = 40

export function SymbolPage({ model, id }: { model: Model; id: string }) {
  const node = model.find(id)
  return node === null ? <UnknownPage what="symbol" id={id} /> : <KnownSymbol key={node} model={model} node={node} />
}

function KnownSymbol({ model, node }: { model: Model; node: number }) {
  useShown(shownName(model.name(node)), String(node))
  const { store } = useSite()
  const shard = model.shardOf(node)
  const symbols = useShard<Symbols>(store, shard)
  return (
    <div class="with-aside">
      <article>
        <Head model={model} node={node} />
        <WhenLoaded store={store} name={shard} loaded={symbols}>
          {(value) => {
            const entry = value.symbols[node - value.first]
            return entry === undefined ? (
              <p>The data of this symbol is missing.</p>
            ) : (
              <Body model={model} node={node} entry={entry} />
            )
          }}
        </WhenLoaded>
      </article>
      <Siblings model={model} node={node} />
    </div>
  )
}

/** Where the symbol stands: the file and what is around it. */
function Trail({ model, node }: { model: Model; node: number }) {
  return (
    <nav class="trail" aria-label="Where it stands">
      <FileLink path={model.path(node)} />
      {model.ancestors(node).map((outer) => (
        <span key={outer}>
          <span aria-hidden="true"> › </span>
          <SymbolLink model={model} node={outer} name={model.shortName(outer)} />
        </span>
      ))}
    </nav>
  )
}

function Head({ model, node }: { model: Model; node: number }) {
  const cluster = model.cluster(node)
  return (
    <>
      <Trail model={model} node={node} />
      <h1 tabIndex={-1}>
        <Kind kind={model.kind(node)} /> <Name name={model.name(node)} />
      </h1>
      <p class="origin">
        <Flags model={model} node={node} />
        <span>
          <Name name={model.path(node)} />,{' '}
          <Lines model={model} file={model.file(node)} start={model.start(node)} end={model.end(node)} />
        </span>
        {model.definition(node) > 1 && <span>definition {model.definition(node)} of this name in the file</span>}
        {!model.isModule(node) && <span>{model.isExported(node) ? 'exported' : 'internal'}</span>}
        {cluster !== null && (
          <span>
            cluster <a href={hrefOf({ page: 'cluster', id: cluster.id })}>{shownName(cluster.label)}</a>
          </span>
        )}
        <a href={hrefOf({ page: 'graph', id: model.idInAddress(node), hops: 1, guesses: false })}>graph</a>
      </p>
    </>
  )
}

function Body({ model, node, entry }: { model: Model; node: number; entry: SymbolEntry }) {
  useMore()
  const language = model.fileInfo(model.file(node))?.language ?? null
  const of = (edges: Edge[], kind: EdgeKind) => edges.filter((edge) => edge[1] === kind)
  return (
    <>
      {entry.signature !== null && <Signature text={entry.signature} language={language} />}
      <Summary model={model} node={node} entry={entry} />
      {entry.docstring !== null && (
        <section>
          <h2>Docstring</h2>
          <p class="docstring">{shown(entry.docstring)}</p>
        </section>
      )}
      <EdgeSection model={model} title="Extends" edges={of(entry.out, 'inherits')} file={model.file(node)} />
      <EdgeSection model={model} title="Extended by" edges={of(entry.in, 'inherits')} />
      <EdgeSection model={model} title="Overrides" edges={of(entry.out, 'overrides')} file={model.file(node)} />
      <EdgeSection model={model} title="Overridden by" edges={of(entry.in, 'overrides')} />
      <Members model={model} node={node} />
      <Callers model={model} node={node} edges={of(entry.in, 'calls')} />
      <Callees model={model} node={node} entry={entry} edges={of(entry.out, 'calls')} />
      <EdgeSection model={model} title="Imports" edges={of(entry.out, 'imports')} file={model.file(node)} />
      <EdgeSection model={model} title="Imported by" edges={of(entry.in, 'imports')} />
      <Nearest model={model} entry={entry} />
    </>
  )
}

function Summary({ model, node, entry }: { model: Model; node: number; entry: SymbolEntry }) {
  const { documentation, failure } = entry
  if (failure !== null) {
    return (
      <p class="failed">
        <strong>No summary:</strong> {shown(failure.message, 1_000)} (<code>{shownName(failure.failure)}</code>)
      </p>
    )
  }
  if (documentation === null) return model.isModule(node) ? null : <p class="note">Not documented.</p>
  const { passed, findings } = documentation.checks
  return (
    <>
      <p class="lead">{shown(documentation.summary)}</p>
      <p class="note provenance">
        <Provenance source={documentation.source} />
        {passed.length + findings.length > 0 && (
          <>
            {' '}
            {counted(passed.length, 'check')} passed
            {findings.length > 0 && `, ${counted(findings.length, 'finding')}`}.
          </>
        )}
        {model.isStale(node) && <strong> The source has changed since.</strong>}
      </p>
      {findings.length > 0 && (
        <ul class="findings">
          {findings.map((finding, place) => (
            <li key={place}>
              <code>{shownName(finding.check)}</code>
              {finding.hard ? ' (serious)' : ''}: {shown(finding.reason, 500)}
            </li>
          ))}
        </ul>
      )}
      {passed.length > 0 && (
        <details class="checks">
          <summary>The checks that it passed</summary>
          <p>{shown(passed.join(', '), 2_000)}</p>
        </details>
      )}
    </>
  )
}

function Provenance({ source }: { source: string }) {
  const { overview } = useSite()
  const { model } = overview.manifest.documentation
  if (source === 'offline') return <>Written without a model, from the code alone.</>
  if (source === 'previous') return <>Kept from an earlier build.</>
  return <>Written by {shownName(model)}.</>
}

/** The symbol at one end of edges, and how each of these was found. Guesses say that they are. */
function GroupLine({ model, group, file }: { model: Model; group: EdgeGroup; file: number }) {
  if (!model.has(group.node)) return <>A symbol that this documentation does not have.</>
  return (
    <div class={group.isGuess ? 'guessed' : undefined}>
      <SymbolLine model={model} node={group.node}>
        {group.edges.map((edge) => (
          <Found key={edge[3]} model={model} edge={edge} file={file} />
        ))}
      </SymbolLine>
    </div>
  )
}

/** The lines of an edge, how it was found and how sure that is. */
function Found({ model, edge, file }: { model: Model; edge: Edge; file: number }) {
  const [, kind, lines, origin, confidence] = edge
  return (
    <span class="found">
      {isGuess(edge) && <span class="flag flag-guess">guess</span>}
      {lines.slice(0, MAX_LINES_OF_EDGE).map((line, place) => (
        <span key={line}>
          {place === 0 ? `${kind === 'calls' ? 'called in ' : 'in '}${lines.length === 1 ? 'line' : 'lines'} ` : ', '}
          <WebLink address={model.sourceAddress(file, line, line)}>{line}</WebLink>
        </span>
      ))}
      {lines.length > MAX_LINES_OF_EDGE && <span>and {count(lines.length - MAX_LINES_OF_EDGE)} more</span>}
      {kind !== 'imports' && (
        <span class="confidence">
          found {ORIGINS[origin] ?? origin}, {Math.round(confidence * 100)} % sure
        </span>
      )}
    </span>
  )
}

/** Sure ones first, then by how central they are. */
function sorted(model: Model, groups: EdgeGroup[]): EdgeGroup[] {
  return groups.sort(
    (left, right) =>
      Number(left.isGuess) - Number(right.isGuess) ||
      model.centrality(right.node) - model.centrality(left.node) ||
      left.node - right.node,
  )
}

/** A list of symbols; `file` is where the lines of the edges are, that of the other end by default. */
function EdgeSection(props: {
  model: Model
  title: string
  edges: Edge[]
  file?: number
  children?: ComponentChildren
}) {
  const { model, title, edges, file, children } = props
  if (edges.length === 0 && children === undefined) return null
  const groups = sorted(model, byNeighbour(edges))
  const guesses = groups.filter((group) => group.isGuess).length
  return (
    <section>
      <h2>
        {title} <span class="count">{count(groups.length)}</span>
      </h2>
      {guesses > 0 && (
        <p class="note">
          {counted(guesses, 'guess', 'guesses')} among them, found by the name alone: {guesses === 1 ? 'it' : 'they'}{' '}
          may be wrong.
        </p>
      )}
      {groups.length > 0 && (
        <LongList items={groups}>
          {(group) => <GroupLine model={model} group={group} file={file ?? model.file(group.node)} />}
        </LongList>
      )}
      {children}
    </section>
  )
}

function Callers(props: { model: Model; node: number; edges: Edge[] }) {
  const { model, node } = props
  const edges = props.edges.filter((edge) => edge[0] !== node)
  const language = model.languageByName(node)
  const unresolved = model.overview.manifest.counts.call_sites_unresolved
  const whole = counted(unresolved, 'call')
  return (
    <EdgeSection model={model} title="Callers" edges={edges}>
      {edges.length === 0 ? (
        <p class="note">
          No callers were found{unresolved === 0 ? '.' : `; ${whole} of the repository could not be resolved.`}
        </p>
      ) : (
        unresolved > 0 && <p class="note">There may be more: {whole} of the repository could not be resolved.</p>
      )}
      {language !== null && <p class="note">In {shownName(language)}, calls are found by their names alone.</p>}
    </EdgeSection>
  )
}

function Callees(props: { model: Model; node: number; entry: SymbolEntry; edges: Edge[] }) {
  const { model, node, entry } = props
  const edges = props.edges.filter((edge) => edge[0] !== node)
  const own = props.edges.filter((edge) => edge[0] === node)
  const { unresolved_calls: unresolved, ambiguous_calls: ambiguous, external_calls: external } = entry
  const isNothing = props.edges.length + unresolved + ambiguous + external.length === 0
  return (
    <EdgeSection model={model} title="Calls" edges={edges} file={model.file(node)}>
      {isNothing && <p class="note">It calls nothing.</p>}
      {own.map((edge) => (
        <p key={edge[3]} class="note">
          It {isGuess(edge) ? 'may call' : 'calls'} itself: <Found model={model} edge={edge} file={model.file(node)} />
        </p>
      ))}
      {unresolved > 0 && <p class="note">{counted(unresolved, 'call')} could not be resolved.</p>}
      {ambiguous > 0 && (
        <p class="note">
          {counted(ambiguous, 'call')} could lead to several symbols, so {ambiguous === 1 ? 'it is' : 'they are'} not
          listed.
        </p>
      )}
      {external.length > 0 && (
        <>
          <h3>Outside of the repository</h3>
          <LongList items={external} class="names" first={40}>
            {(name) => <Name name={name} />}
          </LongList>
        </>
      )}
    </EdgeSection>
  )
}

function Members({ model, node }: { model: Model; node: number }) {
  const members = model.members(node)
  if (members.length === 0) return null
  return (
    <section>
      <h2>
        {model.isModule(node) ? 'In this file' : 'Members'} <span class="count">{count(members.length)}</span>
      </h2>
      <LongList items={members} first={40}>
        {(member) => <SymbolLine model={model} node={member} name={model.shortName(member)} withFile={false} />}
      </LongList>
    </section>
  )
}

function Nearest({ model, entry }: { model: Model; entry: SymbolEntry }) {
  const nearest = entry.nearest.filter(([node]) => model.has(node))
  if (nearest.length === 0) return null
  return (
    <section>
      <h2>Nearest neighbours</h2>
      <p class="note">The symbols that are most alike, whoever calls whom.</p>
      <LongList items={nearest}>
        {([node, similarity]) => (
          <SymbolLine model={model} node={node}>
            <span class="found">{Math.round(similarity * 100)} % alike</span>
          </SymbolLine>
        )}
      </LongList>
    </section>
  )
}

/** What stands beside the symbol, in the order of the source. */
function Siblings({ model, node }: { model: Model; node: number }) {
  const parent = model.parent(node)
  const siblings = parent === null ? [] : model.members(parent)
  if (parent === null || siblings.length < 2) return null
  const from = Math.max(0, Math.min(siblings.indexOf(node) - MAX_SIBLINGS / 2, siblings.length - MAX_SIBLINGS))
  const near = siblings.slice(from, from + MAX_SIBLINGS)
  return (
    <aside class="siblings" aria-label="Beside it">
      <h2>
        In {model.isModule(parent) ? <FileLink path={model.path(node)} /> : <SymbolLink model={model} node={parent} />}
      </h2>
      <ol>
        {near.map((sibling) => (
          <li key={sibling} aria-current={sibling === node ? 'true' : undefined}>
            <a href={symbolHref(model, sibling)}>
              <Name name={model.shortName(sibling)} />
            </a>
          </li>
        ))}
      </ol>
      {near.length < siblings.length && (
        <p class="note">
          {count(near.length)} of {count(siblings.length)}; all are in <FileLink path={model.path(node)} />.
        </p>
      )}
    </aside>
  )
}
