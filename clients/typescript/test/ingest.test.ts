import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { DocpackReader, GenerationError, IngestClient } from '@doctown/generation-client'
import type { IngestClientOptions, JobState, RepositoryInput, RepositoryOutput } from '@doctown/generation-client'
import { LIMIT, repositories } from './real.js'
import { events, hangUp, json, silence, startStub } from './stub.js'
import type { Reply, Stub } from './stub.js'

const TOKEN = 'a-token-that-nobody-may-see'
const QUICK = { baseDelayS: 0.001, maxDelayS: 0.01 }
const INPUT: RepositoryInput = { repository: { url: 'https://github.com/owner/repo' } }

function clientOf(stub: Stub, options: IngestClientOptions = {}): IngestClient {
  return new IngestClient(`${stub.url}/`, { token: TOKEN, retry: QUICK, ...options })
}

async function fault(promise: Promise<unknown>): Promise<GenerationError> {
  const error: unknown = await promise.then(
    () => assert.fail('nothing was raised'),
    (raised: unknown) => raised,
  )
  assert.ok(error instanceof GenerationError, String(error))
  assert.ok(!`${error.message}${error.stack}`.includes(TOKEN))
  return error
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const seen: T[] = []
  for await (const item of items) seen.push(item)
  return seen
}

// --- The real service

const real = { ...LIMIT, skip: repositories === null && 'REPOSITORIES_URL is not set' }

function realClient(token = repositories?.token ?? ''): IngestClient {
  assert.ok(repositories)
  return new IngestClient(repositories.url, { token })
}

function inputOf(name: string, more: Partial<RepositoryInput> = {}): RepositoryInput {
  assert.ok(repositories)
  return { repository: { url: `${repositories.git}/${name}` }, options: { embeddings: 'words' }, ...more }
}

