/** The map of clusters, or of what lies in one folder: boxes as large as they have symbols, lines as wide as calls. */
import { useMemo, useState } from 'preact/hooks'
import type { Model } from '../data/model.js'
import type { CallMap } from '../data/shards.js'
import { useShard, useShown, useSite } from '../parts/context.js'
import { WhenLoaded } from '../parts/loading.js'
import { hrefOf } from '../routes.js'
import { count, counted, shownName } from '../text.js'
import { clusterMap, folderMap, trailOf } from './aggregate.js'
import type { Aggregate, Box, FolderMap, Link } from './aggregate.js'
import { ArrowHeads, Frame } from './frame.js'
import { LINE_HEIGHT, drawnLinks, place } from './place.js'
import type { Picture, Spot } from './place.js'

const [MIN_LINE, MAX_LINE] = [1, 6]
/** Wider than the widest line. */
const HEAD = 13
/** How many of the boxes that a box calls most stand in its row of the table. */
const MOST_CALLED = 3

type By = 'clusters' | 'folders'

export function MapPage({ model, by, folder }: { model: Model; by: By; folder: string }) {
  const { store } = useSite()
  const loaded = useShard<CallMap>(store, 'map')
  const title = by === 'clusters' ? 'Map of clusters' : folder === '' ? 'Map of folders' : `Map of ${shownName(folder)}`
  useShown(title, `${by} ${folder}`)
  return (
    <>
      <h1 tabIndex={-1}>{title}</h1>
      <nav class="choices" aria-label="What the map shows">
        <a
          href={hrefOf({ page: 'map', by: 'clusters', folder: '' })}
          aria-current={by === 'clusters' ? 'page' : undefined}
        >
          Clusters
        </a>
        <a
          href={hrefOf({ page: 'map', by: 'folders', folder: '' })}
          aria-current={by === 'folders' ? 'page' : undefined}
        >
          Folders
        </a>
      </nav>
      <WhenLoaded store={store} name="map" loaded={loaded}>
        {(calls) =>
          by === 'clusters' ? <Clusters model={model} calls={calls} /> : <Folder {...{ model, calls, folder }} />
        }
      </WhenLoaded>
    </>
  )
}

function Clusters({ model, calls }: { model: Model; calls: CallMap }) {
  const { clusters } = model.overview
  const map = useMemo(() => clusterMap(clusters, calls.clusters), [clusters, calls])
  if (map.boxes.length === 0) return <p>This documentation has no clusters.</p>
  return <MapView map={map} what="cluster" />
}

function Folder({ model, calls, folder }: { model: Model; calls: CallMap; folder: string }) {
  const map = useMemo(() => {
    const { files } = model.names
    const symbols = files.map((_, file) => model.nodesOfFile(file).filter((node) => !model.isModule(node)).length)
    return folderMap(
      files.map((file) => file.path),
      symbols,
      calls.files,
      folder,
    )
  }, [model, calls, folder])
  if (map.boxes.length === 0) {
    return <p>{folder === '' ? 'No file of this documentation has symbols.' : 'No file in this folder has symbols.'}</p>
  }
  return (
    <>
      <Trail map={map} />
      <MapView map={map} what="folder or file" />
    </>
  )
}

function Trail({ map }: { map: FolderMap }) {
  const trail = trailOf(map.folder)
  if (trail.length === 0) return null
  const steps: [string, string][] = [['', 'All folders'], ...trail]
  const { in: calls, out } = map.outside
  return (
    <>
      <nav class="trail" aria-label="Folders above">
        <ol>
          {steps.map(([path, name]) => (
            <li key={path}>
              <a
                href={hrefOf({ page: 'map', by: 'folders', folder: path })}
                aria-current={path === map.folder ? 'page' : undefined}
              >
                {shownName(name)}
              </a>
            </li>
          ))}
        </ol>
      </nav>
      {calls + out > 0 && (
        <p>
          {counted(calls, 'call')} from other folders {calls === 1 ? 'leads' : 'lead'} here, {counted(out, 'call')}{' '}
          {out === 1 ? 'leads' : 'lead'} out of here.
        </p>
      )}
    </>
  )
}

/** What is near the focus or the pointer stands out. */
function Drawing({ map }: { map: Aggregate }) {
  const [near, setNear] = useState<number | null>(null)
  const draw = useMemo(() => remembered((width) => place(map, width)), [map])
  return (
    <Frame label="The map; the table below says the same" draw={draw}>
      {(picture) => (
        <>
          <ArrowHeads kinds={['calls', 'near']} size={HEAD} />
          <Lines picture={picture} near={near} />
          {picture.spots.map((spot, i) => {
            const box = map.boxes[i]
            return box && <BoxLink key={i} box={box} spot={spot} onNear={(is) => setNear(is ? i : null)} />
          })}
        </>
      )}
    </Frame>
  )
}

/** The drawing, and below it the same as a table. `what` is one box, in words. */
function MapView({ map, what }: { map: Aggregate; what: string }) {
  return (
    <>
      <Drawing map={map} />
      <p class="told">
        An arrow leads from callers to what they call, and is the wider the more calls there are.
        {` ${drawn(map)}`}
        {map.omitted.boxes > 0 &&
          ` ${counted(map.omitted.boxes, 'smaller one')} with ${counted(map.omitted.symbols, 'symbol')} are not shown.`}
      </p>
      <BoxTable map={map} what={what} />
      <LinkTable map={map} />
    </>
  )
}

