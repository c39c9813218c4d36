/** The client of the HTTP service for repositories: jobs, which it follows however often the connection breaks, and packs. */

import { GenerationError } from './errors.js'
import {
  asConnectionError,
  asSubmissionError,
  decode,
  defaultFetch,
  exchange,
  open,
  requireHealth,
  requireObject,
  requireOk,
  segment,
  waitToRepeat,
  withRetries,
} from './http.js'
import type { Fetch, Repeatable, RetryOptions } from './http.js'
import { requireKey, requireUrl } from './options.js'
import type { CallOptions } from './service.js'
import { readMessages, toldFault } from './sse.js'
import type { JobPage, JobState, PlannedRepository, RepositoryInput, RepositoryOutput } from './types.js'

export interface IngestClientOptions {
  /** The service's bearer token, where it asks for one. */
  token?: string
  /** Another `fetch`, such as the one that a framework hands to a request. */
  fetch?: Fetch
  retry?: RetryOptions
  /** Seconds after which one call counts as broken; default 30. A pack may take longer once it comes. */
  timeoutS?: number
}

export interface PageOptions extends CallOptions {
  /** How many jobs; at most 200, default 50. */
  limit?: number
  /** `next` of the page before. */
  before?: string | null
}

interface Part {
  ready: boolean
  reason?: string
}

/** Whether the service could run a job now, and which part is not ready. */
export interface IngestHealth extends Part {
  status: string
  model: string
  parts: Record<'model' | 'store' | 'embedding_model' | 'git' | 'jobs', Part>
}

const ENDED: ReadonlySet<JobState['status']> = new Set(['success', 'partial', 'failed', 'planned', 'cancelled'])
// The service says something every 15 s.
const MAX_SILENCE_S = 45

export class IngestClient {
  readonly #baseUrl: string
  readonly #token: string | undefined
  readonly #fetch: Fetch
  readonly #retry: RetryOptions
  readonly #timeoutS: number

  /**
   * `baseUrl` is where the service is, such as `http://localhost:3000`. Raises a GenerationError (`bad_setting`) where
   * it is no address, or the token is empty: leave it out where the service asks for none.
   */
  constructor(baseUrl: string, { token, fetch = defaultFetch, retry = {}, timeoutS = 30 }: IngestClientOptions = {}) {
    this.#baseUrl = requireUrl(baseUrl, 'baseUrl')
    this.#token = token === undefined ? undefined : requireKey(token, 'token')
    this.#fetch = fetch
    this.#retry = retry
    this.#timeoutS = timeoutS
  }

  /** Whether the service can run a job; one that cannot answers too, with the reasons. */
  async health({ signal }: CallOptions = {}): Promise<IngestHealth> {
    const response = await this.#get('/health', signal)
    return (await requireHealth(response, signal)) as unknown as IngestHealth
  }

  /**
   * Has a repository documented, or an archive in the bucket, and returns the id of the job.
   *
   * After a broken connection or a 5xx the service may have taken the job, so it is sent again only where the input has
   * a `job_id`, which is then the same job. Give one. Where that does not help, `maybe_accepted` is raised.
   */
  async ingest(input: RepositoryInput, { signal }: CallOptions = {}): Promise<string> {
    const repeatable = input.job_id ? 'always' : 'refused'
    try {
      const { job_id } = await this.#json('/ingest', { method: 'POST', body: input, repeatable, signal })
      if (typeof job_id === 'string') return job_id
      throw new GenerationError('bad_reply', 'the answer has no `job_id`')
    } catch (error) {
      throw asSubmissionError(error, 'look for it in the list of jobs before you send it with another job_id')
    }
  }

