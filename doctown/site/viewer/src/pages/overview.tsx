/** The first page: what the repository is, how it was documented, and where to begin. Needs the shard `overview` only. */
import type { ComponentChildren } from 'preact'
import { idInAddress } from '../data/model.js'
import type { ClusterLine, Line, Overview } from '../data/shards.js'
import { useShown } from '../parts/context.js'
import { Kind, MAX_SUMMARY_IN_LIST, Name, WebLink } from '../parts/links.js'
import { LongList } from '../parts/longlist.js'
import { hrefOf } from '../routes.js'
import { count, counted, dollars, shown, shownName } from '../text.js'

const LEVELS = {
  full: 'symbols and calls',
  symbols: 'symbols, calls by name only',
  files: 'files only',
}

function Fact({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  )
}

/** The address of the commit where the repository's host has pages for commits. */
function commitAddress(overview: Overview): string | null {
  const { url, commit } = overview.manifest.repository
  const found = /^https:\/\/(github\.com|gitlab\.com|bitbucket\.org|codeberg\.org)\/([\w./-]+?)(?:\.git)?\/?$/.exec(
    url ?? '',
  )
  if (found === null || commit === null) return null
  const [, host, path] = found
  const page = { 'gitlab.com': '-/commit', 'bitbucket.org': 'commits' }[host ?? ''] ?? 'commit'
  return `https://${host}/${path}/${page}/${commit}`
}

