/**
 * What the documents of a pack must agree on: references resolve, spans are in their files, and counts are true. The
 * same rules as those of the writer (doctown/docpack/rules.py); their form has been looked at before (`shape.ts`).
 */

import { badPack } from './bytes.js'
import type {
  DocpackClusters,
  DocpackEdge,
  DocpackManifest,
  DocpackNode,
  DocpackSourceFile,
  DocpackSourceMap,
  DocpackSpan,
} from './docpack-types.js'

/** The documents of a pack. */
export interface Docpack {
  manifest: DocpackManifest
  nodes: DocpackNode[]
  edges: DocpackEdge[]
  clusters: DocpackClusters
  sourceMap: DocpackSourceMap
}

export const NAMED_MEMBERS = [
  'manifest.json',
  'README.md',
  'llms.txt',
  'nodes.json',
  'graph.json',
  'clusters.json',
  'source_map.json',
] as const

const MODULE_NAME = '<module>'
const MIN_SURE_CONFIDENCE = 0.7
const PLACEHOLDERS = ['{path}', '{start_line}', '{end_line}']
// An id or a path of a hostile pack can be of any length; a sentence is not.
const MAX_QUOTED_CHARACTERS = 200

/** Raises a GenerationError (`bad_pack`) with the first thing in which the documents contradict themselves. */
export function checkPack(pack: Docpack): void {
  const files = checkFiles(pack)
  const nodes = checkNodes(pack, files)
  checkSpans(pack)
  checkParents(nodes)
  checkNearest(nodes)
  checkEdges(pack, nodes, files)
  checkClusters(pack, nodes)
  checkManifest(pack)
  checkPages(pack)
}

/** A text of the pack in a sentence. */
export function quoted(text: string): string {
  return `'${text.length > MAX_QUOTED_CHARACTERS ? `${text.slice(0, MAX_QUOTED_CHARACTERS)}...` : text}'`
}

/** Whether a path can stand in a pack: relative, without `.`, `..`, empty parts, backslashes and control characters. */
export function isFilePath(path: string): boolean {
  return !/[\\\x00-\x1f\x7f]/.test(path) && !path.split('/').some((part) => ['', '.', '..'].includes(part))
}

/** The order of code points, in which a pack is sorted; JavaScript's own is that of UTF-16's halves. */
export function compareTexts(one: string, other: string): number {
  const shorter = Math.min(one.length, other.length)
  let at = 0
  while (at < shorter && one.charCodeAt(at) === other.charCodeAt(at)) at += 1
  if (at === shorter) return one.length - other.length
  // Halves of a pair (from U+D800 on) stand for more than all that lies above them.
  const raised = (unit: number) => (unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit)
  return raised(one.charCodeAt(at)) - raised(other.charCodeAt(at))
}

function fail(member: string, problem: string): Error {
  return badPack(`${member}: ${problem}`)
}

function checkFiles({ sourceMap }: Docpack): Map<string, DocpackSourceFile> {
  const files = new Map<string, DocpackSourceFile>()
  let before: string | null = null
  for (const file of sourceMap.files) {
    const path = quoted(file.path)
    if (!isFilePath(file.path)) throw fail('source_map.json', `${path} is no relative path without '..'`)
    if (file.status === 'skipped' && !file.reason) {
      throw fail('source_map.json', `the file ${path} is skipped without a reason`)
    }
    if (before !== null && compareTexts(before, file.path) >= 0) {
      throw fail('source_map.json', `the file ${path} is there twice, or not in the order of paths`)
    }
    before = file.path
    files.set(file.path, file)
  }
  return files
}

function checkNodes({ nodes }: Docpack, files: ReadonlyMap<string, DocpackSourceFile>): Map<string, DocpackNode> {
  const named = new Map<string, number>()
  const known = new Map<string, DocpackNode>()
  for (const node of nodes) {
    const id = () => quoted(node.id)
    if (known.has(node.id)) throw fail('nodes.json', `two symbols have the id ${id()}`)
    known.set(node.id, node)
    const base = `${node.file}::${node.qualified_name}`
    const count = (named.get(base) ?? 0) + 1
    named.set(base, count)
    const expected = count === 1 ? base : `${base}#${count}`
    if (node.id !== expected) throw fail('nodes.json', `the symbol ${id()} should have the id ${quoted(expected)}`)
    if ((files.get(node.file)?.status ?? 'skipped') === 'skipped') {
      throw fail('nodes.json', `the symbol ${id()} is in a file that was not parsed`)
    }
    if (node.documentation && node.failure) throw fail('nodes.json', `the symbol ${id()} has a summary and a failure`)
    if (!isSorted(node.external_calls, 'once')) {
      throw fail('nodes.json', `the external calls of ${id()} are not sorted, or one is there twice`)
    }
  }
  for (const file of files.values()) {
    if (file.status !== 'skipped' && known.get(`${file.path}::${MODULE_NAME}`)?.kind !== 'module') {
      throw fail('nodes.json', `the parsed file ${quoted(file.path)} has no node of kind 'module' for it`)
    }
  }
  return known
}

