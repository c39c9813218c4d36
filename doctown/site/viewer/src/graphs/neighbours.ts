/**
 * Who is around one symbol: those who call it (or inherit from it, import it, override it) and those whom it calls,
 * one or two steps away. Pure but for `edgesOf`, which loads what belongs to a symbol.
 *
 * Two steps are callers of callers and callees of callees; the other callees of a caller are left out, since with them
 * every neighbourhood is most of the repository.
 */

import { byNeighbour, isGuess } from '../data/edges.js'
import type { EdgeKind, SymbolEntry } from '../data/shards.js'

/** The most symbols that are drawn, the one in the middle among them. */
export const MAX_NODES = 150
/** How many symbols are looked at for a second step, and how many each of them may bring along. */
export const MAX_EXPANDED = 40
export const MAX_BROUGHT = 8

/** What of a symbol's entry in its shard is read here. */
export type Edges = Pick<SymbolEntry, 'in' | 'out'>

export interface Neighbour {
  readonly node: number
  /** Steps from the middle: negative for callers, positive for callees, 0 for the symbol itself. */
  readonly step: number
}

export interface Relation {
  readonly from: number
  readonly to: number
  readonly kinds: readonly EdgeKind[]
  readonly lines: readonly number[]
  readonly confidence: number
  readonly isGuess: boolean
}

export interface Neighbourhood {
  /** In the order in which they are drawn in their columns. */
  readonly nodes: readonly Neighbour[]
  readonly relations: readonly Relation[]
  /** Where the symbol calls itself, which makes it no neighbour of its own. */
  readonly itself: Relation | null
  /** Neighbours of the symbol itself that are not shown, and symbols two steps away that are known and not shown. */
  readonly omitted: { readonly callers: number; readonly callees: number; readonly further: number }
  /** Neighbours that were not looked at for a second step. */
  readonly unexpanded: number
  /** Neighbours that were left out since all that leads to them is a guess. */
  readonly guesses: number
}

export interface Choice {
  readonly hops: 1 | 2
  readonly guesses: boolean
}

type Side = 'in' | 'out'

/** Find the neighbourhood of a symbol. */
export async function neighbourhood(
  middle: number,
  choice: Choice,
  edgesOf: (node: number) => Promise<Edges>,
): Promise<Neighbourhood> {
  const found = new Found(middle)
  const own = await edgesOf(middle)
  const sides: { side: Side; ranked: Relation[] }[] = (['in', 'out'] as const).map((side) => ({
    side,
    ranked: ranked(relationsOf(middle, own, side, choice.guesses).filter(({ from, to }) => from !== to)),
  }))
  const room = (choice.hops === 1 ? MAX_NODES : Math.floor(MAX_NODES / 2)) - 1
  const [callers, callees] = shares(sides[0]?.ranked.length ?? 0, sides[1]?.ranked.length ?? 0, room)
  const shown = sides.map(({ side, ranked: all }, i) => ({
    side,
    relations: all.slice(0, i === 0 ? callers : callees),
  }))
  for (const { side, relations } of shown) for (const relation of relations) found.add(relation, side, 1)
  let unexpanded = 0
  if (choice.hops === 2) {
    const first = interleaved(shown.map(({ side, relations }) => relations.map((relation) => ({ side, relation }))))
    unexpanded = Math.max(0, first.length - MAX_EXPANDED)
    for (const { side, relation } of first.slice(0, MAX_EXPANDED)) {
      const node = side === 'in' ? relation.from : relation.to
      const further = ranked(relationsOf(node, await edgesOf(node), side, choice.guesses))
      found.addFurther(further, side)
    }
  }
  return {
    ...found.result(),
    itself: relationsOf(middle, own, 'out', choice.guesses).find(callsItself) ?? null,
    omitted: {
      callers: (sides[0]?.ranked.length ?? 0) - callers,
      callees: (sides[1]?.ranked.length ?? 0) - callees,
      further: found.further,
    },
    unexpanded,
    guesses: choice.guesses ? 0 : guessesOf(middle, own),
  }
}

