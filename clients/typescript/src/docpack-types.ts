// Made from schemas/docpack/*.schema.json by `make types`: edit doctown/docpack/schema.py instead.

/**
 * Symbols that belong together.
 */
export interface DocpackCluster {
  /**
   * Its place in the list, from 0.
   */
  id: number
  label: string
  terms: string[]
  size: number
  /**
   * Sorted.
   *
   * Items: `path::qualified.name`, with `#2`, `#3`... after it where a file has the name several times.
   */
  members: string[]
}
/**
 * `clusters.json`: the clusters and how they were found.
 */
export interface DocpackClusters {
  algorithm: string
  /**
   * The number of clusters.
   */
  k: number
  seed: number
  /**
   * What the symbols were compared by.
   */
  basis: 'embeddings' | 'words'
  clusters: DocpackCluster[]
}
/**
 * How one node leads to another.
 */
export interface DocpackEdge {
  /**
   * `path::qualified.name`, with `#2`, `#3`... after it where a file has the name several times.
   */
  from: string
  /**
   * `path::qualified.name`, with `#2`, `#3`... after it where a file has the name several times.
   */
  to: string
  kind: 'calls' | 'inherits' | 'imports' | 'contains' | 'overrides'
  /**
   * Of the calls, in the file of `from`; sorted, each once.
   *
   * Items: 1-based.
   */
  lines: number[]
  /**
   * How it was found. `unique_name` is a guess.
   */
  origin: 'lexical' | 'import' | 'self' | 'inherited' | 'qualified' | 'typed' | 'unique_name'
  /**
   * Below 0.7: a guess, which a reader can leave out.
   */
  confidence: number
}
/**
 * `graph.json`: the edges, sorted by `from`, `to`, `kind` and `origin`.
 */
export interface DocpackGraph {
  edges: DocpackEdge[]
}
/**
 * How the summaries were written, and what they cost.
 */
export interface DocpackBuildDocumentation {
  /**
   * The model, or `offline`.
   */
  model: string
  /**
   * The natural language of the summaries.
   */
  language: string
  usage: DocpackTokenUsage
  /**
   * US dollars.
   */
  total_cost: number
  checks: DocpackCheckCounts
}
/**
 * What the model's API reported, failed attempts included.
 */
export interface DocpackTokenUsage {
  input_tokens: number
  /**
   * A part of the input tokens.
   */
  cached_input_tokens: number
  output_tokens: number
  /**
   * A part of the output tokens.
   */
  reasoning_tokens: number
  requests: number
  retries: number
}
/**
 * How the summaries of a model fared in their checks.
 */
export interface DocpackCheckCounts {
  checked: number
  passed_all: number
  /**
   * How many summaries each check found fault with.
   */
  findings: {
    [k: string]: number | undefined
  }
}
/**
 * The size of the pack.
 */
export interface DocpackCounts {
  /**
   * All files of the source map.
   */
  files: number
  /**
   * Those that were parsed, partly parsed ones included.
   */
  files_parsed: number
  files_skipped: number
  /**
   * All nodes, without those that stand for a whole file.
   */
  symbols: number
  /**
   * Nodes with a summary.
   */
  documented: number
  /**
   * Nodes with a failure.
   */
  failed: number
  edges: number
  /**
   * Resolved, external and unresolved ones.
   */
  call_sites: number
  /**
   * Each has at least one edge.
   */
  call_sites_resolved: number
  /**
   * They lead out of the repository.
   */
  call_sites_external: number
  /**
   * Ambiguous ones included.
   */
  call_sites_unresolved: number
  clusters: number
}
/**
 * The file of vectors beside the pack.
 */
export interface DocpackEmbeddingsInfo {
  /**
   * Its name.
   */
  file: string
  /**
   * SHA-256, in lower-case hexadecimal digits.
   */
  sha256: string
  model: string
  /**
   * Of the model's weights.
   */
  model_sha256: string | null
  dimensions: number
  dtype: 'float32'
  /**
   * One for each node, in the order of `nodes.json`.
   */
  rows: number
  metric: 'cosine'
}
/**
 * The program that wrote the pack.
 */
export interface DocpackGeneratorInfo {
  name: string
  version: string
}
/**
 * What was looked at in the files of one language.
 */
export interface DocpackLanguageInfo {
  /**
   * Files of the source map in this language, skipped ones included.
   */
  files: number
  /**
   * Nodes in this language, without those that stand for a whole file.
   */
  symbols: number
  /**
   * `full`: symbols and calls; `symbols`: no calls; `files`: only that the files are there.
   */
  level: 'full' | 'symbols' | 'files'
}
/**
 * How a member is known to be whole.
 */
export interface DocpackMemberInfo {
  bytes: number
  /**
   * SHA-256, in lower-case hexadecimal digits.
   */
  sha256: string
}
/**
 * What was documented.
 */
export interface DocpackRepository {
  name: string
  /**
   * Where it can be cloned from, without credentials.
   */
  url: string | null
  /**
   * null: not under Git.
   */
  commit: string | null
  /**
   * The branch or tag that was asked for.
   */
  ref: string | null
  /**
   * Whether files differed from the commit.
   */
  dirty: boolean
  /**
   * The SPDX identifier, where it is known.
   */
  licence: string | null
  /**
   * The first paragraph of the repository's README, as plain text.
   */
  description?: string
}
/**
 * `manifest.json`: what the pack is and where it comes from.
 */
