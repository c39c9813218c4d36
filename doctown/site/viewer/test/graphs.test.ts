import assert from 'node:assert/strict'
import { test } from 'node:test'

import type { Edge } from '../src/data/shards.js'
import { MAX_BOXES, clusterMap, folderMap, trailOf } from '../src/graphs/aggregate.js'
import type { Calls } from '../src/graphs/aggregate.js'
import { CELL_HEIGHT, columns } from '../src/graphs/columns.js'
import { MAX_BROUGHT, MAX_NODES, neighbourhood, shares, toldRelations } from '../src/graphs/neighbours.js'
import type { Edges } from '../src/graphs/neighbours.js'
import { clipped, labelLines, place } from '../src/graphs/place.js'

const PATHS = ['README.md', 'src/a/one.py', 'src/a/two.py', 'src/b.py', 'tests/t.py']
const SYMBOLS = [0, 5, 7, 3, 2]
const CALLS: Calls = [
  [1, 2, 4],
  [1, 3, 2],
  [2, 3, 1],
  [4, 1, 9],
]

test('a folder shows its folders and files, the largest first, with the calls between them added up', () => {
  const root = folderMap(PATHS, SYMBOLS, CALLS, '')
  assert.deepEqual(
    root.boxes.map((box) => [box.kind, box.key, box.label, box.symbols]),
    [
      ['folder', 'src', 'src/', 15],
      ['folder', 'tests', 'tests/', 2],
    ],
  )
  assert.deepEqual(root.links, [{ from: 1, to: 0, calls: 9 }])
  const src = folderMap(PATHS, SYMBOLS, CALLS, 'src')
  assert.deepEqual(
    src.boxes.map((box) => box.label),
    ['a/', 'b.py'],
  )
  assert.deepEqual(src.links, [{ from: 0, to: 1, calls: 3 }])
  assert.deepEqual(src.outside, { in: 9, out: 0 })
})

test('what a file without symbols calls in its own folder comes from no other folder', () => {
  const map = folderMap(
    ['run.py', 'src/__main__.py', 'src/a.py', 'src/b.py'],
    [0, 0, 1, 1],
    [
      [0, 2, 1],
      [1, 2, 7],
    ],
    '',
  )
  assert.equal(map.folder, 'src')
  assert.deepEqual(map.outside, { in: 1, out: 0 })
})

test('a folder whose symbols lie in one folder of it shows that one', () => {
  const map = folderMap(['LICENSE', 'src/x/y/a.py', 'src/x/y/b.py'], [0, 1, 1], [], '')
  assert.equal(map.folder, 'src/x/y')
  assert.deepEqual(
    map.boxes.map((box) => box.key),
    ['src/x/y/a.py', 'src/x/y/b.py'],
  )
  assert.deepEqual(folderMap(PATHS, SYMBOLS, CALLS, 'nowhere').boxes, [])
})

test('a file of the same name as a folder, and names of Object.prototype, are names as others are', () => {
  const map = folderMap(['__proto__/a.py', 'constructor', 'x/__proto__'], [1, 2, 3], [[0, 1, 1]], '')
  assert.deepEqual(
    map.boxes.map((box) => [box.kind, box.key]),
    [
      ['folder', 'x'],
      ['file', 'constructor'],
      ['folder', '__proto__'],
    ],
  )
  assert.deepEqual(map.links, [{ from: 2, to: 1, calls: 1 }])
})

test('at most 150 boxes are drawn, the smallest are counted', () => {
  const paths = Array.from({ length: MAX_BOXES + 7 }, (_, i) => `f${i}.py`)
  const map = folderMap(
    paths,
    paths.map((_, i) => i + 1),
    [[0, 156, 3]],
    '',
  )
  assert.equal(map.boxes.length, MAX_BOXES)
  assert.deepEqual(map.omitted, { boxes: 7, symbols: 28 })
  assert.deepEqual(map.links, [])
})

test('clusters are mapped by their numbers', () => {
  const map = clusterMap(
    [
      { id: 0, label: 'small', size: 2 },
      { id: 1, label: 'large', size: 9 },
    ],
    [
      [0, 1, 5],
      [1, 0, 6],
    ],
  )
  assert.deepEqual(
    map.boxes.map((box) => box.key),
    ['1', '0'],
  )
  assert.deepEqual(map.links, [
    { from: 0, to: 1, calls: 6 },
    { from: 1, to: 0, calls: 5 },
  ])
})

test('a trail names the folders above', () => {
  assert.deepEqual(trailOf(''), [])
  assert.deepEqual(trailOf('src/api'), [
    ['src', 'src'],
    ['src/api', 'api'],
  ])
})

test('a path of very many folders is as good as any', () => {
  const deep = 'a/'.repeat(200_000)
  assert.equal(folderMap([`${deep}x.py`, `${deep}y.py`], [1, 1], [], '').folder, deep.slice(0, -1))
  assert.equal(folderMap([`${deep}x.py`, 'ab.py'], [1, 1], [], '').folder, '')
  assert.deepEqual(trailOf('a/b/'.repeat(100_000)).at(-1)?.[1], '')
  assert.ok(trailOf(deep).length <= 20)
})

