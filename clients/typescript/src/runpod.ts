/** The client of the worker on RunPod: jobs through its queue, results from the bucket where they are too large. */

import { GenerationError } from './errors.js'
import { sha256 } from './hash.js'
import {
  asObject,
  asSubmissionError,
  decode,
  defaultFetch,
  exchange,
  open,
  requireObject,
  requireOk,
  segment,
  sleep,
  withRetries,
} from './http.js'
import type { Fetch, JobRequest, Repeatable, RetryOptions } from './http.js'
import { isHttpUrl, requireKey, requireText, requireUrl } from './options.js'
import { hasSymbols, withSymbols } from './output.js'
import type { CompleteOutput } from './output.js'
import type {
  GenerationInput,
  JobOutput,
  PlannedOutput,
  PlannedRepository,
  ProgressPayload,
  RepositoryInput,
  RepositoryOutput,
  RepositoryProgressPayload,
  ResultsDocument,
  ResultsPointer,
} from './types.js'

export type RunPodState = 'IN_QUEUE' | 'IN_PROGRESS' | 'COMPLETED' | 'FAILED' | 'CANCELLED' | 'TIMED_OUT'

/** What RunPod tells of a job. While it is in progress `output` is the newest progress, afterwards its output. */
export interface JobStatus {
  id: string
  status: RunPodState
  output?: unknown
  error?: unknown
  /** Milliseconds in the queue. */
  delayTime?: number
  /** Milliseconds in a worker. */
  executionTime?: number
  retries?: number
}

/** Gets a results document or a pack of a bucket that is not public, for instance by a presigned address. */
export type FetchDocument = (pointer: ResultsPointer, signal: AbortSignal | undefined) => Promise<Response>

export interface RunPodClientOptions {
  endpointId: string
  /** Keep it on the server: whoever has it can spend your money. */
  apiKey: string
  /** Where RunPod's API is; default `https://api.runpod.ai/v2`. Another one is for development: a local queue. */
  baseUrl?: string | undefined
  /** Another `fetch`, such as the one that a framework hands to a request. */
  fetch?: Fetch
  results?: { fetchDocument?: FetchDocument }
  retry?: RetryOptions
  /**
   * Seconds after which one call of the API counts as broken; default 30. A submission may take three times that, and a
   * document ten times.
   */
  timeoutS?: number
}

export interface RunPodPolicy {
  /** Milliseconds that the job may run. */
  executionTimeout?: number
  /** Milliseconds from now after which RunPod forgets the job, whatever it is doing. */
  ttl?: number
  lowPriority?: boolean
}

export interface SubmitOptions {
  /** Is posted the final status. */
  webhook?: string
  policy?: RunPodPolicy
  signal?: AbortSignal | undefined
}

export interface PollOptions {
  signal?: AbortSignal | undefined
  /** Seconds between two looks, up to five times as long while nothing changes; default 1. */
  pollS?: number
}

const ENDED: ReadonlySet<RunPodState> = new Set(['COMPLETED', 'FAILED', 'CANCELLED', 'TIMED_OUT'])
// A submission is not repeated, so it is waited for longer.
const SUBMISSION_TIMES = 3
const DOCUMENT_TIMES = 10
const POLL_GROWTH = 1.5
const POLL_GROWN_AT_MOST = 5

export class RunPodClient {
  readonly #endpoint: string
  readonly #apiKey: string
  readonly #fetch: Fetch
  readonly #fetchDocument: FetchDocument | undefined
  readonly #retry: RetryOptions
  readonly #timeoutS: number

  /** Raises a GenerationError (`bad_setting`) where the endpoint, the key or the address is missing or wrong. */
  constructor({
    endpointId,
    apiKey,
    baseUrl = 'https://api.runpod.ai/v2',
    fetch = defaultFetch,
    results = {},
    retry = {},
    timeoutS = 30,
  }: RunPodClientOptions) {
    const endpoint = encodeURIComponent(requireText(endpointId, 'endpointId'))
    this.#endpoint = `${requireUrl(baseUrl, 'baseUrl')}/${endpoint}`
    this.#apiKey = requireKey(apiKey, 'apiKey')
    this.#fetch = fetch
    this.#fetchDocument = results.fetchDocument
    this.#retry = retry
    this.#timeoutS = timeoutS
  }

  /**
   * Puts a job into the queue and returns RunPod's id of it.
   *
   * A refused submission (429) is tried again, and nothing else: after a broken connection, no answer or a 5xx the job
   * may be in the queue already. `maybe_accepted` is raised then, and it is for the caller to decide: a second job has an
   * id and a spending limit of its own, and to cancel it leaves the first one running. Where both have the same `job_id`,
   * the second takes over what the first has stored.
   */
  async submit(input: JobRequest, { webhook, policy, signal }: SubmitOptions = {}): Promise<string> {
    return this.#run({ input, webhook, policy }, signal)
  }

