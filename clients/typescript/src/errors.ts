/**
 * The one error that the clients raise of their own; an abort raises the signal's own reason.
 *
 * `failure` is a code of the worker (docs/failures.md) where the worker reported it, else one of the clients' own:
 *
 * | code | meaning |
 * |---|---|
 * | `bad_setting` | an option of the client is missing or wrong |
 * | `connection` | the server could not be reached, or the connection broke before the answer was whole |
 * | `bad_reply` | the answer is not what this API answers |
 * | `maybe_accepted` | no answer confirms the job, which may run all the same: it was not submitted a second time |
 * | `unauthorized` | the key or token was refused |
 * | `not_found` | nobody knows the job (RunPod forgets a result after 30 minutes) |
 * | `payload_too_large` | put the symbols into the bucket and send `symbols_key` |
 * | `rate_limited`, `unavailable`, `server_error`, `bad_request` | 429, 503, another 5xx, another 4xx |
 * | `cancelled`, `timed_out`, `job_failed` | how the job ended; `job_failed` where it said no code |
 * | `no_output` | the job is completed and its output was lost on the way |
 * | `results_private` | the symbols are in a bucket to which this client has no way |
 * | `results_changed` | the document is not the one that the job's output points to |
 * | `bad_pack` | it is no pack, or it is damaged, cut off or contradicts itself |
 * | `newer_pack` | the pack has a newer version of the format: use a newer program, or build the pack anew |
 * | `pack_too_large` | the pack has more than the reader takes: see its `limits` |
 * | `no_member` | the pack has no member of this name |
 */
export class GenerationError extends Error {
  override readonly name = 'GenerationError'
  readonly failure: string
  /** The HTTP status; null where there was none, or the fault came after a good one. */
  readonly status: number | null
  /** Seconds after which to try again; null where the server did not say. */
  readonly retryAfterS: number | null

  constructor(
    failure: string,
    message: string,
    {
      status = null,
      retryAfterS = null,
      cause,
    }: { status?: number | null; retryAfterS?: number | null; cause?: unknown } = {},
  ) {
    super(message, cause === undefined ? undefined : { cause })
    this.failure = failure
    this.status = status
    this.retryAfterS = retryAfterS
  }
}