/**
 * What a list says of a symbol: callers say what they call, callees by what they are called, and both also what no
 * other symbol in the lists says, since a caller may be called by the symbol as well.
 */
export function toldRelations(around: Neighbourhood, node: number): Relation[] {
  const steps = new Map(around.nodes.map((each) => [each.node, each.step]))
  const stepOf = (other: number) => steps.get(other) ?? 0
  return around.relations.filter(({ from, to }) => {
    if (from === node && (stepOf(node) < 0 || stepOf(to) <= 0)) return true
    return to === node && (stepOf(node) > 0 || stepOf(from) >= 0)
  })
}

/** The symbols and relations that have been found so far, each once. */
class Found {
  private readonly steps = new Map<number, number>()
  private readonly relations: Relation[] = []
  private readonly pairs = new Set<string>()
  private readonly missed = new Set<number>()

  constructor(middle: number) {
    this.steps.set(middle, 0)
  }

  /** How many symbols two steps away were found for which there was no room. */
  get further(): number {
    return [...this.missed].filter((node) => !this.steps.has(node)).length
  }

  add(relation: Relation, side: Side, distance: number): void {
    const node = side === 'in' ? relation.from : relation.to
    if (!this.steps.has(node)) this.steps.set(node, side === 'in' ? -distance : distance)
    const pair = `${relation.from} ${relation.to}`
    if (!this.pairs.has(pair)) this.relations.push(relation)
    this.pairs.add(pair)
  }

  /** Add the second step from one symbol: what is shown already, and so many more as there is room for. */
  addFurther(relations: readonly Relation[], side: Side): void {
    let brought = 0
    for (const relation of relations) {
      const node = side === 'in' ? relation.from : relation.to
      const isNew = !this.steps.has(node)
      if (isNew && (brought >= MAX_BROUGHT || this.steps.size >= MAX_NODES)) {
        this.missed.add(node)
        continue
      }
      if (isNew) brought += 1
      this.add(relation, side, 2)
    }
  }

  result(): { nodes: Neighbour[]; relations: Relation[] } {
    return { nodes: [...this.steps].map(([node, step]) => ({ node, step })), relations: this.relations }
  }
}

/** The relations of a symbol on one side, one for each neighbour: edges of several kinds and origins are one. */
function relationsOf(node: number, edges: Edges, side: Side, guesses: boolean): Relation[] {
  const wanted = guesses ? edges[side] : edges[side].filter((edge) => !isGuess(edge))
  return byNeighbour(wanted).map(({ node: other, edges: parallel, isGuess }) => ({
    from: side === 'in' ? other : node,
    to: side === 'in' ? node : other,
    kinds: [...new Set(parallel.map((edge) => edge[1]))].sort(),
    lines: [...new Set(parallel.flatMap((edge) => edge[2]))].sort((a, b) => a - b),
    confidence: Math.max(...parallel.map((edge) => edge[4])),
    isGuess,
  }))
}

function callsItself({ from, to, kinds }: Relation): boolean {
  return from === to && kinds.includes('calls')
}

/** Sure ones first, then those with most calls; else in the order of the pack. */
function ranked(relations: readonly Relation[]): Relation[] {
  return [...relations].sort((a, b) => Number(a.isGuess) - Number(b.isGuess) || b.lines.length - a.lines.length)
}

/** Share room between two sides: each gets half, and what the other leaves. */
export function shares(first: number, second: number, room: number): [number, number] {
  const half = Math.floor(room / 2)
  const mine = Math.min(first, Math.max(half, room - second))
  return [mine, Math.min(second, room - mine)]
}

function interleaved<T>(lists: readonly (readonly T[])[]): T[] {
  const longest = Math.max(0, ...lists.map((list) => list.length))
  return Array.from({ length: longest }, (_, i) => lists.flatMap((list) => list.slice(i, i + 1))).flat()
}

function guessesOf(middle: number, edges: Edges): number {
  const others = [...byNeighbour(edges.in), ...byNeighbour(edges.out)].filter(({ node }) => node !== middle)
  return others.filter((group) => group.isGuess).length
}