function Origin({ overview }: { overview: Overview }) {
  const { repository, created_at: createdAt } = overview.manifest
  const { url, commit, ref, dirty, licence } = repository
  const hasTime = !createdAt.startsWith('1970-01-01')
  return (
    <p class="origin">
      {url !== null && <WebLink address={url}>{shownName(url.replace(/^https?:\/\//, ''))}</WebLink>}
      {commit === null ? (
        <span>no commit: the folder was not under Git</span>
      ) : (
        <span>
          commit{' '}
          <WebLink address={commitAddress(overview)}>
            <code>{shownName(commit.slice(0, 12))}</code>
          </WebLink>
          {ref !== null && <> ({shownName(ref)})</>}
          {hasTime && (
            <>
              {' '}
              of <time dateTime={createdAt}>{shownName(createdAt.slice(0, 10))}</time>
            </>
          )}
        </span>
      )}
      {dirty && <strong class="flag flag-bad">with changes that were not committed</strong>}
      <span>licence: {licence === null ? 'not known' : shownName(licence)}</span>
    </p>
  )
}

function Documented({ overview }: { overview: Overview }) {
  const { counts, documentation, generator } = overview.manifest
  const { checks, usage, model } = documentation
  const isOffline = model === 'offline'
  const findings = Object.entries(checks.findings).sort((left, right) => right[1] - left[1])
  return (
    <>
      <Fact name="Documented">
        {counted(counts.documented, 'summary', 'summaries')} for {counted(counts.symbols, 'symbol')} and{' '}
        {counted(counts.files_parsed, 'file')}
        {counts.failed > 0 && (
          <>
            , <a href={hrefOf({ page: 'list', list: 'failed' })}>{count(counts.failed)} failed</a>
          </>
        )}
      </Fact>
      <Fact name="Written by">
        {isOffline ? 'no model: from the code alone' : shownName(model)}, in {shownName(documentation.language)}, with{' '}
        {shownName(generator.name)} {shownName(generator.version)}
      </Fact>
      {checks.checked > 0 && (
        <Fact name="Checks">
          {count(checks.passed_all)} of {counted(checks.checked, 'summary', 'summaries')} passed all of them
          {findings.length > 0 && (
            <ul class="plain">
              {findings.slice(0, 10).map(([check, found]) => (
                <li key={check}>
                  <code>{shownName(check)}</code>: {counted(found, 'finding')}
                </li>
              ))}
            </ul>
          )}
        </Fact>
      )}
      <Fact name="Cost">
        {dollars(documentation.total_cost)}
        {usage.requests > 0 &&
          ` for ${counted(usage.requests, 'request')}, ${count(usage.input_tokens)} tokens in and ${count(usage.output_tokens)} out`}
      </Fact>
    </>
  )
}

function Stale({ overview }: { overview: Overview }) {
  const { staleness } = overview
  if (staleness === null) return null
  const parts: [number, string][] = [
    [staleness.stale.length, 'changed since'],
    [staleness.new.length, 'new'],
    [staleness.gone.length, 'gone'],
    [staleness.undocumented.length, 'not documented'],
  ]
  const told = parts.filter(([number]) => number > 0).map(([number, what]) => `${count(number)} ${what}`)
  return (
    <Fact name="Beside the source">
      {counted(staleness.up_to_date, 'summary', 'summaries')} up to date
      {told.length > 0 && (
        <>
          , <a href={hrefOf({ page: 'list', list: 'stale' })}>{told.join(', ')}</a>
        </>
      )}
    </Fact>
  )
}

function Facts({ overview }: { overview: Overview }) {
  const { counts, languages, warnings } = overview.manifest
  return (
    <dl class="facts">
      <Fact name="Languages">
        <ul class="plain">
          {Object.entries(languages).map(([language, info]) => (
            <li key={language}>
              <b>{shownName(language)}</b>: {counted(info.symbols, 'symbol')} in {counted(info.files, 'file')} (
              {LEVELS[info.level] ?? info.level})
            </li>
          ))}
        </ul>
      </Fact>
      <Fact name="Files">
        <a href={hrefOf({ page: 'files' })}>{counted(counts.files, 'file')}</a>, {count(counts.files_parsed)} parsed,{' '}
        {count(counts.files_skipped)} skipped
      </Fact>
      <Fact name="Calls">
        {count(counts.call_sites_resolved)} of {count(counts.call_sites)} resolved, {count(counts.call_sites_external)}{' '}
        lead out of the repository, {count(counts.call_sites_unresolved)} could not be resolved
      </Fact>
      <Documented overview={overview} />
      <Stale overview={overview} />
      {warnings.length > 0 && (
        <Fact name="Warnings">
          <a href={hrefOf({ page: 'list', list: 'warnings' })}>{counted(warnings.length, 'warning')}</a>
        </Fact>
      )}
    </dl>
  )
}

function CentralLine({ line }: { line: Line }) {
  const id = idInAddress(line.id, line.node)
  const at = line.id.indexOf('::')
  const [path, local] = [line.id.slice(0, at), line.id.slice(at + 2)]
  return (
    <div class="row">
      <div class="row-head">
        <Kind kind={line.kind} />
        <a href={hrefOf({ page: 'symbol', id })}>
          <Name name={local === '<module>' ? (path.split('/').at(-1) ?? path) : local} />
        </a>
        <span class="where">
          <Name name={path} />
        </span>
      </div>
      {line.summary !== null && <p class="summary">{shown(line.summary, MAX_SUMMARY_IN_LIST)}</p>}
    </div>
  )
}

function ClusterCard({ cluster }: { cluster: ClusterLine }) {
  return (
    <>
      <a href={hrefOf({ page: 'cluster', id: cluster.id })}>{shownName(cluster.label)}</a>{' '}
      <span class="count">{count(cluster.size)}</span>
      <p class="terms">{shown(cluster.terms.join(', '), 150)}</p>
    </>
  )
}

export function OverviewPage({ overview }: { overview: Overview }) {
  const { repository } = overview.manifest
  const name = shownName(repository.name)
  useShown(name)
  const clusters = [...overview.clusters].sort((left, right) => right.size - left.size || left.id - right.id)
  return (
    <>
      <h1 tabIndex={-1}>{name}</h1>
      {repository.description !== undefined && <p class="lead">{shown(repository.description, 600)}</p>}
      <Origin overview={overview} />
      <Facts overview={overview} />
      {overview.central.length > 0 && (
        <section>
          <h2>Most central symbols</h2>
          <p class="note">Those that most of the code leads to, by its calls.</p>
          <LongList items={overview.central} first={10}>
            {(line) => <CentralLine line={line} />}
          </LongList>
        </section>
      )}
      {clusters.length > 0 && (
        <section>
          <h2>Clusters</h2>
          <p class="note">
            Symbols that belong together by{' '}
            {overview.cluster_basis === 'embeddings' ? 'their meaning' : 'the words in them'}; see{' '}
            <a href={hrefOf({ page: 'map', by: 'clusters', folder: '' })}>how they call each other</a>.
          </p>
          <LongList items={clusters} first={24} class="cards">
            {(cluster) => <ClusterCard cluster={cluster} />}
          </LongList>
        </section>
      )}
    </>
  )
}
