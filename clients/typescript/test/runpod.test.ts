import assert from 'node:assert/strict'
import { mock, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { DocpackReader, GenerationClient, GenerationError, RunPodClient } from '@doctown/generation-client'
import type { Fetch, JobOutput, ProgressPayload, RunPodClientOptions } from '@doctown/generation-client'
import { LIMIT, documents, hangingSymbols, ids, repositories, runpod, symbols } from './real.js'
import { events, hangUp, json, silence, startStub } from './stub.js'
import type { Reply, Stub } from './stub.js'

const KEY = 'rp-key-that-nobody-may-see'
const QUICK = { baseDelayS: 0.001, maxDelayS: 0.01 }
const INPUT = { symbols: [] }

function clientOf(stub: Stub, options: Partial<RunPodClientOptions> = {}): RunPodClient {
  return new RunPodClient({ endpointId: 'ep', apiKey: KEY, baseUrl: stub.url, retry: QUICK, ...options })
}

async function fault(promise: Promise<unknown>): Promise<GenerationError> {
  const error: unknown = await promise.then(
    () => assert.fail('nothing was raised'),
    (raised: unknown) => raised,
  )
  assert.ok(error instanceof GenerationError, String(error))
  assert.ok(!`${error.message}${error.stack}`.includes(KEY))
  return error
}

// --- The real worker

const real = { ...LIMIT, skip: runpod === null && 'RUNPOD_URL is not set' }

function realClient(options: Partial<RunPodClientOptions> = {}): RunPodClient {
  assert.ok(runpod)
  return new RunPodClient({ ...runpod, ...options })
}

test('a job is documented, tells how far it is, and its progress never goes backwards', real, async () => {
  const client = realClient()
  const id = await client.submit({ symbols: symbols(80) })
  const seen: ProgressPayload[] = []
  for await (const progress of client.progress(id, { pollS: 0.05 })) seen.push(progress)
  assert.ok(seen.length > 1)
  seen.reduce((before, now) => {
    assert.ok(now.completed + now.failed > before.completed + before.failed)
    assert.ok(now.total_tokens >= before.total_tokens)
    return now
  })
  assert.ok(seen.every((one) => one.total === 80))

  const output = await client.result(id)
  assert.equal(output.status, 'success')
  assert.deepEqual(ids(output.documented_symbols), ids(symbols(80)))
  assert.ok(output.total_tokens > 0)
  assert.equal((await client.status(id)).status, 'COMPLETED')
})

test('symbols that are too many for the output are read from the results document', real, async () => {
  const client = realClient()
  const id = await client.submit({ symbols: symbols(400), options: { model: 'offline' } })
  const output = await client.result(id, { pollS: 0.05 })
  const { output: sent } = (await client.status(id)) as { output: JobOutput }
  assert.equal(sent.documented_symbols, undefined)
  assert.match(sent.results?.url ?? '', /^http/)
  assert.deepEqual(ids(output.documented_symbols), ids(symbols(400)))
  assert.deepEqual(output.failed_symbols, [])
})

test('a results document of a private bucket comes through the function that is given', real, async () => {
  const asked: (string | null)[] = []
  const client = realClient({
    results: {
      fetchDocument: (pointer) => {
        asked.push(pointer.bucket, pointer.key)
        return fetch(`${documents}/${pointer.key}`)
      },
    },
  })
  const id = await client.submit({ job_id: 'private', symbols: symbols(400), options: { model: 'offline' } })
  const output = await client.result(id, { pollS: 0.05 })
  assert.deepEqual(asked, ['results', 'results/private.json'])
  assert.deepEqual(ids(output.documented_symbols), ids(symbols(400)))
})

test('a repository becomes a pack in the bucket, which is read by its address or by a function', real, async () => {
  const client = realClient()
  const repository = { url: `${repositories?.git}/open/demo` }
  const id = await client.submitRepository({ repository, options: { embeddings: 'words', model: 'offline' } })
  const steps: number[] = []
  for await (const { step, steps: most } of client.repositoryProgress(id, { pollS: 0.05 })) {
    assert.ok(step <= most)
    steps.push(step)
  }
  assert.deepEqual(steps, [...steps].sort())
  const output = await client.repositoryResult(id)
  assert.ok(output.status === 'success')
  const privately = realClient({ results: { fetchDocument: ({ key }) => fetch(`${documents}/${key}`) } })
  for (const one of [client, privately]) {
    const { manifest } = await new DocpackReader(await one.docpack(output)).pack()
    assert.deepEqual(manifest.counts, output.counts)
  }
  const gone = { ...output, docpack: { ...output.docpack, url: `${output.docpack.url}.none` } }
  assert.equal((await fault(client.docpack(gone))).failure, 'not_found')
  const hidden = { ...output, docpack: { ...output.docpack, url: null } }
  assert.match(
    (await fault(client.docpack(hidden))).message,
    /^the pack is in docpacks\/.* of results: give the client/,
  )
  const planned = await client.submitRepository({ repository, options: { dry_run: true } })
  assert.equal((await client.repositoryResult(planned, { pollS: 0.05 })).status, 'planned')
})

test('a job that could not run is raised with its sentence and its code', real, async () => {
  const client = realClient()
  const error = await fault(client.result(await client.submit({ symbols: [] }), { pollS: 0.05 }))
  assert.equal(error.failure, 'bad_input')
  assert.match(error.message, /symbols is empty/)
})

test('the plan of a job has its price and documents nothing', real, async () => {
  const planned = await realClient().plan({ symbols: symbols(12) }, { pollS: 0.05 })
  assert.equal(planned.status, 'planned')
  assert.equal(planned.plan.symbols, 12)
  assert.ok(planned.plan.estimated_cost > 0)
})

test('a job that is cancelled ends its progress and has no result', real, async () => {
  const client = realClient()
  const id = await client.submit({ symbols: hangingSymbols(5) })
  while ((await client.status(id)).status !== 'IN_PROGRESS') await wait(20)
  assert.equal(await client.cancel(id), 'CANCELLED')
  for await (const progress of client.progress(id)) assert.ok(progress.completed === 0)
  assert.equal((await fault(client.result(id))).failure, 'cancelled')
})

test('a job that nobody knows is not found, and a wrong key is refused', real, async () => {
  const unknown = await fault(realClient().result('no-such-job'))
  assert.deepEqual([unknown.failure, unknown.status], ['not_found', 404])
  const refused = await fault(realClient({ apiKey: 'wrong' }).submit(INPUT))
  assert.deepEqual([refused.failure, refused.status], ['unauthorized', 401])
})

test('the webhook of a job is told of its end', real, async () => {
  const stub = await startStub(json({}))
  const client = realClient()
  const id = await client.submit(
    { symbols: symbols(2), options: { model: 'offline' } },
    { webhook: `${stub.url}/ended` },
  )
  await client.result(id, { pollS: 0.05 })
  while (stub.seen.length === 0) await wait(20)
  assert.equal(stub.seen[0]?.path, '/ended')
  assert.deepEqual([JSON.parse(stub.seen[0].body).id, JSON.parse(stub.seen[0].body).status], [id, 'COMPLETED'])
})

test('an abort ends a wait with its own reason', real, async () => {
  const client = realClient()
  const id = await client.submit({ symbols: hangingSymbols(2) })
  const reason = new Error('the page was closed')
  const stop = new AbortController()
  const waiting = client.result(id, { signal: stop.signal, pollS: 30 })
  setTimeout(() => stop.abort(reason), 100)
  await assert.rejects(waiting, reason)
  await client.cancel(id)
})

// --- What is sent

test('a submission carries the input, the webhook and the policy, and the key in its header only', async () => {
  const stub = await startStub(json({ id: 'job-1', status: 'IN_QUEUE' }))
  const policy = { executionTimeout: 900_000, lowPriority: true }
  assert.equal(await clientOf(stub).submit(INPUT, { webhook: 'https://site.example/hook', policy }), 'job-1')
  const [seen] = stub.seen
  assert.deepEqual([seen?.method, seen?.path, seen?.headers.authorization], ['POST', '/ep/run', `Bearer ${KEY}`])
  assert.deepEqual(JSON.parse(seen?.body ?? ''), { input: INPUT, webhook: 'https://site.example/hook', policy })
})

test('ids are sent as one part of the path, whatever they hold', async () => {
  const stub = await startStub(json({ id: 'a', status: 'IN_QUEUE' }))
  await clientOf(stub).status('../../purge-queue?x=1')
  assert.equal(stub.seen[0]?.path, '/ep/status/..%2F..%2Fpurge-queue%3Fx%3D1')
})

test('the job of a repository tells its steps, and has its pack in its output', async () => {
  const snapshot = (step: number, elapsed_ms: number) =>
    json({
      id: 'job-1',
      status: 'IN_PROGRESS',
      output: { type: 'doctown.progress.v1', job_id: 'job-1', payload: { step, steps: 7, elapsed_ms } },
    })
  const ended = json({ id: 'job-1', status: 'COMPLETED', output: { status: 'success', docpack: { key: 'a.docpack' } } })
  const accepted = json({ id: 'job-1', status: 'IN_QUEUE' })
  const stub = await startStub(accepted, snapshot(1, 5), snapshot(1, 5), snapshot(5, 900), snapshot(4, 800), ended)
  const client = clientOf(stub)
  const repository = { url: 'https://github.com/owner/repo' }
  const id = await client.submitRepository({ repository })
  assert.deepEqual(JSON.parse(stub.seen[0]?.body ?? ''), { input: { repository } })
  const steps: number[] = []
  for await (const { step } of client.repositoryProgress(id, { pollS: 0.001 })) steps.push(step)
  assert.deepEqual(steps, [1, 5])
  const output = await client.repositoryResult(id)
  assert.ok('docpack' in output)
  assert.equal(output.docpack.key, 'a.docpack')
})

// --- What is tried again

const ACCEPTED = json({ id: 'job-1', status: 'IN_QUEUE' })
const REFUSED = json({ error: 'too many requests' }, 429, { 'retry-after': '0' })

test('a refused submission is tried again until it is accepted', async () => {
  const stub = await startStub(REFUSED, json({}, 429), ACCEPTED)
  assert.equal(await clientOf(stub).submit(INPUT), 'job-1')
  assert.equal(stub.seen.length, 3)
})

const SUBMISSIONS: [string, (client: RunPodClient) => Promise<unknown>][] = [
  ['symbols', (client) => client.submit(INPUT)],
  ['symbols with an id', (client) => client.submit({ ...INPUT, job_id: 'mine' })],
  ['a repository', (client) => client.submitRepository({ repository: { url: 'https://github.com/owner/repo' } })],
]

for (const [what, reply, status] of [
  ['a broken connection', hangUp, null],
  ['a server error', json({}, 500), 500],
  ['a time-out of a proxy', json({}, 408), 408],
  ['an answer without an id', json({}), null],
] as [string, Reply, number | null][]) {
  for (const [input, submit] of SUBMISSIONS) {
    test(`after ${what} a job of ${input} is not submitted again, and said to run perhaps`, async () => {
      const stub = await startStub(reply, ACCEPTED)
      const error = await fault(submit(clientOf(stub)))
      assert.deepEqual([error.failure, error.status, stub.seen.length], ['maybe_accepted', status, 1])
      assert.match(error.message, /^no answer confirms the job, which may run all the same \(/)
      assert.ok(error.cause instanceof GenerationError)
    })
  }
}

test('a submission is waited for three times as long as another call', async () => {
  mock.timers.enable({ apis: ['setTimeout'] })
  try {
    const signals: AbortSignal[] = []
    const never: Fetch = (_url, init) =>
      new Promise((_resolve, reject) => {
        assert.ok(init?.signal)
        signals.push(init.signal)
        init.signal.addEventListener('abort', () => reject(new TypeError('aborted')))
      })
    const client = new RunPodClient({ endpointId: 'ep', apiKey: KEY, fetch: never, retry: { attempts: 1 } })
    const faults = [fault(client.submit(INPUT)), fault(client.status('a'))]
    mock.timers.tick(30_000)
    assert.deepEqual(
      signals.map(({ aborted }) => aborted),
      [false, true],
    )
    mock.timers.tick(60_000)
    assert.deepEqual(
      (await Promise.all(faults)).map(({ failure }) => failure),
      ['maybe_accepted', 'connection'],
    )
  } finally {
    mock.timers.reset()
  }
})

for (const [what, reply] of [
  ['a broken connection', hangUp],
  ['a server error', json({}, 500)],
] as [string, Reply][]) {
  test(`after ${what} a question and a cancellation are tried again`, async () => {
    const asked = await startStub(reply, REFUSED, json({ id: 'a', status: 'IN_QUEUE' }))
    assert.equal((await clientOf(asked).status('a')).status, 'IN_QUEUE')
    assert.equal(asked.seen.length, 3)

    const cancelled = await startStub(reply, REFUSED, json({ id: 'a', status: 'CANCELLED' }))
    assert.equal(await clientOf(cancelled).cancel('a'), 'CANCELLED')
    assert.equal(cancelled.seen.length, 3)
  })
}

test('a silent server is a broken connection: what may be repeated is, and a submission is not', async () => {
  const stub = await startStub(silence)
  for (const [attempts, failure, call] of [
    [1, 'maybe_accepted', (client: RunPodClient) => client.submit({ ...INPUT, job_id: 'mine' })],
    [2, 'connection', (client: RunPodClient) => client.status('a')],
    [2, 'connection', (client: RunPodClient) => client.cancel('a')],
  ] as const) {
    let sent = 0
    const counting: Fetch = (input, init) => {
      sent += 1
      return fetch(input, init)
    }
    const options = { timeoutS: 0.05, fetch: counting, retry: { ...QUICK, attempts: 2 } }
    assert.equal((await fault(call(clientOf(stub, options)))).failure, failure)
    assert.equal(sent, attempts)
  }
})

test('a call is given up after its attempts, with the last fault', async () => {
  const stub = await startStub(json({ error: 'on fire' }, 502))
  const error = await fault(clientOf(stub, { retry: { ...QUICK, attempts: 3 } }).status('a'))
  assert.deepEqual([error.status, error.message, stub.seen.length], [502, 'on fire', 3])
})

test('what would fail again is not tried again', async () => {
  for (const status of [400, 401, 403, 404, 413]) {
    const stub = await startStub(json({}, status))
    assert.equal((await fault(clientOf(stub).submit({ ...INPUT, job_id: 'mine' }))).status, status)
    assert.equal(stub.seen.length, 1)
  }
})

test('a server that asks for a longer wait than is allowed is told of and not waited for', async () => {
  const stub = await startStub(json({}, 429, { 'retry-after': '3600' }))
  const error = await fault(clientOf(stub).submit(INPUT))
  assert.deepEqual([error.failure, error.retryAfterS, stub.seen.length], ['rate_limited', 3600, 1])
  const dated = await startStub(json({}, 429, { 'retry-after': new Date(Date.now() + 7_200_000).toUTCString() }))
  assert.ok(((await fault(clientOf(dated).submit(INPUT))).retryAfterS ?? 0) > 7_000)
})

test('an abort ends a wait between two attempts', async () => {
  const stub = await startStub(json({}, 429, { 'retry-after': '60' }))
  const stop = new AbortController()
  const reason = new Error('enough')
  const submitting = clientOf(stub).submit(INPUT, { signal: stop.signal })
  while (stub.seen.length === 0) await wait(5)
  stop.abort(reason)
  await assert.rejects(submitting, reason)
})

test('an abort that came before sends nothing', async () => {
  const stub = await startStub(ACCEPTED)
  const reason = new Error('enough')
  await assert.rejects(clientOf(stub).submit(INPUT, { signal: AbortSignal.abort(reason) }), reason)
  assert.equal(stub.seen.length, 0)
})

// --- How jobs end

function inProgress(completed: number, failed = 0): Reply {
  const payload = { completed, failed, total: 9, total_tokens: 1, total_cost: 0, elapsed_ms: 1, symbols: [] }
  return json({ id: 'a', status: 'IN_PROGRESS', output: { type: 'generation.progress.v1', job_id: 'a', payload } })
}

test('progress leaves out what is no further, also after a second worker began anew', async () => {
  const stub = await startStub(
    json({ id: 'a', status: 'IN_QUEUE' }),
    json({ id: 'a', status: 'IN_PROGRESS' }),
    inProgress(2),
    inProgress(2),
    inProgress(4, 1),
    json({ id: 'a', status: 'IN_QUEUE' }),
    inProgress(1),
    inProgress(5, 0),
    inProgress(3, 4),
    inProgress(6, 0),
    json({ id: 'a', status: 'FAILED', error: 'no' }),
  )
  const seen: number[] = []
  for await (const { completed } of clientOf(stub).progress('a', { pollS: 0.001 })) seen.push(completed)
  assert.deepEqual(seen, [2, 4, 6])
})

for (const [what, status, failure] of [
  ['timed out', { status: 'TIMED_OUT' }, 'timed_out'],
  ['failed with a code', { status: 'FAILED', error: 'add credit', output: { failure: 'no_quota' } }, 'no_quota'],
  ['failed without a word', { status: 'FAILED' }, 'job_failed'],
  ['is completed without an output', { status: 'COMPLETED' }, 'no_output'],
  ['is completed with an output of another kind', { status: 'COMPLETED', output: 'text' }, 'no_output'],
] as [string, object, string][]) {
  test(`a job that ${what} is raised as ${failure}`, async () => {
    const stub = await startStub(json({ id: 'a', ...status }))
    assert.equal((await fault(clientOf(stub).result('a'))).failure, failure)
  })
}

test('an answer that is no JSON object is a bad reply', async () => {
  const stub = await startStub(events('<html>'))
  assert.equal((await fault(clientOf(stub).status('a'))).failure, 'bad_reply')
})

function pointingTo(
  url: string | null,
  sha256 = '44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a',
): Reply {
  const results = { bucket: 'docs', key: 'results/a.json', url, bytes: 2, sha256 }
  return json({ id: 'a', status: 'COMPLETED', output: { job_id: 'a', status: 'success', results } })
}

test('a document that is not the one that was written is not taken for it', async () => {
  const stub = await startStub((response, seen) =>
    seen.path === '/doc' ? response.end('{}') : pointingTo(`${stub.url}/doc`, '0'.repeat(64))(response, seen),
  )
  assert.equal((await fault(clientOf(stub).result('a'))).failure, 'results_changed')
})

test('a document is asked for again where its server failed, and never with the key', async () => {
  const stub = await startStub((response, seen) => {
    if (seen.path !== '/doc') pointingTo(`${stub.url}/doc`)(response, seen)
    else if (stub.seen.length === 2) response.writeHead(503).end()
    else response.end('{}')
  })
  await clientOf(stub).result('a')
  assert.deepEqual(
    stub.seen.map((one) => one.path),
    ['/ep/status/a', '/doc', '/doc'],
  )
  assert.deepEqual(
    stub.seen.map((one) => one.headers.authorization),
    [`Bearer ${KEY}`, undefined, undefined],
  )
})

for (const url of [null, 'file:///srv/results/a.json', '/results/a.json']) {
  test(`symbols to which there is no way are said to be there, and are not asked for: ${url}`, async () => {
    const stub = await startStub(pointingTo(url))
    const error = await fault(clientOf(stub).result('a'))
    assert.equal(error.failure, 'results_private')
    assert.match(error.message, /results\/a\.json of docs/)
    assert.equal(stub.seen.length, 1)
  })
}

test('an id that would lead to another address is not asked for', async () => {
  const stub = await startStub(json({ status: 'COMPLETED' }))
  for (const id of ['..', '.', '']) {
    for (const call of [() => clientOf(stub).status(id), () => clientOf(stub).cancel(id)]) {
      assert.equal((await fault(call())).failure, 'not_found')
    }
    assert.equal((await fault(new GenerationClient(stub.url).results(id))).failure, 'not_found')
  }
  assert.equal(stub.seen.length, 0)
})

// --- The client's options

test('an endpoint, key or address that is missing or wrong is refused at once, and the key is not shown', () => {
  const good = { endpointId: 'ep', apiKey: KEY }
  for (const [options, words] of [
    [{ ...good, endpointId: '' }, /endpointId is missing or empty/],
    [{ ...good, endpointId: undefined as unknown as string }, /endpointId is missing or empty/],
    [{ ...good, apiKey: ' \n' }, /apiKey is missing or empty/],
    [{ ...good, apiKey: `${KEY} ${KEY}` }, /apiKey has characters that no key has/],
    [{ ...good, baseUrl: '' }, /baseUrl is missing or empty/],
    [{ ...good, baseUrl: 'api.runpod.ai/v2' }, /baseUrl must be an address/],
    [{ ...good, baseUrl: 'file:///v2' }, /baseUrl must be an address/],
  ] as const) {
    assert.throws(
      () => new RunPodClient(options),
      (error) =>
        error instanceof GenerationError &&
        error.failure === 'bad_setting' &&
        words.test(error.message) &&
        !error.message.includes(KEY),
    )
  }
})

test('white space around an endpoint and a key is no part of them', async () => {
  const stub = await startStub(ACCEPTED)
  await clientOf(stub, { endpointId: ' ep\n', apiKey: `${KEY}\n`, baseUrl: `${stub.url}/ ` }).submit(INPUT)
  assert.deepEqual([stub.seen[0]?.path, stub.seen[0]?.headers.authorization], ['/ep/run', `Bearer ${KEY}`])
})
