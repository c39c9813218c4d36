import assert from 'node:assert/strict'
import { test } from 'node:test'
import { buildTree } from '../src/tree.js'

test('paths become folders; a folder that only holds a folder is one with it', () => {
  const tree = buildTree(['README.md', 'src/main/java/a.java', 'src/main/java/b/c.java', 'x/__proto__/d'])
  assert.deepEqual(tree.files, [0])
  assert.deepEqual(
    tree.folders.map((folder) => [folder.name, folder.total, folder.files]),
    [
      ['src/main/java', 2, [1]],
      ['x/__proto__', 1, [3]],
    ],
  )
  assert.deepEqual(
    tree.folders[0]!.folders.map((folder) => [folder.name, folder.files]),
    [['b', [2]]],
  )
})

test('no path makes the tree so deep that drawing it would exhaust the stack', () => {
  assert.equal(buildTree(['a/'.repeat(10_000) + 'b']).total, 1)
  const paths = Array.from({ length: 200 }, (_, depth) => 'a/'.repeat(depth) + 'f')
  let depth = 0
  for (let folder = buildTree(paths).folders[0]; folder !== undefined; folder = folder.folders[0]) depth += 1
  assert.ok(depth <= 60)
})
