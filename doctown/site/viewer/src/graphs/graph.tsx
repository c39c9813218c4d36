/** The neighbourhood of one symbol: a column for each step, callers on the left, and the same as lists below. */
import { useEffect, useMemo, useState } from 'preact/hooks'
import type { Model } from '../data/model.js'
import type { EdgeKind } from '../data/shards.js'
import { useShown, useSite } from '../parts/context.js'
import { UnknownPage } from '../pages/unknown.js'
import { hrefOf } from '../routes.js'
import { counted, shown, shownName } from '../text.js'
import { CELL_HEIGHT, HEAD, columns } from './columns.js'
import type { Cell, Columns } from './columns.js'
import { ArrowHeads, Frame } from './frame.js'
import { MAX_NODES, neighbourhood, toldRelations } from './neighbours.js'
import type { Choice, Neighbourhood, Relation } from './neighbours.js'
import { clipped } from './place.js'

const [NAME_WIDTH, PATH_WIDTH] = [7, 6]
const CELL_PADDING = 8
const MAX_LINES_SHOWN = 10

const SECTIONS: readonly (readonly [step: number, title: string])[] = [
  [-1, 'Callers'],
  [1, 'Callees'],
  [-2, 'Callers of callers'],
  [2, 'Callees of callees'],
]

export function GraphPage(props: { model: Model; id: string; hops: 1 | 2; guesses: boolean }) {
  const node = props.model.find(props.id)
  if (node === null) return <UnknownPage what="symbol" id={props.id} />
  return <Graph model={props.model} node={node} choice={{ hops: props.hops, guesses: props.guesses }} />
}

type State = { key: string; around: Neighbourhood } | { key: string; reason: string }

function Graph({ model, node, choice }: { model: Model; node: number; choice: Choice }) {
  const { store } = useSite()
  const name = shownName(model.name(node))
  const id = model.idInAddress(node)
  const key = `${node} ${choice.hops} ${choice.guesses}`
  const [state, setState] = useState<State | null>(null)
  const [attempt, setAttempt] = useState(0)
  useShown(`Graph of ${name}`, key)
  useEffect(() => {
    let isWanted = true
    const edgesOf = async (each: number) => (await store.entry(model.shardOf(each), each)) ?? { in: [], out: [] }
    neighbourhood(node, choice, edgesOf).then(
      (around) => isWanted && setState({ key, around }),
      (error: unknown) => isWanted && setState({ key, reason: error instanceof Error ? error.message : String(error) }),
    )
    return () => {
      isWanted = false
    }
  }, [key, model, store, attempt])
  const ready = state?.key === key ? state : null
  return (
    <>
      <h1 tabIndex={-1}>
        Graph of <a href={hrefOf({ page: 'symbol', id })}>{name}</a>
      </h1>
      <Choices id={id} choice={choice} />
      {ready === null ? (
        <p class="loading" role="status">
          Loading…
        </p>
      ) : 'reason' in ready ? (
        <div class="failed" role="alert">
          <p>A part of this documentation is missing: {shown(ready.reason, 500)}</p>
          <button
            type="button"
            onClick={() => {
              setState(null)
              setAttempt(attempt + 1)
            }}
          >
            Try again
          </button>
        </div>
      ) : (
        <Around model={model} around={ready.around} choice={choice} />
      )}
    </>
  )
}

function Choices({ id, choice }: { id: string; choice: Choice }) {
  const link = (title: string, other: Choice) => {
    const isThis = other.hops === choice.hops && other.guesses === choice.guesses
    return (
      <a href={hrefOf({ page: 'graph', id, ...other })} aria-current={isThis ? 'page' : undefined}>
        {title}
      </a>
    )
  }
  return (
    <nav class="choices" aria-label="What the graph shows">
      {link('One step', { hops: 1, guesses: choice.guesses })}
      {link('Two steps', { hops: 2, guesses: choice.guesses })}
      <span class="separator" />
      {link('Without guesses', { hops: choice.hops, guesses: false })}
      {link('With guesses', { hops: choice.hops, guesses: true })}
    </nav>
  )
}