test('a repository is documented, tells its steps, and its pack is read whole and by members', real, async () => {
  const client = realClient()
  const id = await client.ingest(inputOf('open/demo', { job_id: 'ts-demo' }))
  assert.equal(await client.ingest(inputOf('open/demo', { job_id: 'ts-demo' })), id)
  const seen = await all(client.follow(id))
  seen.reduce((before, now) => {
    assert.notDeepEqual(now, before)
    assert.ok((now.progress?.step ?? 0) >= (before.progress?.step ?? 0))
    return now
  })
  assert.deepEqual(await client.status(id), seen.at(-1))
  const output = (await client.result(id)) as RepositoryOutput
  assert.equal(output.status, 'success')
  const { nodes, manifest } = await new DocpackReader(await client.docpack(id)).pack()
  assert.deepEqual(manifest.counts, output.counts)
  const member = await client.member(id, 'nodes.json')
  assert.deepEqual(await member.json(), { nodes })
  const page = Object.keys(manifest.members).find((name) => name.includes('['))
  assert.match(await (await client.member(id, page ?? '')).text(), /^# /)
  assert.equal((await fault(client.member(id, 'none/../x?.md'))).failure, 'not_found')
  assert.ok((await client.jobs({ limit: 1 })).jobs.length === 1)
})

test('pages of jobs follow each other, and a plan is the result of a dry run', real, async () => {
  const client = realClient()
  const planned = await client.ingest(inputOf('open/demo', { options: { dry_run: true } }))
  assert.equal((await client.result(planned)).status, 'planned')
  await client.ingest(inputOf('open/demo', { options: { dry_run: true } }))
  const first = await client.jobs({ limit: 1 })
  const second = await client.jobs({ limit: 1, before: first.next })
  assert.notEqual(first.jobs[0]?.job_id, second.jobs[0]?.job_id)
  assert.equal((await fault(client.docpack(planned))).failure, 'not_found')
})

test('a job that is cancelled ends what follows it', real, async () => {
  const client = realClient()
  const id = await client.ingest(inputOf('hangs/demo'))
  for await (const { status } of client.follow(id)) {
    if (status === 'running') await client.cancel(id)
  }
  assert.equal((await client.status(id)).status, 'cancelled')
  assert.equal((await fault(client.result(id))).failure, 'cancelled')
})

test('what is wrong is refused with its sentence', real, async () => {
  const client = realClient()
  const bad = await fault(client.ingest({ repository: { url: 'file:///etc' } }))
  assert.deepEqual([bad.failure, bad.status], ['bad_input', 422])
  assert.match(bad.message, /input\.repository\.url/)
  assert.equal((await fault(realClient('wrong').ingest(inputOf('open/demo')))).status, 401)
  for (const call of [
    () => client.status('none'),
    () => client.result('none'),
    () => client.cancel('none'),
    () => client.docpack('none'),
  ]) {
    const { failure, status } = await fault(call())
    assert.deepEqual([failure, status], ['not_found', 404])
  }
  const failed = await client.ingest(inputOf('open/none'))
  const error = await fault(client.result(failed))
  assert.equal(error.failure, (await client.status(failed)).failure)
})

test('the service tells which of its parts are ready, and embeds texts', real, async () => {
  const health = await realClient().health()
  assert.equal(health.ready, true)
  assert.ok(health.parts.git.ready && health.parts.store.ready)
  const [one, other] = await realClient().embed(['parse http headers', 'read a file'])
  assert.equal(one?.length, 384)
  assert.notDeepEqual(one, other)
})

// --- What is tried again

const ACCEPTED = json({ job_id: 'mine' }, 202)

function stateOf(status: JobState['status'], step = 0): JobState {
  const progress = { step, steps: 7, name: 'fetch', counts: {}, completed: 0, failed: 0, total: 0 }
  return { job_id: 'a', status, progress, output: null, error: null, failure: null } as unknown as JobState
}

function told(...states: JobState[]): Reply {
  return events(': hello\n\n', ...states.map((state) => `event: status\ndata: ${JSON.stringify(state)}\n\n`))
}

for (const [what, reply] of [
  ['a broken connection', hangUp],
  ['a server error', json({}, 500)],
] as [string, Reply][]) {
  test(`after ${what} a job is sent again only where it has an id, and else said to run perhaps`, async () => {
    const unnamed = await startStub(reply, ACCEPTED)
    const error = await fault(clientOf(unnamed).ingest(INPUT))
    assert.deepEqual([error.failure, unnamed.seen.length], ['maybe_accepted', 1])
    assert.match(error.message, /which may run all the same/)
    const named = await startStub(reply, ACCEPTED)
    assert.equal(await clientOf(named).ingest({ ...INPUT, job_id: 'mine' }), 'mine')
    assert.deepEqual([named.seen[0]?.method, named.seen[0]?.path], ['POST', '/ingest'])
    assert.deepEqual(JSON.parse(named.seen[1]?.body ?? ''), { ...INPUT, job_id: 'mine' })
    assert.equal(named.seen[1]?.headers.authorization, `Bearer ${TOKEN}`)
  })

  test(`after ${what} all else is tried again`, async () => {
    for (const call of [
      (client: IngestClient) => client.status('a'),
      (client: IngestClient) => client.cancel('a'),
      (client: IngestClient) => client.jobs(),
      (client: IngestClient) => client.docpack('a'),
      (client: IngestClient) => client.member('a', 'nodes.json'),
    ]) {
      const stub = await startStub(reply, json({}, 429, { 'retry-after': '0' }), json({}))
      await call(clientOf(stub))
      assert.equal(stub.seen.length, 3)
    }
  })
}

test('a service that has taken nothing is asked again, also without an id', async () => {
  for (const [status, failure] of [
    [429, 'too_many_requests'],
    [503, 'busy'],
    [503, 'stopping'],
  ] as const) {
    const stub = await startStub(json({ error: 'later', failure }, status, { 'retry-after': '0' }), ACCEPTED)
    assert.equal(await clientOf(stub).ingest(INPUT), 'mine')
    assert.equal(stub.seen.length, 2)
  }
})

test('a service that does not answer in time is a broken connection', async () => {
  const stub = await startStub(silence)
  const client = clientOf(stub, { timeoutS: 0.05, retry: { ...QUICK, attempts: 2 } })
  for (const call of [() => client.status('a'), () => client.docpack('a'), () => all(client.follow('a'))]) {
    assert.equal((await fault(call())).failure, 'connection')
  }
  assert.equal(stub.seen.length, 6)
})

// --- Following

test('a job is followed through broken connections, and what was told is not told again', async () => {
  const [running, further, done] = [stateOf('running', 1), stateOf('running', 3), stateOf('success', 7)]
  const cut: Reply = (response, seen) => {
    told(running, further)(response, seen)
    response.destroy()
  }
  const stub = await startStub(
    hangUp,
    told(running),
    cut,
    json({ error: 'later', failure: 'busy' }, 503, { 'retry-after': '0' }),
    events(`event: error\ndata: {"error": "the bucket is away", "failure": "storage"}\n\n`),
    told(further, done),
  )
  assert.deepEqual(await all(clientOf(stub).follow('a')), [running, further, done])
  assert.ok(stub.seen.every(({ path }) => path === '/status/a/events'))
  assert.equal(stub.seen.length, 6)
})

test('a service that stays away is given up, with its last fault', async () => {
  const stub = await startStub(told(stateOf('queued')), json({ error: 'on fire' }, 502))
  const seen: JobState[] = []
  const following = (async () => {
    for await (const state of clientOf(stub, { retry: { ...QUICK, attempts: 3 } }).follow('a')) seen.push(state)
  })()
  const error = await fault(following)
  assert.deepEqual([error.status, error.message, seen.length], [502, 'on fire', 1])
})

test('a job that nobody knows, or whose token is wrong, is not asked for again', async () => {
  for (const status of [401, 404]) {
    const stub = await startStub(json({ error: 'no' }, status))
    assert.equal((await fault(all(clientOf(stub).follow('a')))).status, status)
    assert.equal(stub.seen.length, 1)
  }
})

test('who stops following hangs up, and an abort ends it with its own reason', async () => {
  let closed = 0
  const stub = await startStub((response) => {
    response.on('close', () => (closed += 1))
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write(`event: status\ndata: ${JSON.stringify(stateOf('running'))}\n\n`)
  })
  for await (const { status } of clientOf(stub).follow('a')) {
    assert.equal(status, 'running')
    break
  }
  while (closed < 1) await wait(5)
  const stop = new AbortController()
  const reason = new Error('the page was closed')
  const following = all(clientOf(stub).follow('a', { signal: stop.signal }))
  while (stub.seen.length < 2) await wait(5)
  stop.abort(reason)
  await assert.rejects(following, reason)
  while (closed < 2) await wait(5)
  await assert.rejects(all(clientOf(stub).follow('a', { signal: AbortSignal.abort(reason) })), reason)
  assert.equal(stub.seen.length, 2)
})

test('a job that failed is raised with its sentence and its code', async () => {
  const failed = { ...stateOf('failed'), error: 'add credit', failure: 'no_quota' }
  const error = await fault(clientOf(await startStub(told(failed))).result('a'))
  assert.deepEqual([error.failure, error.message], ['no_quota', 'add credit'])
  const wordless = await fault(clientOf(await startStub(told(stateOf('failed')))).result('a'))
  assert.equal(wordless.failure, 'job_failed')
})

test('a service that is not ready says why, though with a 503', async () => {
  const parts = { git: { ready: false, reason: 'no git' } }
  const stub = await startStub(json({ status: 'healthy', model: 'offline', ready: false, parts }, 503), json({}, 503))
  assert.equal((await clientOf(stub).health()).parts.git.reason, 'no git')
  assert.equal((await fault(clientOf(stub).health())).failure, 'unavailable')
})

test('a refusal that breaks off is a broken connection, after which the call is made again', async () => {
  const cut: Reply = (response) => {
    response.writeHead(503, { 'content-length': '100' }).write('{', () => response.destroy())
  }
  const stub = await startStub(cut, (response) => response.writeHead(200).end('the pack'), cut)
  assert.equal(await (await clientOf(stub).docpack('a')).text(), 'the pack')
  assert.equal((await fault(clientOf(stub).health())).failure, 'connection')
  assert.equal((await fault(new DocpackReader(await fetch(stub.url)).manifest())).failure, 'connection')
})

test('ids and names are sent as parts of the path, whatever they hold', async () => {
  const stub = await startStub(json({}))
  await clientOf(stub).member('a/b?c', 'docs/ä [1].md')
  assert.equal(stub.seen[0]?.path, '/docpacks/a%2Fb%3Fc/docs/%C3%A4%20%5B1%5D.md')
  for (const call of [
    () => clientOf(stub).status('..'),
    () => clientOf(stub).docpack(''),
    () => clientOf(stub).member('a', '../../status/b'),
    () => all(clientOf(stub).follow('.')),
  ]) {
    assert.equal((await fault(call())).failure, 'not_found')
  }
  assert.equal(stub.seen.length, 1)
})

test('an answer that is none of the service is a bad reply', async () => {
  const odd = await startStub(json([]))
  const [oddly, emptily] = [clientOf(odd), clientOf(await startStub(json({})))]
  for (const call of [() => oddly.status('a'), () => oddly.embed(['a'])]) {
    assert.equal((await fault(call())).failure, 'bad_reply')
  }
  for (const call of [() => emptily.embed(['a']), () => emptily.health()]) {
    assert.equal((await fault(call())).failure, 'bad_reply')
  }
  for (const client of [oddly, emptily]) assert.equal((await fault(client.ingest(INPUT))).failure, 'maybe_accepted')
  assert.throws(() => new IngestClient('localhost:3000'), /baseUrl must be an address/)
  assert.throws(() => new IngestClient(odd.url, { token: '' }), /token is missing or empty/)
})
