/** The types of the shards of a site: what `doctown/site/data.py` writes and `PackSource` makes in the browser. */

export const SHARDS_VERSION = 1

export type Kind =
  | 'function'
  | 'method'
  | 'class'
  | 'struct'
  | 'enum'
  | 'trait'
  | 'interface'
  | 'type'
  | 'constant'
  | 'module'
  | 'macro'
  | 'property'
export type EdgeKind = 'calls' | 'inherits' | 'imports' | 'overrides'
export type Origin = 'lexical' | 'import' | 'self' | 'inherited' | 'qualified' | 'typed' | 'unique_name'
export type Status = 'parsed' | 'partial' | 'skipped'
export type SummarySource = 'model' | 'offline' | 'previous'

/** `manifest.json` of a pack without `members`. */
export interface Manifest {
  format: 'docpack'
  format_version: number
  generator: { name: string; version: string }
  repository: {
    name: string
    url: string | null
    commit: string | null
    ref: string | null
    dirty: boolean
    licence: string | null
    /** The first paragraph of its README as plain text. */
    description?: string
  }
  /** The time of the commit; 1970-01-01T00:00:00Z where there is none. */
  created_at: string
  counts: {
    files: number
    files_parsed: number
    files_skipped: number
    symbols: number
    documented: number
    failed: number
    edges: number
    call_sites: number
    call_sites_resolved: number
    call_sites_external: number
    call_sites_unresolved: number
    clusters: number
  }
  languages: Record<string, { files: number; symbols: number; level: 'full' | 'symbols' | 'files' }>
  documentation: {
    model: string
    language: string
    usage: {
      input_tokens: number
      cached_input_tokens: number
      output_tokens: number
      reasoning_tokens: number
      requests: number
      retries: number
    }
    /** US dollars. */
    total_cost: number
    checks: { checked: number; passed_all: number; findings: Record<string, number> }
  }
  embeddings: { model: string } | null
  warnings: string[]
}

/** One symbol in a list of the overview. */
export interface Line {
  node: number
  id: string
  kind: Kind
  summary: string | null
}

export interface ClusterLine {
  id: number
  label: string
  terms: string[]
  size: number
}

/** How the pack fits the source of today; ids, so that what is not in the pack can be named. */
export interface Staleness {
  up_to_date: number
  stale: string[]
  new: string[]
  gone: string[]
  undocumented: string[]
}

/** Shard `overview`: all that the first page needs. */
export interface Overview {
  version: number
  manifest: Manifest
  url_template: string | null
  clusters: ClusterLine[]
  cluster_basis: 'embeddings' | 'words'
  central: Line[]
  /** The first node of each shard `symbols-N`. */
  shards: number[]
  staleness: Staleness | null
}

export interface SourceFile {
  path: string
  language: string | null
  lines: number
  bytes: number
  status: Status
  reason: string | null
}

/** The bits of `Names.flags`. */
export const EXPORTED = 1
export const TEST = 2
export const FAILED = 4
export const DOCUMENTED = 8

/** Shard `names`: a column for each property, with a row for each node, in the order of `nodes.json`. */
export interface Names {
  kinds: Kind[]
  languages: string[]
  files: SourceFile[]
  /** The id without `path::`. */
  local: string[]
  file: number[]
  /** A place in `kinds`. */
  kind: number[]
  /** A node, or -1. */
  parent: number[]
  start: number[]
  end: number[]
  flags: number[]
  /** 0 to 1000. */
  centrality: number[]
  /** A cluster, or -1. */
  cluster: number[]
}

/** Shard `summaries`: a row for each node. */
export interface Summaries {
  summaries: (string | null)[]
  /** A place in SUMMARY_SOURCES. */
  sources: number[]
}

export const SUMMARY_SOURCES: readonly (SummarySource | null)[] = [null, 'model', 'offline', 'previous']

export interface Documentation {
  summary: string
  source: SummarySource
  content_hash: string
  checks: {
    passed: string[]
    findings: { check: string; hard: boolean; reason: string }[]
    source_hash?: string
  }
}

/** The node at the other end, the kind, the lines in the file of the caller, how it was found, and how sure that is. */
export type Edge = [node: number, kind: EdgeKind, lines: number[], origin: Origin, confidence: number]

export interface SymbolEntry {
  signature: string | null
  docstring: string | null
  documentation: Documentation | null
  failure: { failure: string; message: string } | null
  external_calls: string[]
  unresolved_calls: number
  ambiguous_calls: number
  nearest: [node: number, similarity: number][]
  /** Without `contains`, which `Names.parent` says. */
  out: Edge[]
  in: Edge[]
}

/** Shard `symbols-N`. */
export interface Symbols {
  /** The node of the first entry. */
  first: number
  symbols: SymbolEntry[]
}

/** Shard `map`: sure calls between different files and different clusters. */
export interface CallMap {
  files: [from: number, to: number, calls: number][]
  clusters: [from: number, to: number, calls: number][]
}

/** An edge below this confidence is a guess. */
export const MIN_SURE_CONFIDENCE = 0.7