function Around({ model, around, choice }: { model: Model; around: Neighbourhood; choice: Choice }) {
  const told = [...whatIsMissing(around, choice)]
  if (around.nodes.length === 1) {
    return (
      <>
        <p>Nothing else in this repository is known to call this symbol, and it calls nothing else here.</p>
        {told.length > 0 && <p class="told">{told.join(' ')}</p>}
      </>
    )
  }
  return (
    <>
      <Drawing model={model} around={around} />
      <Legend around={around} />
      {told.length > 0 && <p class="told">{told.join(' ')}</p>}
      {SECTIONS.map(([step, title]) => (
        <Section key={step} {...{ model, around, step, title }} />
      ))}
    </>
  )
}

/** Sentences about what is not shown. */
function* whatIsMissing(around: Neighbourhood, choice: Choice): Generator<string> {
  const { itself, omitted, unexpanded, guesses } = around
  if (itself !== null) yield `The symbol ${itself.isGuess ? 'may call' : 'calls'} itself${inLines(itself.lines)}.`
  if (omitted.callers > 0) yield `${counted(omitted.callers, 'caller')} more would be above ${MAX_NODES} symbols.`
  if (omitted.callees > 0) yield `${counted(omitted.callees, 'callee')} more would be above ${MAX_NODES} symbols.`
  if (omitted.further > 0)
    yield `${counted(omitted.further, 'symbol')} two steps away ${isOrAre(omitted.further)} left out.`
  if (unexpanded > 0) yield `The neighbours of ${counted(unexpanded, 'symbol')} were not looked at.`
  if (guesses > 0 && !choice.guesses) yield `${counted(guesses, 'guess', 'guesses')} ${isOrAre(guesses)} left out.`
}

function isOrAre(number: number): string {
  return number === 1 ? 'is' : 'are'
}

function Drawing({ model, around }: { model: Model; around: Neighbourhood }) {
  const [near, setNear] = useState<number | null>(null)
  const draw = useMemo(() => (width: number) => columns(around, width), [around])
  return (
    <Frame label="The graph; the lists below say the same" draw={draw}>
      {(drawn) => (
        <>
          <ArrowHeads kinds={['calls', 'guess', 'other', 'near']} size={HEAD} />
          <Lines drawn={drawn} near={near} />
          {drawn.cells.map((cell) => (
            <CellLink key={cell.node} {...{ model, cell }} width={drawn.cellWidth} onNear={setNear} />
          ))}
        </>
      )}
    </Frame>
  )
}

function Lines({ drawn, near }: { drawn: Columns; near: number | null }) {
  return (
    <g class={near === null ? 'lines' : 'lines some-near'}>
      {drawn.lines.map(({ relation, path }) => {
        const isNear = relation.from === near || relation.to === near
        const kind = kindOf(relation)
        return (
          <path
            key={`${relation.from} ${relation.to}`}
            class={`line ${kind}${isNear ? ' near' : ''}`}
            d={path}
            marker-end={`url(#arrow-${isNear ? 'near' : kind})`}
          />
        )
      })}
    </g>
  )
}

function kindOf(relation: Relation): 'calls' | 'guess' | 'other' {
  if (relation.isGuess) return 'guess'
  return relation.kinds.includes('calls') ? 'calls' : 'other'
}

