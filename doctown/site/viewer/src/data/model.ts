/** What the pages ask about nodes, files and clusters, answered from the shards `overview` and `names`. Pure. */
import { sourceAddress } from '../text.js'
import { DOCUMENTED, EXPORTED, FAILED, TEST } from './shards.js'
import type { ClusterLine, Kind, Names, Overview, SourceFile } from './shards.js'

const MODULE = '<module>'
/** Longer ids do not fit an address: the node's number stands for them. */
const MAX_ID_IN_ADDRESS = 1_000

/** Which rows have which value: those of value v are `rows[starts[v]] … rows[starts[v + 1] - 1]`, in their order. */
interface Groups {
  starts: Int32Array
  rows: Int32Array
}

/** Group rows by their value; values outside of 0 … size - 1 are in no group. */
function group(values: readonly number[], size: number): Groups {
  const starts = new Int32Array(size + 1)
  const isInside = (value: number) => value >= 0 && value < size
  for (const value of values) if (isInside(value)) starts[value + 1]! += 1
  for (let value = 0; value < size; value += 1) starts[value + 1]! += starts[value]!
  const next = starts.slice()
  const rows = new Int32Array(starts[size]!)
  values.forEach((value, row) => {
    if (!isInside(value)) return
    rows[next[value]!] = row
    next[value]! += 1
  })
  return { starts, rows }
}

function rowsOf(groups: Groups, value: number): number[] {
  if (value < 0 || value + 1 >= groups.starts.length) return []
  return [...groups.rows.subarray(groups.starts[value], groups.starts[value + 1])]
}

export class Model {
  readonly overview: Overview
  readonly names: Names
  /** The number of nodes. */
  readonly size: number
  private readonly byParent: Groups
  private readonly byFile: Groups
  private readonly byCluster: Groups
  private nodes: Map<string, number> | null = null
  private readonly files: Map<string, number>
  private readonly staleIds: ReadonlySet<string>

  constructor(overview: Overview, names: Names) {
    this.overview = overview
    this.names = names
    this.size = names.local.length
    this.byParent = group(names.parent, this.size)
    this.byFile = group(names.file, names.files.length)
    this.byCluster = group(names.cluster, overview.clusters.length)
    this.files = new Map(names.files.map((file, place) => [file.path, place]))
    this.staleIds = new Set(overview.staleness?.stale)
  }

  has(node: number): boolean {
    return Number.isInteger(node) && node >= 0 && node < this.size
  }

  /** The node with this id, or with this number; null where there is none. */
  find(id: string): number | null {
    if (!id.includes('::')) {
      const node = /^\d{1,9}$/.test(id) ? Number(id) : -1
      return this.has(node) ? node : null
    }
    if (this.nodes === null) {
      this.nodes = new Map()
      for (let node = 0; node < this.size; node += 1) this.nodes.set(this.id(node), node)
    }
    return this.nodes.get(id) ?? null
  }

  id(node: number): string {
    return `${this.path(node)}::${this.names.local[node] ?? ''}`
  }

  /** What an address says for the node: see `Route`. */
  idInAddress(node: number): string {
    return idInAddress(this.id(node), node)
  }

  /** The qualified name; the file's own name for the node of a whole file. */
  name(node: number): string {
    const local = this.names.local[node] ?? ''
    return local === MODULE ? (this.path(node).split('/').at(-1) ?? local) : local
  }

