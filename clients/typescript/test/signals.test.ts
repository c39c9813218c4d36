// One signal for many calls, such as that of a server's shutdown: nothing of an ended call may stay on it.

import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { DocpackReader, GenerationClient, IngestClient, RunPodClient } from '@doctown/generation-client'
import { events, hangUp, json, startStub } from './stub.js'
import type { Reply } from './stub.js'

const RETRY = { attempts: 3, baseDelayS: 0.001 }
const REPOSITORY = { repository: { url: 'https://github.com/owner/repo' } }
const OUTPUT = { docpack: { bucket: null, key: 'a', url: '/a.docpack', bytes: 1, sha256: '' } }
const REFUSED = json({}, 429, { 'retry-after': '0' })
const TEXT: Reply = (response) => response.end('the pack')
const RUNNING = 'event: status\ndata: {"job_id": "a", "status": "running"}\n\n'
const ENDED = 'event: status\ndata: {"job_id": "a", "status": "success", "output": {}}\n\n'
const RESULT = 'event: result\ndata: {"job_id": "a", "documented_symbols": [], "failed_symbols": []}\n\n'
const EVENT = 'event: generation.started.v1\ndata: {"type": "generation.started.v1"}\n\n'
const cutBody: Reply = (response) =>
  response.writeHead(200, { 'content-length': '100' }).write('{', () => response.destroy())

interface Clients {
  runpod: RunPodClient
  ingest: IngestClient
  generation: GenerationClient
  url: string
}

type Call = (clients: Clients, signal: AbortSignal) => Promise<unknown>

async function firstOf<T>(items: AsyncIterable<T>): Promise<T | undefined> {
  for await (const item of items) return item
  return undefined
}

async function all(items: AsyncIterable<unknown>): Promise<void> {
  for await (const _item of items);
}

const pack: Call = async ({ runpod, url }, signal) => {
  const docpack = { ...OUTPUT.docpack, url: `${url}/a.docpack` }
  return (await runpod.docpack({ docpack } as never, { signal })).text()
}

const CALLS: [string, Call, ...[Reply, ...Reply[]]][] = [
  [
    'submit, after a refusal',
    ({ runpod }, signal) => runpod.submit({ symbols: [] }, { signal }),
    REFUSED,
    json({ id: 'a' }),
  ],
  ['submit, broken', ({ runpod }, signal) => runpod.submitRepository(REPOSITORY, { signal }), hangUp],
  ['status', ({ runpod }, signal) => runpod.status('a', { signal }), json({ id: 'a', status: 'IN_QUEUE' })],
  ['status, given up', ({ runpod }, signal) => runpod.status('a', { signal }), json({}, 500)],
  ['cancel, broken', ({ runpod }, signal) => runpod.cancel('a', { signal }), hangUp],
  [
    'result',
    ({ runpod }, signal) => runpod.result('a', { signal, pollS: 0.001 }),
    json({ id: 'a', status: 'IN_QUEUE' }),
    json({ id: 'a', status: 'COMPLETED', output: { status: 'success', documented_symbols: [], failed_symbols: [] } }),
  ],
  ['docpack of RunPod', pack, TEXT],
  ['docpack of RunPod, not found', pack, json({}, 404)],
  ['health', ({ ingest }, signal) => ingest.health({ signal }), json({ ready: true })],
  ['health, broken', ({ ingest }, signal) => ingest.health({ signal }), cutBody],
  ['ingest', ({ ingest }, signal) => ingest.ingest(REPOSITORY, { signal }), json({ job_id: 'a' })],
  [
    'follow, after a break',
    ({ ingest }, signal) => all(ingest.follow('a', { signal })),
    hangUp,
    events(RUNNING, ENDED),
  ],
  ['follow, left', ({ ingest }, signal) => firstOf(ingest.follow('a', { signal })), events(RUNNING, ENDED)],
  ['docpack', async ({ ingest }, signal) => (await ingest.docpack('a', { signal })).text(), TEXT],
  [
    'docpack without a body',
    ({ ingest }, signal) => ingest.docpack('a', { signal }),
    (response) => response.writeHead(204).end(),
  ],
  ['docpack, broken', async ({ ingest }, signal) => (await ingest.docpack('a', { signal })).text(), cutBody],
  ['docpack, given up', async ({ ingest }, signal) => (await ingest.docpack('a', { signal })).body?.cancel(), TEXT],
  ['member', async ({ ingest }, signal) => (await ingest.member('a', 'b', { signal })).text(), TEXT],
  ['generate', ({ generation }, signal) => generation.generate({ symbols: [] }, { signal }), json({}, 422)],
  ['stream', ({ generation }, signal) => all(generation.stream({ symbols: [] }, { signal })), events(EVENT, RESULT)],
  ['stream, left', ({ generation }, signal) => firstOf(generation.stream({ symbols: [] }, { signal })), events(EVENT)],
  ['stream, refused', ({ generation }, signal) => all(generation.stream({ symbols: [] }, { signal })), json({}, 503)],
  ['a reader of no pack', ({ url }, signal) => new DocpackReader(url, { signal }).manifest(), TEXT],
  ['a reader of nothing', ({ url }, signal) => new DocpackReader(url, { signal }).manifest(), json({}, 404)],
  ['a reader that is not used', async ({ url }, signal) => new DocpackReader(url, { signal }), TEXT],
]

for (const [what, call, ...replies] of CALLS) {
  test(`${what}: no listener stays on the caller's signal`, async () => {
    const { signal } = new AbortController()
    const { url } = await startStub(...replies)
    const clients = {
      runpod: new RunPodClient({ endpointId: 'ep', apiKey: 'key', baseUrl: url, retry: RETRY }),
      ingest: new IngestClient(url, { retry: RETRY }),
      generation: new GenerationClient(url),
      url,
    }
    await call(clients, signal).catch(() => undefined)
    assert.equal(getEventListeners(signal, 'abort').length, 0)
  })
}

const file = process.env['DOCPACK_FILE'] ?? ''

test('a reader leaves none after its last member, nor where it is closed', { skip: file === '' }, async () => {
  const { signal } = new AbortController()
  const [whole, closed] = [0, 1].map(() => new DocpackReader(readFileSync(file), { signal }))
  assert.ok(whole && closed)
  await all(whole.members())
  assert.equal(getEventListeners(signal, 'abort').length, 0)
  await closed.manifest()
  assert.equal(getEventListeners(signal, 'abort').length, 1)
  await closed.close()
  assert.equal(getEventListeners(signal, 'abort').length, 0)
})

test('a call with a signal that has been aborted leaves none, and an abort ends a body that is being read', async () => {
  const aborted = AbortSignal.abort(new Error('enough'))
  const { url, seen } = await startStub((response) => response.write('the beginning'))
  const client = new IngestClient(url, { retry: RETRY })
  await assert.rejects(client.docpack('a', { signal: aborted }), /enough/)
  await assert.rejects(new DocpackReader(url, { signal: aborted }).manifest(), /enough/)
  assert.deepEqual([getEventListeners(aborted, 'abort').length, seen.length], [0, 0])

  const stop = new AbortController()
  const reading = (await client.docpack('a', { signal: stop.signal })).text()
  stop.abort(new Error('enough'))
  await assert.rejects(reading, /enough/)
  assert.equal(getEventListeners(stop.signal, 'abort').length, 0)
})