export interface DocpackManifest {
  format: 'docpack'
  format_version: 1
  generator: DocpackGeneratorInfo
  repository: DocpackRepository
  /**
   * The time of the commit, in UTC, so that building it again gives the same bytes.
   */
  created_at: string
  counts: DocpackCounts
  /**
   * Sorted by name.
   */
  languages: {
    [k: string]: DocpackLanguageInfo | undefined
  }
  documentation: DocpackBuildDocumentation
  /**
   * null: nobody asked for vectors.
   */
  embeddings: DocpackEmbeddingsInfo | null
  /**
   * All members but this one.
   */
  members: {
    [k: string]: DocpackMemberInfo | undefined
  }
  /**
   * What is worth knowing and stopped nothing; a sentence each.
   */
  warnings: string[]
}
/**
 * A symbol's summary and where it comes from.
 */
export interface DocpackDocumentation {
  summary: string
  /**
   * A model, no model at all, or an earlier build.
   */
  source: 'model' | 'offline' | 'previous'
  /**
   * Changes with whatever the summary rests on.
   */
  content_hash: string
  checks: DocpackSummaryChecks
}
/**
 * The checks of one summary; one that does not apply is in neither list.
 */
export interface DocpackSummaryChecks {
  passed: string[]
  findings: DocpackFinding[]
  /**
   * The hash of the source text of the symbol that the summary describes; see `docs/docpack.md`.
   */
  source_hash?: string
}
/**
 * What a check found fault with.
 */
export interface DocpackFinding {
  check: string
  /**
   * Whether it was worth asking the model again.
   */
  hard: boolean
  reason: string
}
/**
 * Why a symbol that was to be documented has no summary.
 */
export interface DocpackFailure {
  failure: string
  /**
   * A sentence for people.
   */
  message: string
}
/**
 * A symbol of which the embedded text is like another's.
 */
export interface DocpackNear {
  /**
   * `path::qualified.name`, with `#2`, `#3`... after it where a file has the name several times.
   */
  id: string
  /**
   * The cosine of their vectors.
   */
  similarity: number
}
/**
 * A symbol, or the node of kind `module` that stands for a whole file.
 */
export interface DocpackNode {
  /**
   * `path::qualified.name`, with `#2`, `#3`... after it where a file has the name several times.
   */
  id: string
  name: string
  /**
   * With `.` between its parts; `<module>` for a whole file.
   */
  qualified_name: string
  kind:
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
  /**
   * The language, in lower case.
   */
  language: string
  /**
   * From the root of the repository, with `/` between its parts, none of which is `.`, `..` or empty.
   */
  file: string
  signature: string | null
  /**
   * A node of the same file.
   */
  parent: string | null
  exported: boolean
  is_test: boolean
  /**
   * null where `failure` is not.
   */
  documentation: DocpackDocumentation | null
  failure: DocpackFailure | null
  /**
   * The first paragraph of the comment in the source.
   */
  docstring: string | null
  /**
   * PageRank in the graph of sure calls; the highest is 1.
   */
  centrality: number
  /**
   * The cluster's id.
   */
  cluster: number | null
  /**
   * What it calls outside of the repository; sorted.
   */
  external_calls: string[]
  /**
   * Call sites of which nobody knows where they lead.
   */
  unresolved_calls: number
  /**
   * Call sites that could be several symbols.
   */
  ambiguous_calls: number
  /**
   * The nearest symbols by their vectors, the nearest first.
   */
  nearest?: DocpackNear[]
}
/**
 * `nodes.json`: the symbols with their documentation, by file and then by place in it.
 */
export interface DocpackNodes {
  nodes: DocpackNode[]
}
/**
 * A file that was selected.
 */
export interface DocpackSourceFile {
  /**
   * From the root of the repository, with `/` between its parts, none of which is `.`, `..` or empty.
   */
  path: string
  language: string | null
  bytes: number
  lines: number
  /**
   * SHA-256, in lower-case hexadecimal digits.
   */
  sha256: string
  status: 'parsed' | 'partial' | 'skipped'
  /**
   * Why it was skipped, or parsed in part only.
   */
  reason: string | null
}
/**
 * Where a symbol stands.
 */
export interface DocpackSpan {
  /**
   * The file's place in `files`, from 0.
   */
  file: number
  /**
   * 1-based.
   */
  start_line: number
  /**
   * 1-based; the last line of the symbol.
   */
  end_line: number
  /**
   * 0-based.
   */
  start_byte: number
  /**
   * 0-based; the byte after the symbol.
   */
  end_byte: number
}
/**
 * `source_map.json`: the files, and where in them each symbol stands.
 */
export interface DocpackSourceMap {
  /**
   * With `{path}`, `{start_line}` and `{end_line}`; it names the commit. null: no links.
   */
  url_template: string | null
  /**
   * Sorted by path.
   */
  files: DocpackSourceFile[]
  /**
   * Every node, by its id.
   */
  symbols: {
    [k: string]: DocpackSpan | undefined
  }
}
