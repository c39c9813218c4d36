import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Model } from '../src/data/model.js'
import { TEST } from '../src/data/shards.js'
import { SearchIndex, readQuery } from '../src/data/search.js'
import { marks, partsOfName } from '../src/words.js'
import { namesOf, overviewOf } from './support.js'

const rows: Parameters<typeof namesOf>[0] = [
  ['src/adapters.py', '<module>', -1],
  ['src/adapters.py', 'HTTPAdapter', 0, 1, 500],
  ['src/adapters.py', 'HTTPAdapter.send', 1, 1, 300],
  ['src/sessions.py', '<module>', -1],
  ['src/sessions.py', 'Session', 3, 1, 900],
  ['src/sessions.py', 'Session.get_adapter', 4, 1, 200],
  ['src/sessions.py', 'Session.send', 4, 1, 800],
  ['src/sessions.py', 'session', 3, 1, 10],
  ['tests/test_x.py', 'send', -1, TEST, 1000],
  ['src/sessions.py', '__proto__', 3, 1, 0],
  ['src/sessions.py', 'constructor', 3, 1, 0],
  ['src/utils.py', 'parse_url', -1, 1, 5],
  ['src/utils.py', 'resend', -1, 1, 999],
]
const summaries = rows.map(([, local]) =>
  local === 'parse_url' ? 'Splits an address into its components and returns them.' : null,
)
const model = new Model(overviewOf({}), namesOf(rows))
const index = new SearchIndex(model)
index.addSummaries(summaries, 0, summaries.length)

/** The names that are found, the best first. */
function found(query: string): string[] {
  return index.search(query, 20).nodes.map((node) => rows[node]![1])
}

test('a name is cut where its parts meet', () => {
  assert.deepEqual(partsOfName('HTTPAdapter_get2'), ['http', 'adapter', 'get', '2'])
  assert.deepEqual(partsOfName('straßeÄndern'), ['straße', 'ändern'])
  assert.deepEqual(partsOfName('__'), [])
})

test('the exact name comes first, then prefixes, then parts; tests and the middle of words are lower', () => {
  assert.deepEqual(found('send'), ['Session.send', 'HTTPAdapter.send', 'send', 'resend'])
  assert.deepEqual(found('Session').slice(0, 2), ['Session', 'session'])
})

test('parts of names and prefixes are found, in any order and any writing', () => {
  for (const query of [
    'get_adapter',
    'getAdapter',
    'adapter get',
    'get adap',
    'getadapter',
    'GET ADAPTER',
    'Session.get_adapter',
  ]) {
    assert.equal(found(query)[0], 'Session.get_adapter', query)
  }
  assert.equal(found('httpad')[0], 'HTTPAdapter')
  assert.deepEqual(found('adapter'), ['<module>', 'HTTPAdapter', 'Session.get_adapter', 'HTTPAdapter.send'])
})

test('words of the path narrow a search', () => {
  assert.deepEqual(found('sessions.py send'), ['Session.send'])
  assert.equal(found('adapters send')[0], 'HTTPAdapter.send')
})

test('one typing error is forgiven in words of up to 30 letters', () => {
  for (const [letters, count] of [
    [30, 1],
    [31, 0],
  ] as const) {
    const name = 'q'.repeat(letters)
    const long = new SearchIndex(new Model(overviewOf({}), namesOf([['a.py', name, -1]])))
    assert.equal(long.search(`${name.slice(1)}x`, 20).total, count)
  }
})

test('one typing error is forgiven', () => {
  for (const query of ['sesion', 'sessino', 'sessiom', 'seession']) assert.equal(found(query)[0], 'Session', query)
})

test('words of summaries are found, with other endings and without the small words of a question', () => {
  for (const query of [
    'components',
    'component address',
    'what splits the address',
    'splitting',
    'returning components',
  ]) {
    assert.equal(found(query)[0], 'parse_url', query)
  }
})

test('where no symbol has all terms, those with most of them are found', () => {
  assert.equal(found('get adapter zzzz')[0], 'Session.get_adapter')
  assert.deepEqual(found('zzzz yyyy send'), [])
})

test('names of the language itself are names like others', () => {
  assert.equal(found('__proto__')[0], '__proto__')
  assert.equal(found('constructor')[0], 'constructor')
  assert.deepEqual(found('toString'), [])
})

test('a query of signs, of nothing or of a million letters finds nothing and ends', () => {
  for (const query of ['', '  ', '***', '::', 'x'.repeat(1_000_000), 'a '.repeat(500_000)]) {
    assert.ok(index.search(query, 5).nodes.length <= 5)
  }
  assert.ok(readQuery('a b c d e f g h i j k l').terms.length <= 8)
})

test('a name of a million letters is not in the way of others', () => {
  const long = new SearchIndex(
    new Model(
      overviewOf({}),
      namesOf([
        ['a', 'x'.repeat(1_000_000), -1],
        ['a', 'send', -1],
      ]),
    ),
  )
  assert.deepEqual(long.search('send', 5).nodes, [1])
})

test('what matched is marked, over underscores too', () => {
  assert.deepEqual(marks('get_adapter', ['getad']), [
    ['get_ad', true],
    ['apter', false],
  ])
  assert.deepEqual(marks('a.Get.get', ['get']), [
    ['a.', false],
    ['Get', true],
    ['.', false],
    ['get', true],
  ])
  assert.deepEqual(marks('😀𝒳_get', ['get']), [
    ['😀𝒳_', false],
    ['get', true],
  ])
  assert.deepEqual(marks('none', ['x']), [['none', false]])
  assert.deepEqual(marks('', ['x']), [])
})
