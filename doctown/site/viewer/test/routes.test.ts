import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hrefOf, routeOf } from '../src/routes.js'
import type { Route } from '../src/routes.js'

test('each route is read back from its address', () => {
  const routes: Route[] = [
    { page: 'overview' },
    { page: 'search', query: 'a+b c&d=%' },
    { page: 'symbol', id: 'src/a b.py::Session.get#2' },
    { page: 'symbol', id: 'a?b.py::<module>' },
    { page: 'symbol', id: 'a.py::__proto__' },
    { page: 'symbol', id: 'a%20b.py::x' },
    { page: 'symbol', id: '17' },
    { page: 'file', path: 'é/日本#1.ts' },
    { page: 'files' },
    { page: 'cluster', id: 12 },
    { page: 'map', by: 'clusters', folder: '' },
    { page: 'map', by: 'folders', folder: 'src/x&y' },
    { page: 'graph', id: 'a.py::f', hops: 2, guesses: true },
    { page: 'graph', id: 'a.py::f?', hops: 1, guesses: false },
    { page: 'list', list: 'failed' },
  ]
  for (const route of routes) assert.deepEqual(routeOf(hrefOf(route)), route)
})

test('slashes and colons stay readable, half a surrogate pair does not throw', () => {
  assert.equal(hrefOf({ page: 'symbol', id: 'src/a.py::f' }), '#/symbol/src/a.py::f')
  assert.equal(hrefOf({ page: 'file', path: 'a\ud800b' }), '#/file/a%EF%BF%BDb')
})

test('an address that no page has is unknown', () => {
  const addresses = [
    '#x',
    '#/nothing',
    '#/symbol/',
    '#/symbol/%E0',
    '#/cluster/a',
    '#/cluster/-1',
    '#/list/x',
    '#/files/x',
  ]
  for (const address of addresses) {
    assert.equal(routeOf(address).page, 'unknown', address)
  }
  assert.equal(routeOf('').page, 'overview')
  assert.equal(routeOf('#/').page, 'overview')
})
