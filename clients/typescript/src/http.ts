/** What both clients share: an exchange with a server, what its refusals mean, and when to try again. */

import { GenerationError } from './errors.js'
import type { GenerationInput, JobOptions } from './types.js'

export type Fetch = (input: string, init?: RequestInit) => Promise<Response>

/** A job to run; to ask for its price instead there is `plan`. */
export type JobRequest = Omit<GenerationInput, 'options'> & { options?: Omit<JobOptions, 'dry_run'> }

export interface RetryOptions {
  /** How often one call is tried; default 5. */
  attempts?: number
  /** The first wait is up to this long, and each further one up to twice the one before; default 0.5 s. */
  baseDelayS?: number
  /** No wait of its own choice is longer; default 20 s. */
  maxDelayS?: number
  /** A server that asks for a longer wait than this is not waited for; default 120 s. */
  maxRetryAfterS?: number
}

/** `always`: also where the server may have taken it. `refused`: only where it said that it did not. */
export type Repeatable = 'always' | 'refused'

export const defaultFetch: Fetch = (input, init) => globalThis.fetch(input, init)

/** A part of a path. A dot or two would lead elsewhere, and stand for no job and no member. */
export function segment(text: string): string {
  if (/^\.{0,2}$/.test(text)) throw new GenerationError('not_found', 'no job and no member has such a name')
  return encodeURIComponent(text)
}

/** Runs one exchange until it succeeds, cannot be repeated, or has been tried often enough. */
export async function withRetries<T>(
  attempt: () => Promise<T>,
  repeatable: Repeatable,
  options: RetryOptions,
  signal: AbortSignal | undefined,
): Promise<T> {
  for (let made = 1; ; made += 1) {
    try {
      return await attempt()
    } catch (error) {
      await waitToRepeat(error, made, repeatable, options, signal)
    }
  }
}

/** Waits as long as it should take before a further attempt; raises the error where there is to be none. */
export async function waitToRepeat(
  error: unknown,
  made: number,
  repeatable: Repeatable,
  { attempts = 5, baseDelayS = 0.5, maxDelayS = 20, maxRetryAfterS = 120 }: RetryOptions,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (!(error instanceof GenerationError) || made >= attempts || !mayRepeat(error, repeatable)) throw error
  if (error.retryAfterS !== null && error.retryAfterS > maxRetryAfterS) throw error
  const ceilingS = Math.min(maxDelayS, baseDelayS * 2 ** (made - 1))
  await sleep(error.retryAfterS ?? Math.random() * ceilingS, signal)
}

// What Doctown's services say where they have taken nothing, though with the status of a server that is away.
const REFUSALS: ReadonlySet<string> = new Set(['busy', 'stopping'])

function mayRepeat(error: GenerationError, repeatable: Repeatable): boolean {
  return isRefused(error) || (repeatable === 'always' && isPassing(error))
}

function isRefused(error: GenerationError): boolean {
  return error.status === 429 || REFUSALS.has(error.failure)
}

function isPassing(error: GenerationError): boolean {
  return error.failure === 'connection' || (error.status !== null && error.status >= 500)
}

/**
 * What a failed submission is raised as: `maybe_accepted` where the server may have taken the job all the same, because
 * its answer was lost, came from something between, or does not name the job. Else the error as it is.
 */
export function asSubmissionError(error: unknown, advice: string): unknown {
  if (!(error instanceof GenerationError) || isRefused(error)) return error
  const { failure, message, status, retryAfterS } = error
  if (!isPassing(error) && failure !== 'bad_reply' && status !== 408) return error
  const sentence = `no answer confirms the job, which may run all the same (${message}): ${advice}`
  return new GenerationError('maybe_accepted', sentence, { status, retryAfterS, cause: error })
}

/** One exchange, its body included; a reply that is no success is raised. Ends after `timeoutS`, or with the signal. */
export async function exchange(
  fetch: Fetch,
  url: string,
  init: RequestInit,
  { signal, timeoutS }: { signal?: AbortSignal | undefined; timeoutS?: number },
): Promise<{ response: Response; bytes: ArrayBuffer }> {
  const limit = new Limit(signal, timeoutS)
  try {
    const response = await fetch(url, { ...init, signal: limit.signal })
    const bytes = await response.arrayBuffer()
    if (!response.ok) throw refusal(response, decode(bytes))
    return { response, bytes }
  } catch (error) {
    throw asConnectionError(error, signal)
  } finally {
    limit.end()
  }
}

/**
 * The answer as soon as its headers are there, which must be within `timeoutS`; the signal ends its body too. It stays
 * in use until the body has ended or is given up.
 */
export async function open(
  fetch: Fetch,
  url: string,
  init: RequestInit,
  { signal, timeoutS }: { signal?: AbortSignal | undefined; timeoutS?: number },
): Promise<Response> {
  const limit = new Limit(signal, timeoutS)
  try {
    const response = await fetch(url, { ...init, signal: limit.signal })
    limit.endTime()
    return whenRead(response, () => limit.end())
  } catch (error) {
    limit.end()
    throw asConnectionError(error, signal)
  }
}

