/** The types of the shards of a site: what `doctown/site/data.py` writes and `PackSource` makes in the browser. */

import type {
  DocpackCluster,
  DocpackClusters,
  DocpackDocumentation,
  DocpackEdge,
  DocpackFailure,
  DocpackManifest,
  DocpackNode,
  DocpackSourceFile,
} from '../../../../../clients/typescript/src/docpack-types.js'

export const SHARDS_VERSION = 1

export type Kind = DocpackNode['kind']
export type EdgeKind = Exclude<DocpackEdge['kind'], 'contains'>
export type Origin = DocpackEdge['origin']
export type SummarySource = DocpackDocumentation['source']
export type Documentation = DocpackDocumentation

/** The generated types allow a map's value to be undefined; in JSON what is there has one. */
type Filled<T> = T extends object ? { [K in keyof T]: Filled<Exclude<T[K], undefined>> } : T

/** `manifest.json` of a pack without `members`. */
export type Manifest = Filled<Omit<DocpackManifest, 'members'>>

/** One symbol in a list of the overview. */
export interface Line {
  node: number
  id: string
  kind: Kind
  summary: string | null
}

export type ClusterLine = Omit<DocpackCluster, 'members'>

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
  cluster_basis: DocpackClusters['basis']
  central: Line[]
  /** The first node of each shard `symbols-N`. */
  shards: number[]
  staleness: Staleness | null
}

export type SourceFile = Omit<DocpackSourceFile, 'sha256'>

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

/** The node at the other end, the kind, the lines in the file of the caller, how it was found, and how sure that is. */
export type Edge = [node: number, kind: EdgeKind, lines: number[], origin: Origin, confidence: number]

export interface SymbolEntry {
  signature: string | null
  docstring: string | null
  documentation: Documentation | null
  failure: DocpackFailure | null
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
