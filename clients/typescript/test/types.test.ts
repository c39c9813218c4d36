import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'

test('the types are those of the schemas: `make types` would change nothing', () => {
  const made = join(mkdtempSync(join(tmpdir(), 'types-')), 'types.ts')
  execFileSync('node', ['scripts/make-types.mjs', process.env['SCHEMAS'] ?? '../../schemas', made])
  assert.equal(
    readFileSync('src/types.ts', 'utf8'),
    readFileSync(made, 'utf8'),
    'src/types.ts is stale: run `make types`',
  )
})