function isSorted(texts: readonly string[], times: 'once' | 'often'): boolean {
  const most = times === 'once' ? -1 : 0
  return texts.every((text, place) => place === 0 || compareTexts(texts[place - 1] ?? '', text) <= most)
}

function checkSpans({ nodes, sourceMap: { files, symbols } }: Docpack): void {
  let before: [DocpackNode, DocpackSpan] | null = null
  for (const node of nodes) {
    const id = () => quoted(node.id)
    const span = Object.hasOwn(symbols, node.id) ? symbols[node.id] : undefined
    if (!span) throw fail('source_map.json', `the symbol ${id()} has no span`)
    const file = files[span.file]
    if (file?.path !== node.file) throw fail('source_map.json', `the span of ${id()} is not in the symbol's file`)
    if (!fits(span, file)) throw fail('source_map.json', `the span of ${id()} is empty or goes beyond its file`)
    if (before && comparePlaces(before, [node, span]) > 0) {
      throw fail('nodes.json', `the symbol ${id()} is not in the order of files and places`)
    }
    before = [node, span]
  }
  if (Object.keys(symbols).length !== nodes.length) {
    throw fail('source_map.json', 'it has a span that belongs to no symbol')
  }
}

function fits(span: DocpackSpan, file: DocpackSourceFile): boolean {
  const { start_line, end_line, start_byte, end_byte } = span
  const isInLines = start_line <= end_line && end_line <= Math.max(file.lines, 1)
  // Only a file that is empty itself has an empty symbol: the one that stands for it.
  return isInLines && start_byte <= end_byte && end_byte <= file.bytes && (start_byte < end_byte || file.bytes === 0)
}

/** By the file, then the start, outer before inner, and the whole file before all. */
function comparePlaces([one, a]: [DocpackNode, DocpackSpan], [other, b]: [DocpackNode, DocpackSpan]): number {
  return (
    compareTexts(one.file, other.file) ||
    a.start_byte - b.start_byte ||
    b.end_byte - a.end_byte ||
    Number(!isModule(one)) - Number(!isModule(other))
  )
}

function isModule(node: DocpackNode): boolean {
  return node.qualified_name === MODULE_NAME
}

function checkParents(nodes: ReadonlyMap<string, DocpackNode>): void {
  const rooted = new Set<string>()
  for (const node of nodes.values()) {
    const path = new Set<string>()
    for (let above: DocpackNode | null = node; above && !rooted.has(above.id); above = parentOf(above, nodes)) {
      if (path.has(above.id)) throw fail('nodes.json', `the symbol ${quoted(above.id)} is its own ancestor`)
      path.add(above.id)
    }
    for (const id of path) rooted.add(id)
  }
}

function parentOf(node: DocpackNode, nodes: ReadonlyMap<string, DocpackNode>): DocpackNode | null {
  if (node.parent === null) return null
  const parent = nodes.get(node.parent)
  if (parent?.file !== node.file) throw fail('nodes.json', `the parent of ${quoted(node.id)} is no symbol of its file`)
  return parent
}

function checkNearest(nodes: ReadonlyMap<string, DocpackNode>): void {
  for (const { id, nearest = [] } of nodes.values()) {
    const stray = nearest.find((near) => near.id === id || !nodes.has(near.id))
    if (stray) throw fail('nodes.json', `${quoted(stray.id)}, which ${quoted(id)} is near to, is no other symbol`)
    const isInOrder = nearest.every(
      (near, place) => place === 0 || near.similarity <= (nearest[place - 1]?.similarity ?? 1),
    )
    if (!isInOrder || new Set(nearest.map((near) => near.id)).size < nearest.length) {
      throw fail('nodes.json', `the nearest of ${quoted(id)} are not in their order, or one is there twice`)
    }
  }
}

function checkEdges(
  { edges }: Docpack,
  nodes: ReadonlyMap<string, DocpackNode>,
  files: ReadonlyMap<string, DocpackSourceFile>,
): void {
  let before: DocpackEdge | null = null
  for (const edge of edges) {
    const { from, to, kind, lines, origin, confidence } = edge
    const start = nodes.get(from)
    if (!start || !nodes.has(to)) {
      throw fail('graph.json', `an edge names ${quoted(start ? to : from)}, which is no symbol`)
    }
    const name = () => `from ${quoted(from)} to ${quoted(to)}`
    if (before && compareEdges(before, edge) >= 0) {
      throw fail('graph.json', `the edge ${name()} is there twice, or not in its order`)
    }
    before = edge
    const isInOrder = lines.every((line, place) => place === 0 || (lines[place - 1] ?? 0) < line)
    if (!isInOrder || (lines.at(-1) ?? 0) > (files.get(start.file)?.lines ?? 0)) {
      throw fail('graph.json', `the lines of the edge ${name()} are not sorted or not in the file`)
    }
    if (kind === 'calls' && lines.length === 0) throw fail('graph.json', `the call ${name()} has no line`)
    if (origin === 'unique_name' && confidence >= MIN_SURE_CONFIDENCE) {
      throw fail('graph.json', `the guess ${name()} has a confidence of ${MIN_SURE_CONFIDENCE} or more`)
    }
  }
}