function drawn(map: Aggregate): string {
  const links = drawnLinks(map).length
  return links < map.links.length ? `Of ${count(map.links.length)} arrows the ${count(links)} strongest are drawn.` : ''
}

/** A function that remembers its last answer: a map is placed again only where its frame has another width. */
function remembered(draw: (width: number) => Picture): (width: number) => Picture {
  let [known, picture]: [number, Picture | null] = [0, null]
  return (width) => {
    if (picture === null || known !== width) [known, picture] = [width, draw(width)]
    return picture
  }
}

function Lines({ picture, near }: { picture: Picture; near: number | null }) {
  const most = Math.max(1, ...picture.links.map((link) => link.calls))
  // The strongest last, on top of the others.
  return (
    <g class={near === null ? 'lines' : 'lines some-near'}>
      {[...picture.links].reverse().map((link) => {
        const [from, to] = [picture.spots[link.from], picture.spots[link.to]]
        if (from === undefined || to === undefined) return null
        const isNear = link.from === near || link.to === near
        return (
          <path
            key={`${link.from} ${link.to}`}
            class={isNear ? 'line near' : 'line'}
            d={arrow(from, to)}
            stroke-width={MIN_LINE + ((MAX_LINE - MIN_LINE) * link.calls) / most}
            marker-end={isNear ? 'url(#arrow-near)' : 'url(#arrow-calls)'}
          />
        )
      })}
    </g>
  )
}

/** A curve from the edge of a circle to the edge of another, bent to its right: two of them, to and fro, do not meet. */
function arrow(from: Spot, to: Spot): string {
  const [dx, dy] = [to.x - from.x, to.y - from.y]
  const length = Math.max(1, Math.hypot(dx, dy))
  const bend = Math.min(40, length * 0.12)
  const control = { x: (from.x + to.x) / 2 - (dy / length) * bend, y: (from.y + to.y) / 2 + (dx / length) * bend }
  const [start, end] = [towards(from, control, from.radius + 1), towards(to, control, to.radius + 1 + HEAD)]
  return `M${start}Q${Math.round(control.x)},${Math.round(control.y)} ${end}`
}

function towards(from: Spot, to: { x: number; y: number }, distance: number): string {
  const [dx, dy] = [to.x - from.x, to.y - from.y]
  const share = distance / Math.max(1, Math.hypot(dx, dy))
  return `${Math.round(from.x + dx * share)},${Math.round(from.y + dy * share)}`
}

function BoxLink(props: { box: Box; spot: Spot; onNear: (is: boolean) => void }) {
  const { box, spot, onNear } = props
  const name = `${shownName(box.label)}: ${counted(box.symbols, 'symbol')}`
  return (
    <a
      class={`box ${box.kind}`}
      href={hrefOfBox(box)}
      onMouseEnter={() => onNear(true)}
      onMouseLeave={() => onNear(false)}
      onFocus={() => onNear(true)}
      onBlur={() => onNear(false)}
    >
      <title>{name}</title>
      <circle cx={spot.x} cy={spot.y} r={spot.radius} />
      {spot.lines.map((line, i) => (
        <text key={i} x={spot.x} y={spot.y + spot.radius + 12 + i * LINE_HEIGHT}>
          {shownName(line)}
        </text>
      ))}
    </a>
  )
}

function hrefOfBox(box: Box): string {
  if (box.kind === 'cluster') return hrefOf({ page: 'cluster', id: Number(box.key) })
  if (box.kind === 'file') return hrefOf({ page: 'file', path: box.key })
  return hrefOf({ page: 'map', by: 'folders', folder: box.key })
}

function BoxTable({ map, what }: { map: Aggregate; what: string }) {
  return (
    <div class="table-frame">
      <table>
        <caption>The same as a table</caption>
        <thead>
          <tr>
            <th scope="col">{`${what.charAt(0).toUpperCase()}${what.slice(1)}`}</th>
            <th scope="col" class="number">
              Symbols
            </th>
            <th scope="col" class="number">
              Calls out
            </th>
            <th scope="col" class="number">
              Calls in
            </th>
            <th scope="col">Calls most</th>
          </tr>
        </thead>
        <tbody>
          {map.boxes.map((box, i) => {
            const out = map.links.filter((link) => link.from === i)
            const into = map.links.filter((link) => link.to === i)
            return (
              <tr key={box.key}>
                <th scope="row">
                  <a href={hrefOfBox(box)}>{shownName(box.label)}</a>
                </th>
                <td class="number">{count(box.symbols)}</td>
                <td class="number">{count(sum(out))}</td>
                <td class="number">{count(sum(into))}</td>
                <td>
                  {out
                    .slice(0, MOST_CALLED)
                    .map((link) => named(map, link))
                    .join(', ')}
                </td>
              </tr>
            )
          })}
        </tbody>
      </table>
    </div>
  )
}

function LinkTable({ map }: { map: Aggregate }) {
  const links = drawnLinks(map)
  if (links.length === 0) return null
  return (
    <details>
      <summary>All {count(links.length)} arrows that are drawn</summary>
      <ol class="arrows">
        {links.map((link) => (
          <li key={`${link.from} ${link.to}`}>
            {shownName(map.boxes[link.from]?.label ?? '')} → {named(map, link)}
          </li>
        ))}
      </ol>
    </details>
  )
}

function named(map: Aggregate, link: Link): string {
  return `${shownName(map.boxes[link.to]?.label ?? '')} (${count(link.calls)})`
}

function sum(links: readonly Link[]): number {
  return links.reduce((total, link) => total + link.calls, 0)
}