  /** How a job stands. */
  async status(jobId: string, { signal }: CallOptions = {}): Promise<JobState> {
    return (await this.#json(`/status/${segment(jobId)}`, { signal })) as unknown as JobState
  }

  /** A page of the jobs, the newest first; `next` is `before` of the following page, and null on the last one. */
  async jobs({ limit, before, signal }: PageOptions = {}): Promise<JobPage> {
    const query = new URLSearchParams()
    if (limit !== undefined) query.set('limit', String(limit))
    if (before) query.set('before', before)
    return (await this.#json(`/jobs?${query}`, { signal })) as unknown as JobPage
  }

  /**
   * A job's status now, and then whenever it has changed, until the job has ended, however it ended.
   *
   * Where the connection breaks or falls silent it is made again, as often in a row as a call is tried: a service that
   * is restarted in the meantime delays the news and loses none.
   */
  async *follow(jobId: string, { signal }: CallOptions = {}): AsyncGenerator<JobState, void, undefined> {
    let newest = ''
    for (let broken = 1; ; broken += 1) {
      try {
        for await (const state of this.#events(jobId, signal)) {
          broken = 0
          const text = JSON.stringify(state)
          if (text !== newest) yield state
          newest = text
          if (ENDED.has(state.status)) return
        }
        throw new GenerationError('connection', 'the events ended before the job')
      } catch (error) {
        await waitToRepeat(error, broken, 'always', this.#retry, signal)
      }
    }
  }

  /**
   * Waits for a job and returns its output, or its plan for a dry run. Raises a GenerationError where the job failed
   * without an output or was cancelled, or nobody knows it.
   */
  async result(jobId: string, { signal }: CallOptions = {}): Promise<RepositoryOutput | PlannedRepository> {
    let last: JobState | null = null
    for await (const state of this.follow(jobId, { signal })) last = state
    if (last?.output) return last.output
    if (last?.status === 'cancelled') throw new GenerationError('cancelled', 'the job was cancelled')
    throw new GenerationError(last?.failure ?? 'job_failed', last?.error ?? 'the job failed and did not say why')
  }

  /** Asks for the end of a job and returns its status, which may still be `running`. What was bought is kept. */
  async cancel(jobId: string, { signal }: CallOptions = {}): Promise<JobState> {
    const path = `/cancel/${segment(jobId)}`
    return (await this.#json(path, { method: 'POST', signal })) as unknown as JobState
  }

  /** The pack of a job, for a `DocpackReader` or to be passed on as it comes. Raises `not_found` where there is none. */
  async docpack(jobId: string, { signal }: CallOptions = {}): Promise<Response> {
    return this.#open(`/docpacks/${segment(jobId)}`, signal)
  }

  /** One member of the pack of a job, such as `nodes.json` or `README.md`, without the rest of it. */
  async member(jobId: string, name: string, { signal }: CallOptions = {}): Promise<Response> {
    const path = name.split('/').map(segment).join('/')
    return this.#open(`/docpacks/${segment(jobId)}/${path}`, signal)
  }

  /** A unit vector of 384 numbers for each text, to be compared with those beside a pack; 2,048 texts at most. */
  async embed(texts: readonly string[], { signal }: CallOptions = {}): Promise<number[][]> {
    const { embeddings } = await this.#json('/embed', { method: 'POST', body: { texts }, signal })
    if (!Array.isArray(embeddings)) throw new GenerationError('bad_reply', 'the answer has no `embeddings`')
    return embeddings
  }

  async *#events(jobId: string, signal: AbortSignal | undefined): AsyncGenerator<JobState, void, undefined> {
    const stop = new AbortController()
    const pass = () => stop.abort(signal?.reason)
    signal?.addEventListener('abort', pass, { once: true })
    let timer: ReturnType<typeof setTimeout> | undefined
    const awake = () => {
      clearTimeout(timer)
      timer = setTimeout(() => stop.abort(), MAX_SILENCE_S * 1000)
    }
    try {
      signal?.throwIfAborted()
      awake()
      const { body } = await requireOk(await this.#get(`/status/${segment(jobId)}/events`, stop.signal), stop.signal)
      if (body === null) throw new GenerationError('bad_reply', 'the answer has no events')
      for await (const { event, data } of readMessages(watched(body, awake))) {
        if (event === 'error') throw passing(toldFault(data))
        if (event === 'status') yield requireObject(data, 'the status') as unknown as JobState
      }
    } catch (error) {
      throw asConnectionError(error, signal)
    } finally {
      clearTimeout(timer)
      signal?.removeEventListener('abort', pass)
      stop.abort()
    }
  }

  async #get(path: string, signal: AbortSignal | undefined): Promise<Response> {
    const init: RequestInit = { headers: this.#headers(), cache: 'no-store' }
    return open(this.#fetch, `${this.#baseUrl}${path}`, init, { signal, timeoutS: this.#timeoutS })
  }

  async #open(path: string, signal: AbortSignal | undefined): Promise<Response> {
    const attempt = async () => requireOk(await this.#get(path, signal), signal)
    return withRetries(attempt, 'always', this.#retry, signal)
  }

  async #json(
    path: string,
    options: { method?: 'POST'; body?: unknown; repeatable?: Repeatable; signal: AbortSignal | undefined },
  ): Promise<Record<string, unknown>> {
    const { method = 'GET', body, repeatable = 'always', signal } = options
    const init: RequestInit = { method, headers: this.#headers(), cache: 'no-store' }
    if (body !== undefined) {
      init.headers = { ...this.#headers(), 'content-type': 'application/json' }
      init.body = JSON.stringify(body)
    }
    const limits = { signal, timeoutS: this.#timeoutS }
    const attempt = () => exchange(this.#fetch, `${this.#baseUrl}${path}`, init, limits)
    const { bytes } = await withRetries(attempt, repeatable, this.#retry, signal)
    return requireObject(decode(bytes), 'the answer of the service')
  }

  #headers(): Record<string, string> {
    return this.#token === undefined ? {} : { authorization: `Bearer ${this.#token}` }
  }
}

/** The same bytes; `awake` is called for each part of them. */
function watched(body: ReadableStream<Uint8Array>, awake: () => void): ReadableStream<Uint8Array> {
  const watch = new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      awake()
      controller.enqueue(chunk)
    },
  })
  return body.pipeThrough(watch)
}

/** A fault of the service's store, told in the events, is over when it can be reached again: as a 503 is. */
function passing({ failure, message }: GenerationError): GenerationError {
  return new GenerationError(failure, message, { status: 503 })
}
