import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { GenerationClient, GenerationError } from '@doctown/generation-client'
import type { StreamMessage } from '@doctown/generation-client'
import { LIMIT, hangingSymbols, ids, service, symbols } from './real.js'
import { events, hangUp, json, startStub } from './stub.js'

const INPUT = { symbols: [] }

async function fault(promise: Promise<unknown>): Promise<GenerationError> {
  const error: unknown = await promise.then(
    () => assert.fail('nothing was raised'),
    (raised: unknown) => raised,
  )
  assert.ok(error instanceof GenerationError, String(error))
  return error
}

async function all(messages: AsyncIterable<StreamMessage>): Promise<StreamMessage[]> {
  const found: StreamMessage[] = []
  for await (const message of messages) found.push(message)
  return found
}

// --- The real service

const real = { ...LIMIT, skip: service === null && 'SERVICE_URL is not set' }

function realClient(): GenerationClient {
  assert.ok(service)
  return new GenerationClient(service.url, { token: service.token })
}

test('the service says that it is ready', real, async () => {
  const health = await realClient().health()
  assert.equal(health.ready, true)
  assert.equal(typeof health.model, 'string')
})

test('a job is documented in one call', real, async () => {
  const output = await realClient().generate({ job_id: 'one-call', symbols: symbols(12) })
  assert.equal(output.job_id, 'one-call')
  assert.equal(output.status, 'success')
  assert.deepEqual(ids(output.documented_symbols), ids(symbols(12)))
})

test('what a job has stored can be read again, where its answer was lost', real, async () => {
  const { documented_symbols } = await realClient().generate({ job_id: 'lost', symbols: symbols(6) })
  const stored = await realClient().results('lost')
  const summaries = ({ symbol_id, summary }: { symbol_id: string; summary: string }) => [symbol_id, summary]
  assert.deepEqual(stored.documented_symbols.map(summaries), documented_symbols.map(summaries))
  assert.equal((await fault(realClient().results('no such job'))).failure, 'not_found')
})

test('a stream tells of every symbol with its summary, and ends with the output', real, async () => {
  const messages = await all(realClient().stream({ symbols: symbols(30) }))
  const last = messages.at(-1)
  assert.ok(last?.type === 'result')
  assert.equal(messages[0]?.type, 'generation.started.v1')
  const told = messages.flatMap((one) => (one.type === 'generation.symbol_documented.v1' ? [one.payload] : []))
  assert.deepEqual(ids(told).sort(), ids(symbols(30)).sort())
  const summaries = new Map(last.output.documented_symbols.map((one) => [one.symbol_id, one.summary]))
  for (const one of told) assert.equal(one.summary, summaries.get(one.symbol_id))
  assert.equal(messages.filter((one) => one.type === 'generation.completed.v1').length, 1)
})

test('the plan of a job has its price', real, async () => {
  const planned = await realClient().plan({ symbols: symbols(12) })
  assert.deepEqual([planned.status, planned.plan.symbols], ['planned', 12])
})

test('a job that is wrong as a whole is refused with its sentence, in one call and in a stream', real, async () => {
  for (const refused of [() => realClient().generate(INPUT), () => all(realClient().stream(INPUT))]) {
    const error = await fault(refused())
    assert.equal(error.failure, 'bad_input')
    assert.match(error.message, /symbols is empty/)
  }
})

test('a wrong token is refused', { ...real, skip: real.skip || (!service?.token && 'no SERVICE_TOKEN') }, async () => {
  assert.ok(service)
  const error = await fault(new GenerationClient(service.url, { token: 'wrong' }).generate(INPUT))
  assert.equal(error.status, 401)
})

test('an abort ends a stream with its own reason', real, async () => {
  const stop = new AbortController()
  const reason = new Error('the page was closed')
  const reading = all(realClient().stream({ symbols: hangingSymbols(3) }, { signal: stop.signal }))
  setTimeout(() => stop.abort(reason), 200)
  await assert.rejects(reading, reason)
})

// --- What a service may say

test('a refusal has its status, code, sentence and wait', async () => {
  for (const [status, failure] of [
    [401, 'unauthorized'],
    [413, 'too_large'],
    [422, 'bad_input'],
    [502, 'no_quota'],
    [503, 'busy'],
  ] as const) {
    const stub = await startStub(json({ error: 'one sentence', failure }, status, { 'retry-after': '7' }))
    const client = new GenerationClient(`${stub.url}/`)
    for (const refused of [() => client.generate(INPUT), () => all(client.stream(INPUT))]) {
      const error = await fault(refused())
      assert.deepEqual(
        [error.status, error.failure, error.message, error.retryAfterS],
        [status, failure, 'one sentence', 7],
      )
    }
    assert.deepEqual(
      stub.seen.map((one) => one.path),
      ['/generate', '/generate'],
    )
  }
})

test('a refusal of a proxy before the service has a code all the same', async () => {
  const stub = await startStub((response) => response.writeHead(504, { 'content-type': 'text/html' }).end('<html>'))
  const error = await fault(new GenerationClient(stub.url).generate(INPUT))
  assert.deepEqual([error.status, error.failure, error.retryAfterS], [504, 'server_error', null])
})