  /** What the job would do and cost; nothing is asked and nothing stored. It takes a turn in the queue like any job. */
  async plan(input: JobRequest, { signal, pollS }: PollOptions = {}): Promise<PlannedOutput> {
    const id = await this.#run({ input: { ...input, options: { ...input.options, dry_run: true } } }, signal)
    return (await this.#output(id, signal, pollS)) as unknown as PlannedOutput
  }

  /** How a job stands. */
  async status(id: string, { signal }: { signal?: AbortSignal | undefined } = {}): Promise<JobStatus> {
    const body = await this.#call('GET', `/status/${segment(id)}`, undefined, 'always', signal)
    if (typeof body['status'] !== 'string')
      throw new GenerationError('bad_reply', 'the status of the job has no `status`')
    return body as unknown as JobStatus
  }

  /**
   * Where the job stands, each time that it has got further, until it has ended, however it ended: `result` tells that.
   *
   * It never goes backwards, also where RunPod hands the job to a second worker. `symbols` of a snapshot are those
   * documented since the snapshot before, and a look may miss a snapshot: count with the numbers, and read all the
   * symbols from the result.
   */
  async *progress(id: string, { signal, pollS }: PollOptions = {}): AsyncGenerator<ProgressPayload, void, undefined> {
    let newest: ProgressPayload | null = null
    for await (const status of this.#looks(id, signal, pollS)) {
      const seen = status.status === 'IN_PROGRESS' ? progressOf(status.output) : null
      if (seen !== null && isFurther(seen, newest)) {
        newest = seen
        yield seen
      }
    }
  }

  /**
   * Puts a repository into the queue and returns RunPod's id of its job. It is tried again as `submit` is. One job of a
   * repository runs at a time: a second one waits for the first, and takes over what it has bought.
   */
  async submitRepository(input: RepositoryInput, { webhook, policy, signal }: SubmitOptions = {}): Promise<string> {
    return this.#run({ input, webhook, policy }, signal)
  }

  /** Where the job of a repository stands, each time that it has got further, until it has ended, however it ended. */
  async *repositoryProgress(
    id: string,
    { signal, pollS }: PollOptions = {},
  ): AsyncGenerator<RepositoryProgressPayload, void, undefined> {
    let newest: RepositoryProgressPayload | null = null
    for await (const status of this.#looks(id, signal, pollS)) {
      const snapshot = status.status === 'IN_PROGRESS' ? asObject(status.output) : null
      if (snapshot?.['type'] !== 'doctown.progress.v1') continue
      const seen = asObject(snapshot['payload']) as unknown as RepositoryProgressPayload
      if (isFurtherInSteps(seen, newest)) {
        newest = seen
        yield seen
      }
    }
  }

  /** Waits for the job of a repository and returns its output, or its plan for a dry run. Raises as `result`. */
  async repositoryResult(
    id: string,
    { signal, pollS }: PollOptions = {},
  ): Promise<RepositoryOutput | PlannedRepository> {
    return (await this.#output(id, signal, pollS)) as unknown as RepositoryOutput | PlannedRepository
  }

  /**
   * The pack that a repository's job has stored, for a `DocpackReader` or to be passed on as it comes. It takes a public
   * address of the bucket, or `results.fetchDocument`.
   */
  async docpack(
    { docpack }: RepositoryOutput,
    { signal }: { signal?: AbortSignal | undefined } = {},
  ): Promise<Response> {
    const fetch = this.#documentFetch(docpack, 'the pack is')
    const attempt = async () =>
      requireOk(await open(fetch, docpack.url ?? '', {}, { signal, timeoutS: this.#timeoutS }), signal)
    return withRetries(attempt, 'always', this.#retry, signal)
  }

  /** Stops a job, in the queue or in its worker, and returns its status. What was documented by then is paid for. */
  async cancel(id: string, { signal }: { signal?: AbortSignal | undefined } = {}): Promise<RunPodState> {
    const body = await this.#call('POST', `/cancel/${segment(id)}`, undefined, 'always', signal)
    return body['status'] as RunPodState
  }

  /**
   * Waits for the job and returns its output with all of its symbols, which are read from the results document where
   * the output would have been too large. Raises a GenerationError where the job failed, was cancelled or timed out, or
   * is not known any more.
   */
  async result(id: string, { signal, pollS }: PollOptions = {}): Promise<CompleteOutput> {
    const output = (await this.#output(id, signal, pollS)) as unknown as JobOutput
    if (hasSymbols(output)) return output
    if (!output.results) throw new GenerationError('bad_reply', 'the output has no symbols and no results')
    return withSymbols(output, await this.#document(output.results, signal))
  }

  async #run(
    body: { input: GenerationInput | RepositoryInput; webhook?: string | undefined; policy?: RunPodPolicy | undefined },
    signal: AbortSignal | undefined,
  ): Promise<string> {
    try {
      const { id } = await this.#call('POST', '/run', body, 'refused', signal, SUBMISSION_TIMES)
      if (typeof id === 'string' && id !== '') return id
      throw new GenerationError('bad_reply', 'the submission has no id')
    } catch (error) {
      throw asSubmissionError(error, 'look for it among the requests of the endpoint before you send it again')
    }
  }

  /** The output of a job, once it has completed. */
  async #output(
    id: string,
    signal: AbortSignal | undefined,
    pollS: number | undefined,
  ): Promise<Record<string, unknown>> {
    let last: JobStatus | null = null
    for await (const status of this.#looks(id, signal, pollS)) last = status
    if (last?.status !== 'COMPLETED') throw endedBadly(last)
    const output = asObject(last.output)
    if (typeof output?.['status'] === 'string') return output
    const advice = 'if it was stored, it is under results/ in the bucket by the name of its job_id'
    throw new GenerationError('no_output', `the job is completed and RunPod has no output of it: ${advice}`)
  }

  /** One status after another, the last one being that of the ended job. */
  async *#looks(id: string, signal: AbortSignal | undefined, pollS = 1): AsyncGenerator<JobStatus, void, undefined> {
    let waitS = pollS
    let before = ''
    for (;;) {
      const status = await this.status(id, { signal })
      yield status
      if (ENDED.has(status.status)) return
      const now = JSON.stringify([status.status, status.output])
      waitS = now === before ? Math.min(waitS * POLL_GROWTH, pollS * POLL_GROWN_AT_MOST) : pollS
      before = now
      await sleep(waitS, signal)
    }
  }

  async #call(
    method: string,
    path: string,
    body: unknown,
    repeatable: Repeatable,
    signal: AbortSignal | undefined,
    times = 1,
  ): Promise<Record<string, unknown>> {
    const headers: Record<string, string> = { authorization: `Bearer ${this.#apiKey}` }
    if (body !== undefined) headers['content-type'] = 'application/json'
    const init: RequestInit = {
      method,
      headers,
      cache: 'no-store',
      body: body === undefined ? null : JSON.stringify(body),
    }
    const limits = { signal, timeoutS: this.#timeoutS * times }
    const attempt = () => exchange(this.#fetch, `${this.#endpoint}${path}`, init, limits)
    const { bytes } = await withRetries(attempt, repeatable, this.#retry, signal)
    return requireObject(decode(bytes), "RunPod's answer")
  }

  async #document(pointer: ResultsPointer, signal: AbortSignal | undefined): Promise<ResultsDocument> {
    const fetch = this.#documentFetch(pointer, 'the symbols are')
    const limits = { signal, timeoutS: this.#timeoutS * DOCUMENT_TIMES }
    const attempt = () => exchange(fetch, pointer.url ?? '', {}, limits)
    const { bytes } = await withRetries(attempt, 'always', this.#retry, signal)
    if (bytes.byteLength !== pointer.bytes || (await sha256(bytes)) !== pointer.sha256) {
      const advice = 'a later run of the same job has written it anew, or it came incomplete'
      throw new GenerationError('results_changed', `${pointer.key} is not what the job wrote: ${advice}`)
    }
    return requireObject(decode(bytes), 'the results document') as unknown as ResultsDocument
  }

  #documentFetch(pointer: ResultsPointer, what: string): Fetch {
    const given = this.#fetchDocument
    if (given) return (_url, init) => given(pointer, init?.signal ?? undefined)
    if (pointer.url !== null && isHttpUrl(pointer.url)) return this.#fetch
    const place = pointer.bucket === null ? "a folder of the worker's machine" : pointer.bucket
    const advice = 'give the client results.fetchDocument, or the worker R2_PUBLIC_BASE_URL'
    throw new GenerationError('results_private', `${what} in ${pointer.key} of ${place}: ${advice}`)
  }
}

function progressOf(output: unknown): ProgressPayload | null {
  const snapshot = asObject(output)
  if (snapshot?.['type'] !== 'generation.progress.v1') return null
  return asObject(snapshot['payload']) as ProgressPayload | null
}

function isFurther(seen: ProgressPayload, newest: ProgressPayload | null): boolean {
  if (newest === null) return true
  return seen.completed >= newest.completed && seen.completed + seen.failed > newest.completed + newest.failed
}

/** Time passes in each snapshot; a second worker of a job begins at the first step. */
function isFurtherInSteps(seen: RepositoryProgressPayload, newest: RepositoryProgressPayload | null): boolean {
  if (newest === null || seen.step !== newest.step) return seen.step > (newest?.step ?? 0)
  return seen.elapsed_ms > newest.elapsed_ms && seen.completed + seen.failed >= newest.completed + newest.failed
}

function endedBadly(status: JobStatus | null): GenerationError {
  const failure = asObject(status?.output)?.['failure']
  switch (status?.status) {
    case 'CANCELLED':
      return new GenerationError('cancelled', 'the job was cancelled')
    case 'TIMED_OUT':
      return new GenerationError(
        'timed_out',
        "the job exceeded the endpoint's execution timeout: raise it, or split the job",
      )
    default:
      return new GenerationError(
        typeof failure === 'string' ? failure : 'job_failed',
        typeof status?.error === 'string' && status.error ? status.error : 'the job failed and did not say why',
      )
  }
}
