import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'

test('what is made of the schemas is that of the schemas: `make types` would change nothing', () => {
  const folder = mkdtempSync(join(tmpdir(), 'types-'))
  execFileSync('node', ['scripts/make-types.mjs', process.env['SCHEMAS'] ?? '../../schemas', folder])
  const made = readdirSync(folder)
  assert.deepEqual(made.sort(), ['docpack-schemas.ts', 'docpack-types.ts', 'types.ts'])
  for (const name of made) {
    const [committed, fresh] = [join('src', name), join(folder, name)].map((path) => readFileSync(path, 'utf8'))
    assert.equal(committed, fresh, `src/${name} is stale: run \`make types\``)
  }
})