function CellLink(props: { model: Model; cell: Cell; width: number; onNear: (node: number | null) => void }) {
  const { model, cell, width, onNear } = props
  const { node, x, y } = cell
  const name = shownName(model.name(node))
  const path = shownName(model.path(node))
  const room = (perCharacter: number) => Math.floor((width - 2 * CELL_PADDING) / perCharacter)
  const isMiddle = cell.step === 0
  return (
    <a
      class={isMiddle ? 'cell middle' : 'cell'}
      href={hrefOf({ page: 'symbol', id: model.idInAddress(node) })}
      aria-current={isMiddle ? 'true' : undefined}
      onMouseEnter={() => onNear(node)}
      onMouseLeave={() => onNear(null)}
      onFocus={() => onNear(node)}
      onBlur={() => onNear(null)}
    >
      <title>{`${name} in ${path}`}</title>
      <rect x={x} y={y} width={width} height={CELL_HEIGHT} rx="5" />
      <text x={x + CELL_PADDING} y={y + 16}>
        {nameFor(name, shownName(model.shortName(node)), room(NAME_WIDTH))}
      </text>
      <text class="path" x={x + CELL_PADDING} y={y + 31}>
        {pathFor(path, room(PATH_WIDTH))}
      </text>
    </a>
  )
}

/** A name for so many characters: of `Class.method` the method is worth more than the class. */
function nameFor(name: string, short: string, room: number): string {
  if (name.length <= room) return name
  return short === name ? clipped(name, room) : clipped(`…${short}`, room)
}

/** A path for so many characters, of which the end says most. */
function pathFor(path: string, room: number): string {
  return path.length <= room ? path : `…${path.slice(1 - room)}`
}

function Legend({ around }: { around: Neighbourhood }) {
  const kinds = new Set(around.relations.map(kindOf))
  const entries: ['calls' | 'guess' | 'other', string][] = [
    ['calls', 'calls'],
    ['guess', 'a guess'],
    ['other', 'inherits, overrides or imports'],
  ]
  return (
    <ul class="legend">
      {entries.map(([kind, words]) =>
        kinds.has(kind) ? (
          <li key={kind}>
            <svg width="40" height="10" aria-hidden="true">
              <path class={`line ${kind}`} d="M1,5H28" marker-end={`url(#arrow-${kind})`} />
            </svg>
            {words}
          </li>
        ) : null,
      )}
    </ul>
  )
}

function Section(props: { model: Model; around: Neighbourhood; step: number; title: string }) {
  const { model, around, step, title } = props
  const nodes = around.nodes.filter((each) => each.step === step)
  if (nodes.length === 0) return null
  return (
    <section>
      <h2>
        {title} <span class="count">{nodes.length}</span>
      </h2>
      <ul class="neighbours">
        {nodes.map(({ node }) => (
          <li key={node}>
            <a href={hrefOf({ page: 'symbol', id: model.idInAddress(node) })}>{shownName(model.name(node))}</a>{' '}
            <span class="path">
              {shownName(model.path(node))}:{model.start(node)}
            </span>
            <ul>
              {toldRelations(around, node).map((relation) => (
                <li key={`${relation.from} ${relation.to}`} class={relation.isGuess ? 'guess' : undefined}>
                  {sentence(model, relation, node)}
                </li>
              ))}
            </ul>
          </li>
        ))}
      </ul>
    </section>
  )
}

const VERBS: Record<EdgeKind, readonly [active: string, passive: string]> = {
  calls: ['calls', 'is called by'],
  inherits: ['inherits from', 'is a base of'],
  overrides: ['overrides', 'is overridden by'],
  imports: ['imports', 'is imported by'],
}

/** A relation in words, as seen from one of its ends. */
function sentence(model: Model, relation: Relation, node: number): string {
  const isActive = relation.from === node
  const verbs = relation.kinds.map((kind) => VERBS[kind][isActive ? 0 : 1]).join(' and ')
  const other = relation.from === relation.to ? 'itself' : shownName(model.name(isActive ? relation.to : relation.from))
  const confidence = `${relation.isGuess ? 'a guess, ' : ''}confidence ${relation.confidence.toFixed(2)}`
  return `${verbs} ${other}${inLines(relation.lines)} (${confidence})`
}

function inLines(lines: readonly number[]): string {
  if (lines.length === 0) return ''
  const more = lines.length > MAX_LINES_SHOWN ? ', …' : ''
  return ` in line${lines.length === 1 ? '' : 's'} ${lines.slice(0, MAX_LINES_SHOWN).join(', ')}${more}`
}
