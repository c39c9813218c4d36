/**
 * The shards of a pack that the page reads itself: the same as those that doctown/site/data.py makes. Leaves out
 * staleness: for that it takes the source.
 */
import { DocpackReader } from '../../../../../clients/typescript/src/docpack.js'
import type { DocpackEdge, DocpackNode } from '../../../../../clients/typescript/src/docpack-types.js'
import type { Docpack } from '../../../../../clients/typescript/src/rules.js'
import { DOCUMENTED, EXPORTED, FAILED, MIN_SURE_CONFIDENCE, SHARDS_VERSION, SUMMARY_SOURCES, TEST } from './shards.js'
import type { CallMap, Edge, Kind, Line, Names, Overview, Summaries, SymbolEntry } from './shards.js'
import type { Source } from './source.js'

const MAX_SHARD_BYTES = 256 << 10
const MAX_CENTRAL = 20
const MODULE = '<module>'

const KINDS: Kind[] = [
  'function',
  'method',
  'class',
  'struct',
  'enum',
  'trait',
  'interface',
  'type',
  'constant',
  'module',
  'macro',
  'property',
]

/** The pack at an address of the page's own origin. It is read at the first question, and again where that failed. */
export function packSource(address: string): Source {
  let shards: Promise<Map<string, unknown>> | null = null
  const read = async () => {
    const reader = new DocpackReader(address)
    try {
      return shardsOf(await reader.pack())
    } finally {
      await reader.close()
    }
  }
  const readAgainWhereItFails = () =>
    read().catch((error: unknown) => {
      shards = null
      throw error
    })
  return {
    load: async (name) => {
      shards ??= readAgainWhereItFails()
      const shard = (await shards).get(name)
      if (shard === undefined) throw new Error(`The pack has no part ${name}.`)
      return shard
    },
  }
}

/** The shards of a pack by their names. */
export function shardsOf(pack: Docpack): Map<string, unknown> {
  const numbers = new Map(pack.nodes.map((node, number) => [node.id, number]))
  const symbols = splitEntries(entriesOf(pack, numbers))
  const shards = new Map<string, unknown>(symbols.map((shard, number) => [`symbols-${number}`, shard]))
  shards.set('map', callMap(pack))
  shards.set('summaries', summariesOf(pack.nodes))
  shards.set('names', namesOf(pack, numbers))
  shards.set(
    'overview',
    overviewOf(
      pack,
      numbers,
      symbols.map(({ first }) => first),
    ),
  )
  return shards
}

function overviewOf(pack: Docpack, numbers: ReadonlyMap<string, number>, shards: number[]): Overview {
  const { members, ...manifest } = pack.manifest
  const central = pack.nodes
    .filter((node) => node.qualified_name !== MODULE)
    .sort((a, b) => b.centrality - a.centrality)
  return {
    version: SHARDS_VERSION,
    manifest: manifest as Overview['manifest'],
    url_template: pack.sourceMap.url_template,
    clusters: pack.clusters.clusters.map(({ id, label, terms, size }) => ({ id, label, terms, size })),
    cluster_basis: pack.clusters.basis,
    central: central.slice(0, MAX_CENTRAL).map((node) => lineOf(node, numbers)),
    shards,
    staleness: null,
  }
}

function lineOf({ id, kind, documentation }: DocpackNode, numbers: ReadonlyMap<string, number>): Line {
  return { node: numbers.get(id)!, id, kind, summary: documentation?.summary ?? null }
}

function namesOf({ manifest, nodes, sourceMap }: Docpack, numbers: ReadonlyMap<string, number>): Names {
  const spans = nodes.map((node) => sourceMap.symbols[node.id]!)
  return {
    kinds: KINDS,
    languages: Object.keys(manifest.languages),
    files: sourceMap.files.map(({ path, language, lines, bytes, status, reason }) => {
      return { path, language, lines, bytes, status, reason }
    }),
    local: nodes.map(({ id, file }) => id.slice(file.length + 2)),
    file: spans.map((span) => span.file),
    kind: nodes.map((node) => KINDS.indexOf(node.kind)),
    parent: nodes.map(({ parent }) => (parent === null ? -1 : numbers.get(parent)!)),
    start: spans.map((span) => span.start_line),
    end: spans.map((span) => span.end_line),
    flags: nodes.map(flagsOf),
    centrality: nodes.map((node) => Math.floor(1000 * node.centrality + 0.5)),
    cluster: nodes.map((node) => node.cluster ?? -1),
  }
}

