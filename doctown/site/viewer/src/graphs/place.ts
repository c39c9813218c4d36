/**
 * Where the boxes of a map are drawn: d3-force, run to its end before anything is shown, so that nothing moves.
 *
 * d3-force starts from fixed places and draws its chance from a generator of its own with a fixed seed: the same map
 * gives the same picture.
 */

import { forceCollide, forceLink, forceManyBody, forceSimulation, forceX, forceY } from 'd3-force'
import type { SimulationNodeDatum } from 'd3-force'

import type { Aggregate, Link } from './aggregate.js'

export interface Spot {
  readonly x: number
  readonly y: number
  readonly radius: number
  /** The label, in at most two lines. */
  readonly lines: readonly string[]
}

export interface Picture {
  readonly width: number
  readonly height: number
  /** In the order of the boxes. */
  readonly spots: readonly Spot[]
  /** The links that are drawn, the strongest; all are in the table. */
  readonly links: readonly Link[]
}

/** Below this width a map is not squeezed further: it scrolls in its frame. */
export const MIN_WIDTH = 560
export const LINE_HEIGHT = 15
const MIN_RADIUS = 8
/** Of the largest box, where there are few boxes and where there are many. */
const [MAX_RADIUS_OF_FEW, MAX_RADIUS_OF_MANY] = [56, 36]
const FEW = 16
/** How much further apart boxes may be moved to fill their frame. */
const MAX_SPREAD = 1.7
const MAX_LINE_CHARACTERS = 18
const CHARACTER_WIDTH = 6.6
// Labels are wide and low: boxes keep apart in a plane that is stretched upwards by this.
const STRETCH = 1.5
// Fewer steps than d3-force's 300, which takes half as long and looks the same.
const TICKS = 150
const MARGIN = 14
const LINKS_PER_BOX = 1.5
const MIN_LINKS = 24

interface Body extends SimulationNodeDatum {
  reach: number
}

/** The picture of a map in a frame of this width; its height is as needed. */
export function place(map: Aggregate, frameWidth: number): Picture {
  const width = Math.max(MIN_WIDTH, frameWidth)
  const most = Math.max(1, ...map.boxes.map((box) => box.symbols))
  const largest = map.boxes.length <= FEW ? MAX_RADIUS_OF_FEW : MAX_RADIUS_OF_MANY
  const shapes = map.boxes.map((box) => ({
    radius: MIN_RADIUS + (largest - MIN_RADIUS) * Math.sqrt(box.symbols / most),
    lines: labelLines(box.label),
  }))
  const bodies: Body[] = shapes.map(({ radius, lines }) => ({ reach: reachOf(radius, lines) }))
  const links = drawnLinks(map)
  const strongest = Math.max(1, ...links.map((link) => link.calls))
  const area = bodies.reduce((sum, body) => sum + Math.PI * body.reach ** 2, 0)
  const aspect = Math.min(3, Math.max(1, width ** 2 / (area * 1.9)))
  forceSimulation(bodies)
    .stop()
    .alphaDecay(1 - 0.001 ** (1 / TICKS))
    .force(
      'link',
      forceLink<Body, { source: number; target: number; calls: number }>(
        links.map((link) => ({ source: link.from, target: link.to, calls: link.calls })),
      )
        .distance((link) => reachAt(bodies, link.source) + reachAt(bodies, link.target) + 10)
        .strength((link) => 0.1 + 0.4 * Math.sqrt(link.calls / strongest)),
    )
    .force('charge', forceManyBody<Body>().strength(-220).distanceMax(600))
    .force('x', forceX<Body>(0).strength(0.05))
    .force('y', forceY<Body>(0).strength(0.05 * aspect))
    .force(
      'apart',
      forceCollide<Body>((body) => body.reach)
        .strength(1)
        .iterations(3),
    )
    .tick(TICKS)
  return { ...fitted(bodies, shapes, width), links }
}

/** The strongest links, so many that they can be followed by eye. */
export function drawnLinks(map: Aggregate): readonly Link[] {
  return map.links.slice(0, Math.max(MIN_LINKS, LINKS_PER_BOX * map.boxes.length))
}

/** A label in at most two lines of a legible length, broken between words; what is longer ends with an ellipsis. */
export function labelLines(label: string): string[] {
  const words = label.split(/(?<=[ _/.-])/u)
  const lines: string[] = ['']
  for (const word of words) {
    const last = lines.length - 1
    const line = lines[last] ?? ''
    if ([...(line + word.trimEnd())].length <= MAX_LINE_CHARACTERS || line === '') lines[last] = line + word
    else if (lines.length < 2) lines.push(word)
    else {
      lines[last] = `${line.trimEnd()}…`
      break
    }
  }
  return lines.map((line) => clipped(line.trimEnd(), MAX_LINE_CHARACTERS))
}

/** A text of at most so many characters (code points), the last an ellipsis where it was longer. */
export function clipped(text: string, length: number): string {
  // Of a text of a million characters only the start is looked at.
  const characters = [...text.slice(0, 2 * length + 2)]
  return characters.length <= length ? text : `${characters.slice(0, length - 1).join('')}…`
}

function reachOf(radius: number, lines: readonly string[]): number {
  const label = (Math.max(...lines.map((line) => line.length)) * CHARACTER_WIDTH) / 2
  return Math.max(radius * STRETCH, label, (STRETCH * (2 * radius + lines.length * LINE_HEIGHT)) / 2) + 6
}

function reachAt(bodies: readonly Body[], end: number | Body): number {
  return typeof end === 'number' ? (bodies[end]?.reach ?? 0) : end.reach
}

/** Undo the stretch, and move everything into a frame of at least this width, in its middle. */
function fitted(
  bodies: readonly Body[],
  shapes: readonly { readonly radius: number; readonly lines: readonly string[] }[],
  frameWidth: number,
): { spots: Spot[]; width: number; height: number } {
  const reach = bodies.map((body) => body.reach)
  const extent = Math.max(1, ...bodies.map((body) => 2 * (Math.abs(body.x ?? 0) + body.reach)))
  const spread = Math.min(MAX_SPREAD, Math.max(1, (frameWidth - 2 * MARGIN) / extent))
  const spots = shapes.map((shape, i) => ({
    ...shape,
    x: (bodies[i]?.x ?? 0) * spread,
    y: ((bodies[i]?.y ?? 0) * spread) / STRETCH,
  }))
  const left = Math.min(0, ...spots.map((spot, i) => spot.x - (reach[i] ?? 0)))
  const right = Math.max(0, ...spots.map((spot, i) => spot.x + (reach[i] ?? 0)))
  const top = Math.min(0, ...spots.map((spot) => spot.y - spot.radius))
  const bottom = Math.max(0, ...spots.map((spot) => spot.y + spot.radius + spot.lines.length * LINE_HEIGHT))
  const width = Math.ceil(Math.max(frameWidth, right - left + 2 * MARGIN))
  const indent = (width - (right - left)) / 2
  return {
    spots: spots.map((spot) => ({ ...spot, x: rounded(spot.x - left + indent), y: rounded(spot.y - top + MARGIN) })),
    width,
    height: Math.ceil(bottom - top + 2 * MARGIN),
  }
}

function rounded(value: number): number {
  return Math.round(value * 10) / 10
}