test('nothing is sent twice, also where the connection broke', async () => {
  const stub = await startStub(hangUp)
  assert.equal((await fault(new GenerationClient(stub.url).generate(INPUT))).failure, 'connection')
  assert.equal((await fault(all(new GenerationClient(stub.url).stream(INPUT)))).failure, 'connection')
  assert.equal(stub.seen.length, 2)
})

test('a service that is not ready says why, though with a 503', async () => {
  const stub = await startStub(
    json({ status: 'unavailable', model: 'gpt-5-nano', ready: false, reason: 'no key' }, 503),
  )
  const health = await new GenerationClient(stub.url).health()
  assert.deepEqual([health.ready, health.reason], [false, 'no key'])
})

test('the token is sent as a bearer token, and none where there is none', async () => {
  const stub = await startStub(json({ status: 'ok', model: 'offline', ready: true }))
  await new GenerationClient(stub.url, { token: 'secret' }).health()
  await new GenerationClient(stub.url).health()
  assert.deepEqual(
    stub.seen.map((one) => one.headers.authorization),
    ['Bearer secret', undefined],
  )
})

const OUTPUT = { job_id: 'a', status: 'success', documented_symbols: [], failed_symbols: [] }
const RESULT = `event: result\ndata: ${JSON.stringify(OUTPUT)}\n\n`

test('symbols that an answer leaves out are read from the results, in one call and in a stream', async () => {
  const symbol = { symbol_id: 'f', summary: 'Adds.', tokens_used: 1, source: 'model', content_hash: 'c' }
  const short = { job_id: 'a b', status: 'success', results: { bucket: null, key: 'results/a.json', url: null } }
  const stub = await startStub((response, seen) => {
    if (seen.path === '/results/a%20b')
      json({ ...OUTPUT, documented_symbols: [symbol], removed: ['g'] })(response, seen)
    else if (seen.headers.accept === 'application/json') json(short)(response, seen)
    else events(`event: result\ndata: ${JSON.stringify(short)}\n\n`)(response, seen)
  })
  const client = new GenerationClient(stub.url, { token: 'secret' })
  const [message] = await all(client.stream(INPUT))
  assert.ok(message?.type === 'result')
  for (const output of [await client.generate(INPUT), message.output]) {
    assert.deepEqual([output.job_id, output.documented_symbols, output.removed], ['a b', [symbol], ['g']])
  }
  assert.ok(stub.seen.every((one) => one.headers.authorization === 'Bearer secret'))
})

test('an address or token that is missing or wrong is refused at once', () => {
  for (const [url, options, words] of [
    ['', {}, /baseUrl is missing or empty/],
    ['localhost:8003', {}, /baseUrl must be an address/],
    ['http://localhost:8003', { token: '' }, /token is missing or empty/],
  ] as const) {
    assert.throws(
      () => new GenerationClient(url, options),
      (error) => error instanceof GenerationError && error.failure === 'bad_setting' && words.test(error.message),
    )
  }
})

test('what a stream has beside events and result is passed over, and nothing is read after the result', async () => {
  const stub = await startStub(
    events(
      ': hello\n\n',
      'event: generation.new.v9\ndata: {}\n\n',
      'data: {}\n\n',
      RESULT,
      'event: error\ndata: {}\n\n',
    ),
  )
  const messages = await all(new GenerationClient(stub.url).stream(INPUT))
  assert.deepEqual(messages, [{ type: 'result', output: OUTPUT }])
  assert.equal(stub.seen[0]?.headers.accept, 'text/event-stream')
})

test('a fault in a stream is raised with its sentence and its code', async () => {
  const stub = await startStub(events('event: error\ndata: {"error": "add credit", "failure": "no_quota"}\n\n'))
  const error = await fault(all(new GenerationClient(stub.url).stream(INPUT)))
  assert.deepEqual([error.status, error.failure, error.message], [null, 'no_quota', 'add credit'])
})

test('a stream that ends or breaks before its result is a broken connection', async () => {
  const ended = await startStub(events(': hello\n\n', RESULT.slice(0, -1)))
  assert.equal((await fault(all(new GenerationClient(ended.url).stream(INPUT)))).failure, 'connection')
  const broken = await startStub((response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write(': hello\n\n')
    setTimeout(() => response.destroy(), 20)
  })
  assert.equal((await fault(all(new GenerationClient(broken.url).stream(INPUT)))).failure, 'connection')
})

test('who stops asking hangs up', async () => {
  let closed = false
  const stub = await startStub((response) => {
    response.on('close', () => {
      closed = true
    })
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write('event: generation.started.v1\ndata: {"type": "generation.started.v1"}\n\n')
  })
  for await (const message of new GenerationClient(stub.url).stream(INPUT)) {
    assert.equal(message.type, 'generation.started.v1')
    break
  }
  while (!closed) await wait(5)
})