function flagsOf({ exported, is_test, failure, documentation }: DocpackNode): number {
  const flags = (exported ? EXPORTED : 0) | (is_test ? TEST : 0) | (failure === null ? 0 : FAILED)
  return flags | (documentation === null ? 0 : DOCUMENTED)
}

function summariesOf(nodes: readonly DocpackNode[]): Summaries {
  return {
    summaries: nodes.map(({ documentation }) => documentation?.summary ?? null),
    sources: nodes.map(({ documentation }) => SUMMARY_SOURCES.indexOf(documentation?.source ?? null)),
  }
}

function callMap({ nodes, edges, sourceMap }: Docpack): CallMap {
  const fileOf = (id: string) => sourceMap.symbols[id]!.file
  const clusters = new Map(nodes.map(({ id, cluster }) => [id, cluster]))
  const calls = edges.filter(({ kind, confidence }) => kind === 'calls' && confidence >= MIN_SURE_CONFIDENCE)
  return {
    files: countPairs(calls, fileOf),
    clusters: countPairs(calls, (id) => clusters.get(id) ?? null),
  }
}

/** How many edges lead from one group to another, sorted. */
function countPairs(edges: readonly DocpackEdge[], groupOf: (id: string) => number | null): CallMap['files'] {
  const counts = new Map<number, Map<number, number>>()
  for (const edge of edges) {
    const [from, to] = [groupOf(edge.from), groupOf(edge.to)]
    if (from === null || to === null || from === to) continue
    const row = counts.get(from) ?? new Map<number, number>()
    counts.set(from, row.set(to, (row.get(to) ?? 0) + 1))
  }
  const pairs = [...counts].flatMap(([from, row]) =>
    [...row].map(([to, count]): [number, number, number] => [from, to, count]),
  )
  return pairs.sort((a, b) => a[0] - b[0] || a[1] - b[1])
}

function entriesOf({ nodes, edges }: Docpack, numbers: ReadonlyMap<string, number>): SymbolEntry[] {
  const entries = nodes.map((node): SymbolEntry => ({
    signature: node.signature,
    docstring: node.docstring,
    documentation: node.documentation,
    failure: node.failure,
    external_calls: node.external_calls,
    unresolved_calls: node.unresolved_calls,
    ambiguous_calls: node.ambiguous_calls,
    nearest: (node.nearest ?? []).map(({ id, similarity }) => [numbers.get(id)!, similarity]),
    out: [],
    in: [],
  }))
  for (const { from, to, kind, lines, origin, confidence } of edges) {
    if (kind === 'contains') continue
    const [start, end] = [numbers.get(from)!, numbers.get(to)!]
    const edge = (node: number): Edge => [node, kind, lines, origin, confidence]
    entries[start]!.out.push(edge(end))
    entries[end]!.in.push(edge(start))
  }
  return entries
}

/** Each part has one symbol, or at most MAX_SHARD_BYTES of them as JSON. */
function splitEntries(entries: readonly SymbolEntry[]): { first: number; symbols: SymbolEntry[] }[] {
  const utf8 = new TextEncoder()
  const shards: { first: number; symbols: SymbolEntry[] }[] = []
  let size = 0
  entries.forEach((entry, number) => {
    const bytes = utf8.encode(JSON.stringify(entry)).length + 1
    size += bytes
    if (shards.length === 0 || size > MAX_SHARD_BYTES) {
      shards.push({ first: number, symbols: [] })
      size = bytes
    }
    shards.at(-1)!.symbols.push(entry)
  })
  return shards
}
