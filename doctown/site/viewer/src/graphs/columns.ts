/**
 * Where a neighbourhood is drawn: a column for each step, callers left of the symbol and callees right of it. Pure.
 *
 * The first column on each side keeps the order in which it is given (the surest and strongest first); the second is
 * ordered by the middle of what each symbol is linked to (the barycentre heuristic of Sugiyama et al., 1981), so that
 * fewer lines cross.
 */

import type { Neighbour, Neighbourhood, Relation } from './neighbours.js'

export interface Cell {
  readonly node: number
  readonly step: number
  readonly x: number
  readonly y: number
}

export interface Line {
  readonly relation: Relation
  /** An SVG path from the caller to the callee. */
  readonly path: string
}

export interface Columns {
  readonly width: number
  readonly height: number
  readonly cellWidth: number
  readonly cells: readonly Cell[]
  readonly lines: readonly Line[]
}

/** What the head of an arrow takes at the end of its line. */
export const HEAD = 9
export const CELL_HEIGHT = 38
const ROW_HEIGHT = 44
const [MIN_CELL_WIDTH, MAX_CELL_WIDTH] = [96, 210]
/** Between columns: this share of the width, and up to MAX_GAP where cells leave room. */
const GAP_SHARE = 0.035
const [MIN_GAP, MAX_GAP] = [20, 110]
const MARGIN = 6
/** The symbol in the middle stands in this row at most, so that it is seen without scrolling. */
const MAX_MIDDLE_ROW = 6

/** The columns of a neighbourhood in a frame of this width; wider where five columns do not fit. */
export function columns(around: Neighbourhood, frameWidth: number): Columns {
  const steps = [...new Set(around.nodes.map((each) => each.step))].sort((a, b) => a - b)
  const room = frameWidth - 2 * MARGIN
  const gaps = Math.max(1, steps.length - 1)
  const gap = bounded((room - steps.length * MAX_CELL_WIDTH) / gaps, Math.max(MIN_GAP, room * GAP_SHARE), MAX_GAP)
  const cellWidth = Math.floor(
    bounded((room - gap * (steps.length - 1)) / steps.length, MIN_CELL_WIDTH, MAX_CELL_WIDTH),
  )
  const inColumns = ordered(around, steps)
  const rows = Math.max(...inColumns.map((column) => column.length))
  const used = steps.length * cellWidth + (steps.length - 1) * gap
  const left = MARGIN + Math.max(0, (room - used) / 2)
  const cells = inColumns.flatMap((column, place) => {
    const first = steps[place] === 0 ? Math.min((rows - 1) / 2, MAX_MIDDLE_ROW) : firstRow(column.length, rows)
    return column.map(({ node, step }, row) => ({
      node,
      step,
      x: Math.round(left + place * (cellWidth + gap)),
      y: Math.round(MARGIN + (first + row) * ROW_HEIGHT),
    }))
  })
  return {
    width: Math.max(frameWidth, used + 2 * MARGIN),
    height: rows * ROW_HEIGHT - (ROW_HEIGHT - CELL_HEIGHT) + 2 * MARGIN,
    cellWidth,
    cells,
    lines: linesOf(around.relations, cells, cellWidth),
  }
}

/** Short columns stand in the middle of the symbol's surroundings, long ones begin at the top. */
function firstRow(length: number, rows: number): number {
  const middle = Math.min((rows - 1) / 2, MAX_MIDDLE_ROW)
  return Math.max(0, Math.min(middle - (length - 1) / 2, rows - length))
}

function ordered(around: Neighbourhood, steps: readonly number[]): Neighbour[][] {
  const near = new Map<number, number>()
  for (const step of [-1, 1]) {
    around.nodes.filter((each) => each.step === step).forEach((each, row) => near.set(each.node, row))
  }
  const linked = new Map<number, number[]>()
  for (const { from, to } of around.relations) {
    for (const [node, other] of [
      [from, to],
      [to, from],
    ] as const) {
      const row = near.get(other)
      if (row !== undefined) linked.set(node, [...(linked.get(node) ?? []), row])
    }
  }
  const weight = (node: number): number => {
    const rows = linked.get(node) ?? []
    return rows.reduce((sum, row) => sum + row, 0) / Math.max(1, rows.length)
  }
  return steps.map((step) => {
    const column = around.nodes.filter((each) => each.step === step)
    return Math.abs(step) < 2 ? column : column.sort((a, b) => weight(a.node) - weight(b.node))
  })
}

function linesOf(relations: readonly Relation[], cells: readonly Cell[], cellWidth: number): Line[] {
  const places = new Map(cells.map((cell) => [cell.node, cell]))
  return relations.flatMap((relation) => {
    const [from, to] = [places.get(relation.from), places.get(relation.to)]
    return from === undefined || to === undefined || from === to
      ? []
      : [{ relation, path: pathOf(from, to, cellWidth) }]
  })
}

/** A curve between the facing sides of two cells; between cells of one column, around their right side. */
function pathOf(from: Cell, to: Cell, cellWidth: number): string {
  const [y1, y2] = [from.y + CELL_HEIGHT / 2, to.y + CELL_HEIGHT / 2]
  if (from.step === to.step) {
    const x = from.x + cellWidth
    return `M${x},${y1}C${x + 30},${y1} ${x + 30},${y2} ${x + HEAD},${y2}`
  }
  const forward = from.step < to.step
  const x1 = forward ? from.x + cellWidth : from.x
  const x2 = forward ? to.x - HEAD : to.x + cellWidth + HEAD
  const half = (x1 + x2) / 2
  return `M${x1},${y1}C${half},${y1} ${half},${y2} ${x2},${y2}`
}

function bounded(value: number, min: number, max: number): number {
  return Math.min(max, Math.max(min, value))
}
