/** The client of the worker's HTTP service. It retries nothing: what to do with a refusal, the caller knows best. */

import { GenerationError } from './errors.js'
import {
  asConnectionError,
  decode,
  defaultFetch,
  exchange,
  open,
  refusal,
  requireHealth,
  requireObject,
  segment,
  textOf,
} from './http.js'
import type { Fetch, JobRequest } from './http.js'
import { requireKey, requireUrl } from './options.js'
import { hasSymbols, withSymbols } from './output.js'
import type { CompleteOutput } from './output.js'
import { readMessages, toldFault } from './sse.js'
import type { SseMessage } from './sse.js'
import type { GenerationEvent, GenerationInput, JobOutput, PlannedOutput, ResultsDocument } from './types.js'

export interface GenerationClientOptions {
  /** The service's bearer token, where it asks for one. */
  token?: string
  /** Another `fetch`, such as the one that a framework hands to a request. */
  fetch?: Fetch
}

export interface CallOptions {
  signal?: AbortSignal | undefined
}

export interface Health {
  status: string
  model: string
  ready: boolean
  /** Why it is not ready. */
  reason?: string | null
}

/** An event of the job, or its output, with which the stream ends. */
export type StreamMessage = GenerationEvent | { type: 'result'; output: CompleteOutput }

const EVENTS: ReadonlySet<string> = new Set([
  'generation.started.v1',
  'generation.symbol_documented.v1',
  'generation.symbol_failed.v1',
  'generation.completed.v1',
] satisfies GenerationEvent['type'][])

export class GenerationClient {
  readonly #baseUrl: string
  readonly #token: string | undefined
  readonly #fetch: Fetch

  /**
   * `baseUrl` is where the service is, such as `http://localhost:8003`. Raises a GenerationError (`bad_setting`) where
   * it is no address, or the token is empty: leave it out where the service asks for none.
   */
  constructor(baseUrl: string, { token, fetch = defaultFetch }: GenerationClientOptions = {}) {
    this.#baseUrl = requireUrl(baseUrl, 'baseUrl')
    this.#token = token === undefined ? undefined : requireKey(token, 'token')
    this.#fetch = fetch
  }

  /** Whether the service can take a job; one that cannot answers too, with the reason. */
  async health({ signal }: CallOptions = {}): Promise<Health> {
    const response = await open(this.#fetch, `${this.#baseUrl}/health`, { headers: this.#headers() }, { signal })
    return (await requireHealth(response, signal)) as unknown as Health
  }

  /**
   * Documents the symbols and returns the job's output; it takes as long as the job. Most runtimes and proxies give up
   * after some minutes without a byte, so for a large job `stream` is the better way. Where an answer was lost, the job
   * may have ended all the same: `results` reads what it has stored.
   */
  async generate(input: JobRequest, { signal }: CallOptions = {}): Promise<CompleteOutput> {
    return this.#complete((await this.#post(input, signal)) as unknown as JobOutput, signal)
  }

  /** The results document that a job has stored, by the `job_id` of its input. */
  async results(jobId: string, { signal }: CallOptions = {}): Promise<ResultsDocument> {
    const url = `${this.#baseUrl}/results/${segment(jobId)}`
    const { bytes } = await exchange(this.#fetch, url, { headers: this.#headers() }, { signal })
    return requireObject(decode(bytes), 'the results document') as unknown as ResultsDocument
  }

  /** What the job would do and cost; nothing is asked and nothing stored. */
  async plan(input: JobRequest, { signal }: CallOptions = {}): Promise<PlannedOutput> {
    const question = { ...input, options: { ...input.options, dry_run: true } }
    return (await this.#post(question, signal)) as unknown as PlannedOutput
  }

  /**
   * Documents the symbols and tells of each as it is done; the last message is the job's output. The request leaves
   * when the first message is asked for, and who stops asking hangs up, which cancels the job.
   */
  async *stream(input: JobRequest, { signal }: CallOptions = {}): AsyncGenerator<StreamMessage, void, undefined> {
    const response = await open(this.#fetch, `${this.#baseUrl}/generate`, this.#request(input, 'text/event-stream'), {
      signal,
    })
    if (!response.ok || response.body === null) throw refusal(response, await textOf(response, signal))
    const messages = readMessages(response.body)
    try {
      for await (const message of messages) {
        const known = readMessage(message)
        if (known === null) continue
        if (known.type !== 'result') {
          yield known
          continue
        }
        yield { type: 'result', output: await this.#complete(known.output, signal) }
        return
      }
    } catch (error) {
      throw asConnectionError(error, signal)
    }
    throw new GenerationError('connection', 'the stream ended before its result')
  }

  /** The output with its symbols: an answer has them, unless a proxy or another version keeps answers small. */
  async #complete(output: JobOutput, signal: AbortSignal | undefined): Promise<CompleteOutput> {
    return hasSymbols(output) ? output : withSymbols(output, await this.results(output.job_id, { signal }))
  }

  async #post(input: GenerationInput, signal: AbortSignal | undefined): Promise<Record<string, unknown>> {
    const url = `${this.#baseUrl}/generate`
    const { bytes } = await exchange(this.#fetch, url, this.#request(input, 'application/json'), { signal })
    return requireObject(decode(bytes), 'the answer of the service')
  }

  #request(input: GenerationInput, accept: string): RequestInit {
    const headers = { ...this.#headers(), 'content-type': 'application/json', accept }
    return { method: 'POST', headers, body: JSON.stringify(input) }
  }

  #headers(): Record<string, string> {
    return this.#token === undefined ? {} : { authorization: `Bearer ${this.#token}` }
  }
}

type ReadMessage = GenerationEvent | { type: 'result'; output: JobOutput }

/** A message of the stream; null for one of a kind that is not known here, and raised where it is a fault. */
function readMessage({ event, data }: SseMessage): ReadMessage | null {
  if (event === 'result') {
    return { type: 'result', output: requireObject(data, 'the result of the stream') as unknown as JobOutput }
  }
  if (event === 'error') throw toldFault(data)
  if (!EVENTS.has(event)) return null
  return requireObject(data, 'an event of the stream') as unknown as GenerationEvent
}
