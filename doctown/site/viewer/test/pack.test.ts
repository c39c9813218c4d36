/** Packs that the page reads itself. tests/doctown/site/test_viewer.py writes the packs, and the shards of each. */
import assert from 'node:assert/strict'
import { readFileSync, readdirSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { packAddress } from '../src/data/choose.js'
import { packSource } from '../src/data/pack.js'

const folder = process.env['PACKS_FOLDER'] ?? ''
const written = { skip: folder === '' && 'PACKS_FOLDER is not set' }

async function serve(...answers: (Buffer | null)[]): Promise<string> {
  const server = createServer((_request, response) => {
    const answer = answers.length > 1 ? answers.shift() : answers[0]
    response.writeHead(answer ? 200 : 500).end(answer)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  server.unref()
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/pack`
}

test('a pack gives the same shards in the browser as on the command line', written, async () => {
  const names = readdirSync(folder)
  assert.ok(names.length > 1)
  for (const name of names) {
    const source = packSource(await serve(readFileSync(join(folder, name, 'pack.docpack'))))
    const files = readdirSync(join(folder, name)).filter((file) => file.endsWith('.json'))
    assert.ok(files.length > 4)
    for (const file of files) {
      const shard: unknown = await source.load(file.replace('.json', ''))
      assert.deepEqual(shard, JSON.parse(readFileSync(join(folder, name, file), 'utf8')), `${name}: ${file}`)
    }
    await assert.rejects(source.load('symbols-999'), /The pack has no part symbols-999/)
  }
})

test('a pack that could not be read can be asked for again', written, async () => {
  const pack = readFileSync(join(folder, readdirSync(folder)[0] ?? '', 'pack.docpack'))
  const source = packSource(await serve(null, pack.subarray(0, 500), pack))
  await assert.rejects(source.load('overview'), /HTTP status 500/)
  await assert.rejects(
    source.load('overview'),
    /The pack cannot be read: it is no \.docpack, or it is damaged or cut off/,
  )
  assert.ok(await source.load('overview'))
})

test('a page reads packs of its own site only', () => {
  const address = (pack: string) =>
    packAddress(`https://docs.example/viewer/pack.html?pack=${encodeURIComponent(pack)}#/`)
  assert.equal(address('/packs/a b.docpack'), 'https://docs.example/packs/a%20b.docpack')
  assert.equal(address('/api/packs?id=1'), 'https://docs.example/api/packs?id=1')
  for (const odd of [
    '',
    'packs/a',
    '//evil.example/a',
    '/\\evil.example/a',
    '/\t/evil.example/a',
    '\\/evil.example/a',
  ]) {
    assert.equal(address(odd), null, odd)
  }
  for (const odd of [
    'https://evil.example/a',
    'javascript:alert(1)',
    'data:,a',
    '/\n/evil.example',
    ' //evil.example',
  ]) {
    assert.equal(address(odd), null, odd)
  }
  assert.equal(packAddress('https://docs.example/pack.html'), null)
})