  /** Which definition of its name in the file it is, from 1. */
  definition(node: number): number {
    return Number(/#(\d{1,9})$/.exec(this.names.local[node] ?? '')?.[1] ?? 1)
  }

  /** The last part of the qualified name. */
  shortName(node: number): string {
    if (this.isModule(node)) return this.name(node)
    const name = this.name(node)
    const parent = this.parent(node)
    // What stands in the second definition of a name has the name without its number.
    const prefix = parent === null ? '' : `${(this.names.local[parent] ?? '').replace(/#\d+$/, '')}.`
    return prefix.length > 1 && name.startsWith(prefix) ? name.slice(prefix.length) : name
  }

  isModule(node: number): boolean {
    return this.names.local[node] === MODULE
  }

  kind(node: number): Kind {
    return this.names.kinds[this.names.kind[node] ?? -1] ?? 'module'
  }

  parent(node: number): number | null {
    const parent = this.names.parent[node] ?? -1
    return this.has(parent) && parent !== node ? parent : null
  }

  /** The nodes around this one, the outermost first; without the node of the file. */
  ancestors(node: number): number[] {
    const found: number[] = []
    for (let at = this.parent(node); at !== null && found.length < 100; at = this.parent(at)) {
      if (!this.isModule(at)) found.unshift(at)
    }
    return found
  }

  /** What stands directly in this symbol, in the order of the source. */
  members(node: number): number[] {
    return rowsOf(this.byParent, node)
  }

  file(node: number): number {
    return this.names.file[node] ?? -1
  }

  path(node: number): string {
    return this.names.files[this.file(node)]?.path ?? ''
  }

  fileInfo(file: number): SourceFile | null {
    return this.names.files[file] ?? null
  }

  /** The language of the node's file, where calls of that language are found by their names alone. */
  languageByName(node: number): string | null {
    const language = this.fileInfo(this.file(node))?.language ?? null
    const { languages } = this.overview.manifest
    const isByName = language !== null && Object.hasOwn(languages, language) && languages[language]?.level === 'symbols'
    return isByName ? language : null
  }

  findFile(path: string): number | null {
    return this.files.get(path) ?? null
  }

  nodesOfFile(file: number): number[] {
    return rowsOf(this.byFile, file)
  }

  forNodesOfFile(file: number, visit: (node: number) => void): void {
    const { starts, rows } = this.byFile
    for (let at = starts[file] ?? 0; at < (starts[file + 1] ?? 0); at += 1) visit(rows[at]!)
  }

  /** The node that stands for the whole file. */
  moduleOfFile(file: number): number | null {
    return this.nodesOfFile(file).find((node) => this.isModule(node)) ?? null
  }

  cluster(node: number): ClusterLine | null {
    return this.overview.clusters[this.names.cluster[node] ?? -1] ?? null
  }

  /** The members of a cluster, the most central first. */
  membersOfCluster(cluster: number): number[] {
    return this.byCentrality(rowsOf(this.byCluster, cluster))
  }

  byCentrality(nodes: number[]): number[] {
    return nodes.sort((left, right) => this.centrality(right) - this.centrality(left) || left - right)
  }

  /** 0 to 1000. */
  centrality(node: number): number {
    return this.names.centrality[node] ?? 0
  }

  start(node: number): number {
    return this.names.start[node] ?? 1
  }

  end(node: number): number {
    return this.names.end[node] ?? 1
  }

  private flag(node: number, bit: number): boolean {
    return ((this.names.flags[node] ?? 0) & bit) !== 0
  }

  isExported(node: number): boolean {
    return this.flag(node, EXPORTED)
  }

  isTest(node: number): boolean {
    return this.flag(node, TEST)
  }

  isFailed(node: number): boolean {
    return this.flag(node, FAILED)
  }

  isDocumented(node: number): boolean {
    return this.flag(node, DOCUMENTED)
  }

  /** Whether the source has changed since the summary was written, as far as anyone looked. */
  isStale(node: number): boolean {
    return this.staleIds.size > 0 && this.staleIds.has(this.id(node))
  }

  failedNodes(): number[] {
    return this.names.flags.flatMap((flags, node) => ((flags & FAILED) === 0 ? [] : [node]))
  }

  /** The address of lines at the commit, or null. */
  sourceAddress(file: number, start: number, end: number): string | null {
    const path = this.fileInfo(file)?.path
    return path === undefined ? null : sourceAddress(this.overview.url_template, path, start, end)
  }

  /** The name of the shard that has the node's entry. */
  shardOf(node: number): string {
    const { shards } = this.overview
    let [low, high] = [0, shards.length - 1]
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (shards[middle]! <= node) low = middle
      else high = middle - 1
    }
    return `symbols-${low}`
  }
}

/** As `Model.idInAddress`, where the id is known and the model may not be there yet. */
export function idInAddress(id: string, node: number): string {
  return id.length > MAX_ID_IN_ADDRESS ? String(node) : id
}