function compareEdges(one: DocpackEdge, other: DocpackEdge): number {
  return (
    compareTexts(one.from, other.from) ||
    compareTexts(one.to, other.to) ||
    compareTexts(one.kind, other.kind) ||
    compareTexts(one.origin, other.origin)
  )
}

function checkClusters({ clusters: { k, clusters } }: Docpack, nodes: ReadonlyMap<string, DocpackNode>): void {
  if (k !== clusters.length) throw fail('clusters.json', `k is ${k}, and there are ${clusters.length} clusters`)
  const clusterOf = new Map<string, number>()
  clusters.forEach(({ id, size, members }, place) => {
    if (id !== place) throw fail('clusters.json', `the cluster at place ${place} has the id ${id}`)
    if (size !== members.length) {
      throw fail('clusters.json', `the size of cluster ${place} is ${size}, and it has ${members.length} members`)
    }
    if (!isSorted(members, 'often')) throw fail('clusters.json', `the members of cluster ${place} are not sorted`)
    for (const member of members) {
      if (!nodes.has(member))
        throw fail('clusters.json', `cluster ${place} names ${quoted(member)}, which is no symbol`)
      if (clusterOf.has(member)) throw fail('clusters.json', `the symbol ${quoted(member)} is in the clusters twice`)
      clusterOf.set(member, place)
    }
  })
  for (const node of nodes.values()) {
    if (node.cluster !== (clusterOf.get(node.id) ?? null)) {
      throw fail('clusters.json', `the symbol ${quoted(node.id)} names another cluster than the one that it is in`)
    }
  }
}

function checkManifest({ manifest, nodes, edges, clusters, sourceMap: { files, url_template } }: Docpack): void {
  const { counts, languages, embeddings, created_at, repository } = manifest
  const skipped = count(files, (file) => file.status === 'skipped')
  const facts = {
    files: files.length,
    files_parsed: files.length - skipped,
    files_skipped: skipped,
    symbols: count(nodes, (node) => !isModule(node)),
    documented: count(nodes, (node) => node.documentation !== null),
    failed: count(nodes, (node) => node.failure !== null),
    edges: edges.length,
    clusters: clusters.clusters.length,
    call_sites: counts.call_sites_resolved + counts.call_sites_external + counts.call_sites_unresolved,
  }
  for (const [name, fact] of Object.entries(facts)) {
    const told = counts[name as keyof typeof facts]
    if (told !== fact) throw fail('manifest.json', `counts.${name} is ${told}, and it should be ${fact}`)
  }
  checkLanguages(languages, nodes, files)
  if (embeddings !== null && embeddings.rows !== nodes.length) {
    throw fail('manifest.json', `embeddings.rows is ${embeddings.rows}, and there are ${nodes.length} nodes`)
  }
  if (Number.isNaN(Date.parse(created_at))) throw fail('manifest.json', 'created_at is no time')
  if (url_template === null) return
  const missing = PLACEHOLDERS.find((name) => !url_template.includes(name))
  if (missing !== undefined) throw fail('source_map.json', `url_template has no ${missing}`)
  if (repository.commit === null || !url_template.includes(repository.commit)) {
    throw fail('source_map.json', 'url_template does not name the commit')
  }
}

function checkLanguages(
  languages: DocpackManifest['languages'],
  nodes: readonly DocpackNode[],
  files: readonly DocpackSourceFile[],
): void {
  const found = new Map<string, { files: number; symbols: number }>()
  const of = (name: string) => {
    const counted = found.get(name) ?? { files: 0, symbols: 0 }
    found.set(name, counted)
    return counted
  }
  for (const { language } of files) if (language !== null) of(language).files += 1
  for (const node of nodes) of(node.language).symbols += Number(!isModule(node))
  if (Object.keys(languages).length !== found.size) throw fail('manifest.json', 'languages are not those of the files')
  for (const [name, counted] of found) {
    const told = Object.hasOwn(languages, name) ? languages[name] : undefined
    if (told?.files !== counted.files || told.symbols !== counted.symbols) {
      const language = quoted(name)
      throw fail('manifest.json', `the counts of the language ${language} are not those of its files and symbols`)
    }
  }
}

function count<T>(items: readonly T[], isCounted: (item: T) => boolean): number {
  return items.reduce((total, item) => total + Number(isCounted(item)), 0)
}

function checkPages({ manifest: { members }, clusters, sourceMap }: Docpack): void {
  const parsed = sourceMap.files.filter((file) => file.status !== 'skipped')
  const names = [
    ...NAMED_MEMBERS.slice(1),
    ...clusters.clusters.map(({ id }) => `docs/clusters/${id}.md`),
    ...parsed.map(({ path }) => `docs/files/${path}.md`),
  ]
  const missing = names.find((name) => !Object.hasOwn(members, name))
  if (missing !== undefined) throw fail('manifest.json', `members has no ${quoted(missing)}`)
}
