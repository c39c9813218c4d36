/** The edges of one symbol, grouped by the symbol at their other end. Pure. */
import { MIN_SURE_CONFIDENCE } from './shards.js'
import type { Edge } from './shards.js'

/** Edges between the same two symbols, which were found in different ways. */
export interface EdgeGroup {
  /** The other symbol. */
  readonly node: number
  /** The surest first. */
  readonly edges: readonly Edge[]
  /** Whether all of them are guesses. */
  readonly isGuess: boolean
}

export function isGuess(edge: Edge): boolean {
  return edge[4] < MIN_SURE_CONFIDENCE
}

/** Group edges by the symbol at their other end, in the order in which these come first. */
export function byNeighbour(edges: readonly Edge[]): EdgeGroup[] {
  const groups = new Map<number, Edge[]>()
  for (const edge of edges) {
    const group = groups.get(edge[0])
    if (group === undefined) groups.set(edge[0], [edge])
    else group.push(edge)
  }
  return [...groups].map(([node, parallel]) => ({
    node,
    edges: parallel.sort((left, right) => right[4] - left[4]),
    isGuess: parallel.every(isGuess),
  }))
}
