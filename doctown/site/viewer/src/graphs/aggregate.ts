/**
 * What the map shows: the clusters, or what lies in one folder, with the calls between them added up. Pure.
 *
 * Left out: where things are drawn (place.ts), and what they look like (map.tsx).
 */

/** The most boxes that are drawn; the smallest are left out and counted. */
export const MAX_BOXES = 150
/** The most folders in a trail. */
const MAX_TRAIL = 20

export interface Box {
  readonly kind: 'cluster' | 'folder' | 'file'
  /** The number of a cluster, else a path from the root of the repository. */
  readonly key: string
  readonly label: string
  readonly symbols: number
}

/** Calls between two boxes; `from` and `to` are places in `boxes`. */
export interface Link {
  readonly from: number
  readonly to: number
  readonly calls: number
}

export interface Aggregate {
  /** The largest first. */
  readonly boxes: readonly Box[]
  /** The strongest first. */
  readonly links: readonly Link[]
  /** Boxes above MAX_BOXES, and the symbols in them. */
  readonly omitted: { readonly boxes: number; readonly symbols: number }
  /** Calls that come from outside of the folder, and that lead out of it. */
  readonly outside: { readonly in: number; readonly out: number }
}

export interface FolderMap extends Aggregate {
  /** The folder that is shown: a folder whose symbols all lie in one folder of it shows that one. "" is the root. */
  readonly folder: string
}

export type Calls = readonly (readonly [from: number, to: number, calls: number])[]

/** The map of clusters: `clusters` in the order of their numbers, `calls` between those numbers. */
export function clusterMap(
  clusters: readonly { readonly id: number; readonly label: string; readonly size: number }[],
  calls: Calls,
): Aggregate {
  const boxes = clusters.map((cluster) => ({
    kind: 'cluster' as const,
    key: String(cluster.id),
    label: cluster.label,
    symbols: cluster.size,
  }))
  const places = new Map(clusters.map((cluster, place) => [cluster.id, place]))
  return assembled(boxes, calls, (cluster) => places.get(cluster) ?? null)
}

/**
 * The map of one folder. `paths` and `symbols` are of all files, by their numbers; `calls` is between those numbers.
 * Files and folders without symbols are left out.
 */
export function folderMap(
  paths: readonly string[],
  symbols: readonly number[],
  calls: Calls,
  folder: string,
): FolderMap {
  const inside = paths.map((path, file) => (symbols[file] ?? 0) > 0 && isInside(path, folder))
  const shown = commonFolder(
    paths.filter((_, file) => inside[file]),
    folder,
  )
  const boxes: Box[] = []
  const places = new Map<string, number>()
  const placeOf = paths.map((path, file) => {
    if (!inside[file]) return null
    const child = childOf(path, shown)
    const known = places.get(child)
    const box = known === undefined ? undefined : boxes[known]
    if (known !== undefined && box !== undefined) {
      boxes[known] = { ...box, symbols: box.symbols + (symbols[file] ?? 0) }
      return known
    }
    const label = child.slice(shown === '' ? 0 : shown.length + 1)
    const kind = child === path ? 'file' : 'folder'
    boxes.push({ kind, key: child, label: kind === 'folder' ? `${label}/` : label, symbols: symbols[file] ?? 0 })
    places.set(child, boxes.length - 1)
    return boxes.length - 1
  })
  // What a file without symbols calls comes from no box, and from no other folder either.
  const place = (file: number) => placeOf[file] ?? (isInside(paths[file] ?? '', shown) ? -1 : null)
  return { ...assembled(boxes, calls, place), folder: shown }
}

/** The last folders on the way from the root to this one: `[["src", "src"], ["src/api", "api"]]`. */
export function trailOf(folder: string): [path: string, name: string][] {
  const names = folder === '' ? [] : folder.split('/')
  const first = Math.max(0, names.length - MAX_TRAIL)
  return names.slice(first).map((name, place) => [names.slice(0, first + place + 1).join('/'), name])
}

function isInside(path: string, folder: string): boolean {
  return folder === '' || path.startsWith(`${folder}/`)
}

/** The child of a folder in which a file lies: a folder's path, or the file's own. */
function childOf(path: string, folder: string): string {
  const start = folder === '' ? 0 : folder.length + 1
  const end = path.indexOf('/', start)
  return end < 0 ? path : path.slice(0, end)
}

/** The deepest folder in which all of these files lie; `folder` where there are none. Looks at each character once. */
function commonFolder(paths: readonly string[], folder: string): string {
  const [first, ...others] = paths
  if (first === undefined) return folder
  let length = first.length
  for (const other of others) {
    let same = 0
    while (same < length && other.charCodeAt(same) === first.charCodeAt(same)) same += 1
    length = same
  }
  return first.slice(0, Math.max(0, first.slice(0, length).lastIndexOf('/')))
}

/** Add the calls up between boxes, and order both. `placeOf` says in which box a number lies: -1 for none, null outside. */
function assembled(boxes: readonly Box[], calls: Calls, placeOf: (number: number) => number | null): Aggregate {
  const order = boxes
    .map((box, place) => ({ box, place }))
    .sort((a, b) => b.box.symbols - a.box.symbols || compare(a.box.key, b.box.key))
  const kept = order.slice(0, MAX_BOXES)
  const rank = new Map(kept.map(({ place }, index) => [place, index]))
  const sums = new Map<number, number>()
  const outside = { in: 0, out: 0 }
  for (const [from, to, count] of calls) {
    const [fromPlace, toPlace] = [placeOf(from), placeOf(to)]
    if (fromPlace === null && toPlace !== null) outside.in += count
    if (fromPlace !== null && toPlace === null) outside.out += count
    if (fromPlace === null || toPlace === null) continue
    const [source, target] = [rank.get(fromPlace), rank.get(toPlace)]
    if (source === undefined || target === undefined || source === target) continue
    const key = source * MAX_BOXES + target
    sums.set(key, (sums.get(key) ?? 0) + count)
  }
  const links = [...sums]
    .map(([key, count]) => ({ from: Math.floor(key / MAX_BOXES), to: key % MAX_BOXES, calls: count }))
    .sort((a, b) => b.calls - a.calls || a.from - b.from || a.to - b.to)
  const omitted = order.slice(MAX_BOXES)
  return {
    boxes: kept.map(({ box }) => box),
    links,
    omitted: { boxes: omitted.length, symbols: omitted.reduce((sum, { box }) => sum + box.symbols, 0) },
    outside,
  }
}

/** Order texts by their UTF-16 units, the same on every machine. */
function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b)
}
