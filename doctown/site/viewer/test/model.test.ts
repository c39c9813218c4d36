import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Model } from '../src/data/model.js'
import { overviewOf, namesOf } from './support.js'

const names = namesOf([
  ['a.py', '<module>', -1],
  ['a.py', 'Session', 0],
  ['a.py', 'Session.get', 1],
  ['a.py', 'Session.__proto__', 1],
  ['b/c.py', '<module>', -1],
  ['b/c.py', 'run', 4],
])
const model = new Model(
  overviewOf({ shards: [0, 2, 5], url_template: 'https://x.org/{path}#L{start_line}-L{end_line}' }),
  names,
)

test('nodes are found by id and by number, and what is not there is not', () => {
  for (let node = 0; node < model.size; node += 1) assert.equal(model.find(model.id(node)), node)
  assert.equal(model.find('5'), 5)
  for (const id of ['6', '-1', 'a.py::nothing', '__proto__', 'constructor']) assert.equal(model.find(id), null)
})

test('names, parents and members', () => {
  assert.equal(model.name(4), 'c.py')
  assert.equal(model.shortName(3), '__proto__')
  assert.deepEqual(model.members(1), [2, 3])
  assert.deepEqual(model.ancestors(2), [1])
  assert.deepEqual(model.nodesOfFile(1), [4, 5])
  assert.equal(model.moduleOfFile(1), 4)
})

test('the shard of a node is the last one that begins at it or before', () => {
  assert.deepEqual(
    [0, 1, 2, 4, 5].map((node) => model.shardOf(node)),
    ['symbols-0', 'symbols-0', 'symbols-1', 'symbols-1', 'symbols-2'],
  )
})

test('a parent that is its own ancestor ends the search for ancestors', () => {
  const looped = new Model(
    overviewOf({}),
    namesOf([
      ['a', 'x', 1],
      ['a', 'y', 0],
      ['a', 'z', 2],
      ['a', 'w', 99],
    ]),
  )
  assert.ok(looped.ancestors(0).length <= 100)
  assert.deepEqual(looped.ancestors(2), [])
  assert.equal(looped.parent(3), null)
})

test('it is said where calls are found by their names alone', () => {
  assert.equal(model.languageByName(0), null)
  const { manifest } = model.overview
  const languages = { python: { files: 1, symbols: 1, level: 'symbols' as const } }
  assert.equal(new Model(overviewOf({ manifest: { ...manifest, languages } }), names).languageByName(0), 'python')
})

test('lines are linked at the commit', () => {
  assert.equal(model.sourceAddress(1, 3, 4), 'https://x.org/b/c.py#L3-L4')
})
