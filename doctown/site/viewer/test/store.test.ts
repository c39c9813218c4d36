import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Store } from '../src/data/store.js'

test('a shard is loaded once, and one that failed can be tried again', async () => {
  let calls = 0
  const store = new Store({
    load: (name) => {
      calls += 1
      return calls === 1 ? Promise.reject(new Error('The disk is gone.')) : Promise.resolve({ name })
    },
  })
  let told = 0
  store.subscribe(() => (told += 1))

  await assert.rejects(store.load('map'), /The disk is gone/)
  assert.deepEqual(store.get('map'), { state: 'failed', reason: 'The disk is gone.' })
  store.retry('map')
  assert.equal(store.get('map').state, 'loading')
  assert.deepEqual(await store.load('map'), { name: 'map' })
  assert.deepEqual(await store.load('map'), { name: 'map' })
  assert.deepEqual(store.get('map'), { state: 'ready', value: { name: 'map' } })
  assert.equal(calls, 2)
  assert.equal(told, 3)
})