test('the same map gives the same picture, in which no two circles meet and everything is inside of the frame', () => {
  const clusters = Array.from({ length: 64 }, (_, id) => ({ id, label: `words of ${id}`, size: 1 + ((id * 37) % 900) }))
  const calls: Calls = clusters.flatMap(({ id }) => [[id, (id * 7 + 1) % 64, id + 1] as const])
  const map = clusterMap(clusters, calls)
  const picture = place(map, 1000)
  assert.deepEqual(picture, place(map, 1000))
  for (const [i, a] of picture.spots.entries()) {
    assert.ok(a.x - a.radius >= 0 && a.x + a.radius <= picture.width)
    assert.ok(a.y - a.radius >= 0 && a.y + a.radius <= picture.height)
    for (const b of picture.spots.slice(i + 1)) {
      assert.ok(Math.hypot(a.x - b.x, a.y - b.y) > a.radius + b.radius)
    }
  }
})

test('a map of nothing, and of one box, can be drawn', () => {
  assert.deepEqual(place(clusterMap([], []), 600).spots, [])
  assert.equal(place(clusterMap([{ id: 0, label: 'all', size: 1 }], []), 600).spots.length, 1)
})

test('labels have at most two short lines', () => {
  assert.deepEqual(labelLines('http sessions'), ['http sessions'])
  assert.deepEqual(labelLines('http sessions adapter pools'), ['http sessions', 'adapter pools'])
  assert.deepEqual(labelLines('test_the_longest_name_of_all_files.py'), ['test_the_longest_', 'name_of_all_files…'])
  assert.deepEqual(labelLines(''), [''])
  assert.deepEqual(labelLines('x'.repeat(1_000_000)), [`${'x'.repeat(17)}…`])
})

test('a text is cut between characters, not between the halves of one', () => {
  assert.equal(clipped('😀😀😀', 2), '😀…')
  assert.equal(clipped('abc', 3), 'abc')
})

const call = (node: number, lines = [1], confidence = 0.9): Edge => [node, 'calls', lines, 'typed', confidence]
const guess = (node: number): Edge => [node, 'calls', [1], 'unique_name', 0.4]

/** A graph as the shards have it, made of outgoing edges. */
function graph(out: Record<number, Edge[]>): (node: number) => Promise<Edges> {
  return (node) => {
    const incoming = Object.entries(out).flatMap(([from, edges]) =>
      edges.flatMap(([to, kind, lines, origin, confidence]): Edge[] =>
        to === node ? [[Number(from), kind, lines, origin, confidence]] : [],
      ),
    )
    return Promise.resolve({ out: out[node] ?? [], in: incoming })
  }
}

test('one hop has callers and callees; guesses are left out and counted unless they are wanted', async () => {
  const edges = graph({ 1: [call(0)], 0: [call(2), call(3, [4, 5]), guess(4)], 2: [call(5)] })
  const sure = await neighbourhood(0, { hops: 1, guesses: false }, edges)
  assert.deepEqual(sure.nodes, [
    { node: 0, step: 0 },
    { node: 1, step: -1 },
    { node: 3, step: 1 },
    { node: 2, step: 1 },
  ])
  assert.equal(sure.guesses, 1)
  const all = await neighbourhood(0, { hops: 1, guesses: true }, edges)
  assert.deepEqual(all.relations.at(-1), {
    from: 0,
    to: 4,
    kinds: ['calls'],
    lines: [1],
    confidence: 0.4,
    isGuess: true,
  })
  assert.equal(all.guesses, 0)
})

test('several edges to one symbol are one neighbour, which is sure where one of them is', async () => {
  const edges = graph({ 0: [call(2, [4]), guess(2), guess(3), guess(0)], 1: [guess(0), call(0, [7])] })
  const sure = await neighbourhood(0, { hops: 1, guesses: false }, edges)
  assert.deepEqual(
    sure.relations.map(({ from, to, lines }) => [from, to, lines]),
    [
      [1, 0, [7]],
      [0, 2, [4]],
    ],
  )
  assert.equal(sure.guesses, 1)
  const all = await neighbourhood(0, { hops: 1, guesses: true }, edges)
  assert.deepEqual(
    all.relations.map(({ from, to, lines, isGuess }) => [from, to, lines, isGuess]),
    [
      [1, 0, [1, 7], false],
      [0, 2, [1, 4], false],
      [0, 3, [1], true],
    ],
  )
})