/** The same answer; `end` is called when its body has ended, has failed or is given up. */
function whenRead(response: Response, end: () => void): Response {
  if (response.body === null) {
    end()
    return response
  }
  const reader = response.body.getReader()
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await reader.read()
          if (!done) return controller.enqueue(value)
          end()
          controller.close()
        } catch (error) {
          end()
          controller.error(error)
        }
      },
      async cancel(reason) {
        end()
        await reader.cancel(reason)
      },
    },
    { highWaterMark: 0 },
  )
  return new Response(body, response)
}

/** What a broken exchange is raised as: the signal's own reason, a refusal as it is, and else a broken connection. */
export function asConnectionError(error: unknown, signal: AbortSignal | undefined): unknown {
  if (signal?.aborted) return signal.reason
  if (error instanceof GenerationError) return error
  return new GenerationError('connection', 'the server could not be reached, or the connection to it broke', {
    cause: error,
  })
}

/** The caller's signal and a time limit in one. Not AbortSignal.any, which not every edge runtime has. */
class Limit {
  readonly #controller = new AbortController()
  readonly #outer: AbortSignal | undefined
  readonly #timer: ReturnType<typeof setTimeout> | undefined
  readonly #pass = () => this.#controller.abort(this.#outer?.reason)

  constructor(outer: AbortSignal | undefined, timeoutS: number | undefined) {
    this.#outer = outer
    if (outer?.aborted) this.#pass()
    else outer?.addEventListener('abort', this.#pass, { once: true })
    if (timeoutS !== undefined) this.#timer = setTimeout(() => this.#controller.abort(), timeoutS * 1000)
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** From now on only the caller's signal counts. */
  endTime(): void {
    clearTimeout(this.#timer)
  }

  end(): void {
    this.#outer?.removeEventListener('abort', this.#pass)
    this.endTime()
  }
}

/** The answer itself, if it is a success; else its refusal is raised. */
export async function requireOk(response: Response, signal: AbortSignal | undefined): Promise<Response> {
  if (!response.ok) throw refusal(response, await textOf(response, signal))
  return response
}

/** The body of an answer, whose connection may break on the way. */
export async function textOf(response: Response, signal: AbortSignal | undefined): Promise<string> {
  try {
    return await response.text()
  } catch (error) {
    throw asConnectionError(error, signal)
  }
}

/** The error of a reply that is no success; its own sentence and code where it has them. */
export function refusal(response: Response, text: string): GenerationError {
  const body = asObject(parseJson(text))
  const said = [body?.['error'], body?.['message'], body?.['detail']].find(
    (value) => typeof value === 'string' && value,
  )
  const failure = typeof body?.['failure'] === 'string' ? body['failure'] : failureOf(response.status)
  const message = typeof said === 'string' ? said : `the server answered with HTTP status ${response.status}`
  return new GenerationError(failure, message, { status: response.status, retryAfterS: retryAfterS(response.headers) })
}

/** What a service says of its health, which it also does with a 503. */
export async function requireHealth(
  response: Response,
  signal: AbortSignal | undefined,
): Promise<Readonly<Record<string, unknown>>> {
  const text = await textOf(response, signal)
  const body = asObject(parseJson(text))
  if (typeof body?.['ready'] === 'boolean') return body
  throw response.ok
    ? new GenerationError('bad_reply', 'the health of the service has no `ready`')
    : refusal(response, text)
}

const FAILURES: Readonly<Record<number, string>> = {
  401: 'unauthorized',
  403: 'unauthorized',
  404: 'not_found',
  413: 'payload_too_large',
  429: 'rate_limited',
  503: 'unavailable',
}

function failureOf(status: number): string {
  return FAILURES[status] ?? (status >= 500 ? 'server_error' : 'bad_request')
}

/** Retry-After is a number of seconds or a date. */
function retryAfterS(headers: Headers): number | null {
  const text = headers.get('retry-after')?.trim()
  if (!text) return null
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text)
  const atMs = Date.parse(text)
  return Number.isNaN(atMs) ? null : Math.max(0, (atMs - Date.now()) / 1000)
}

export function decode(bytes: ArrayBuffer): string {
  return new TextDecoder().decode(bytes)
}

export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

export function asObject(value: unknown): Record<string, unknown> | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : null
}

/** The object that a reply must be. */
export function requireObject(text: string, what: string): Record<string, unknown> {
  const body = asObject(parseJson(text))
  if (body === null) throw new GenerationError('bad_reply', `${what} is no JSON object`)
  return body
}

/** Waits; an abort ends the wait with the signal's own reason. */
export function sleep(durationS: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason)
      return
    }
    const stop = () => {
      clearTimeout(timer)
      reject(signal?.reason)
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop)
      resolve()
    }, durationS * 1000)
    signal?.addEventListener('abort', stop, { once: true })
  })
}
