/** Shards made by hand. */
import type { Manifest, Names, Overview } from '../src/data/shards.js'

const manifest: Manifest = {
  format: 'docpack',
  format_version: 1,
  generator: { name: 'doctown', version: '1' },
  repository: { name: 'example', url: null, commit: null, ref: null, dirty: false, licence: null },
  created_at: '1970-01-01T00:00:00Z',
  counts: {
    files: 0,
    files_parsed: 0,
    files_skipped: 0,
    symbols: 0,
    documented: 0,
    failed: 0,
    edges: 0,
    call_sites: 0,
    call_sites_resolved: 0,
    call_sites_external: 0,
    call_sites_unresolved: 0,
    clusters: 0,
  },
  languages: {},
  documentation: {
    model: 'offline',
    language: 'English',
    usage: { input_tokens: 0, cached_input_tokens: 0, output_tokens: 0, reasoning_tokens: 0, requests: 0, retries: 0 },
    total_cost: 0,
    checks: { checked: 0, passed_all: 0, findings: {} },
  },
  embeddings: null,
  warnings: [],
}

export function overviewOf(values: Partial<Overview>): Overview {
  return {
    version: 1,
    manifest,
    url_template: null,
    clusters: [],
    cluster_basis: 'words',
    central: [],
    shards: [0],
    staleness: null,
    ...values,
  }
}

/** The shard `names` of these nodes: path, local id, parent, and what else differs. */
export function namesOf(
  rows: [path: string, local: string, parent: number, flags?: number, centrality?: number][],
): Names {
  const paths = [...new Set(rows.map(([path]) => path))]
  return {
    kinds: ['module', 'function'],
    languages: ['python'],
    files: paths.map((path) => ({ path, language: 'python', lines: 9, bytes: 99, status: 'parsed', reason: null })),
    local: rows.map(([, local]) => local),
    file: rows.map(([path]) => paths.indexOf(path)),
    kind: rows.map(([, local]) => (local === '<module>' ? 0 : 1)),
    parent: rows.map(([, , parent]) => parent),
    start: rows.map((_, row) => row + 1),
    end: rows.map((_, row) => row + 2),
    flags: rows.map(([, , , flags]) => flags ?? 0),
    centrality: rows.map(([, , , , centrality]) => centrality ?? 0),
    cluster: rows.map(() => -1),
  }
}