test('a symbol that calls itself is no neighbour of its own, takes no room, and is told of', async () => {
  const many = Array.from({ length: MAX_NODES - 1 }, (_, place) => call(place + 1))
  const around = await neighbourhood(0, { hops: 1, guesses: false }, graph({ 0: [call(0, [3, 5]), ...many] }))
  assert.equal(around.nodes.length, MAX_NODES)
  assert.deepEqual(around.omitted, { callers: 0, callees: 0, further: 0 })
  assert.ok(around.relations.every(({ from, to }) => from !== to))
  assert.deepEqual(around.itself?.lines, [3, 5])
  const alone = await neighbourhood(0, { hops: 1, guesses: false }, graph({ 0: [guess(0)] }))
  assert.deepEqual([alone.nodes.length, alone.itself, alone.guesses], [1, null, 0])
})

test('two hops are callers of callers and callees of callees, and no other callees of a caller', async () => {
  const edges = graph({ 9: [call(1)], 1: [call(0), call(7)], 0: [call(2)], 2: [call(5), call(0)], 8: [call(2)] })
  const around = await neighbourhood(0, { hops: 2, guesses: false }, edges)
  assert.deepEqual(
    around.nodes.map(({ node, step }) => [node, step]),
    [
      [0, 0],
      [1, -1],
      [2, -1],
      [9, -2],
      [5, 2],
      [8, -2],
    ],
  )
})

test('edges of several kinds between two symbols are one relation; a symbol that calls itself is in it once', async () => {
  const inherits: Edge = [2, 'inherits', [], 'import', 0.97]
  const around = await neighbourhood(0, { hops: 1, guesses: false }, graph({ 0: [call(2), inherits, call(0)] }))
  assert.deepEqual(around.relations.find(({ to }) => to === 2)?.kinds, ['calls', 'inherits'])
  assert.equal(around.nodes.length, 2)
  assert.equal(columns(around, 800).lines.length, 1)
})

test('the lists say every relation that is drawn, also that a caller is called in turn', async () => {
  const edges = graph({ 0: [call(1), call(2)], 1: [call(0)], 2: [call(1), call(3)], 3: [call(2), call(0)] })
  for (const hops of [1, 2] as const) {
    const around = await neighbourhood(0, { hops, guesses: false }, edges)
    const told = around.nodes.flatMap(({ node, step }) => (step === 0 ? [] : toldRelations(around, node)))
    assert.deepEqual(new Set(told), new Set(around.relations))
    const ofCaller = toldRelations(around, 1).map(({ from, to }) => [from, to])
    assert.deepEqual(ofCaller.slice(0, 2), [
      [1, 0],
      [0, 1],
    ])
  }
})

test('at most 150 symbols are shown, and what is left out is counted', async () => {
  const many = Array.from({ length: 400 }, (_, i) => call(1000 + i))
  const out: Record<number, Edge[]> = { 0: many }
  for (let i = 1; i <= 20; i++) out[i] = [call(0)]
  const one = await neighbourhood(0, { hops: 1, guesses: false }, graph(out))
  assert.equal(one.nodes.length, MAX_NODES)
  assert.deepEqual(one.omitted, { callers: 0, callees: 400 - (MAX_NODES - 1 - 20), further: 0 })
  for (let i = 0; i < 400; i++) out[1000 + i] = Array.from({ length: 30 }, (_, j) => call(2000 + 30 * i + j))
  const two = await neighbourhood(0, { hops: 2, guesses: false }, graph(out))
  assert.equal(two.nodes.length, MAX_NODES)
  assert.equal(two.unexpanded, MAX_NODES / 2 - 1 - 40)
  assert.ok(two.omitted.further > 0)
  const brought = two.relations.filter(({ from }) => from === 1000).length
  assert.equal(brought, MAX_BROUGHT)
})

test('room is shared, and what one side leaves the other takes', () => {
  assert.deepEqual(shares(3, 500, 149), [3, 146])
  assert.deepEqual(shares(500, 500, 149), [74, 75])
  assert.deepEqual(shares(500, 2, 149), [147, 2])
  assert.deepEqual(shares(0, 0, 149), [0, 0])
})

test('columns stand from callers to callees, cells of one column apart, all inside of the picture', async () => {
  const out: Record<number, Edge[]> = { 0: Array.from({ length: 30 }, (_, i) => call(100 + i)), 1: [call(0)] }
  const around = await neighbourhood(
    0,
    { hops: 2, guesses: false },
    graph({ ...out, 100: [call(200)], 129: [call(1)] }),
  )
  for (const width of [320, 1200]) {
    const drawn = columns(around, width)
    assert.deepEqual(drawn, columns(around, width))
    for (const cell of drawn.cells) {
      assert.ok(cell.x >= 0 && cell.x + drawn.cellWidth <= drawn.width)
      assert.ok(cell.y >= 0 && cell.y + CELL_HEIGHT <= drawn.height)
      for (const other of drawn.cells) {
        if (other === cell) continue
        if (other.step === cell.step) assert.ok(Math.abs(other.y - cell.y) >= CELL_HEIGHT)
        else assert.equal(other.x < cell.x, other.step < cell.step)
      }
    }
  }
})
