// What a visitor is told when a call has failed. Settings and keys are no business of theirs.

import { GenerationError } from '@doctown/generation-client'

export interface Fault {
  status: number
  sentence: string
  /** Whether the same call may succeed later. */
  isPassing: boolean
}

/** Whether a job that was to be started may run all the same, though nobody knows its id. */
export function mayRun(error: unknown): boolean {
  return error instanceof GenerationError && error.failure === 'maybe_accepted'
}

/** Raises what is no fault of a call: a bug of the site. */
export function faultOf(error: unknown): Fault {
  if (!(error instanceof GenerationError)) throw error
  const { failure, message, status } = error
  console.error(`${failure}: ${message}`)
  if (mayRun(error)) {
    const sentence = 'The documentation service has not answered: the job may have been started all the same.'
    const advice = 'Another one would wait for it, and take over what it has bought.'
    return { status: 503, sentence: `${sentence} ${advice}`, isPassing: true }
  }
  if (failure === 'connection' || status === 429 || (status !== null && status >= 500 && failure !== 'bad_setting')) {
    return {
      status: 503,
      sentence: 'The documentation service cannot be reached. Try again in a moment.',
      isPassing: true,
    }
  }
  if (failure === 'unauthorized' || failure === 'bad_setting') {
    return { status: 500, sentence: 'This site is not set up: its owner finds the cause in its log.', isPassing: false }
  }
  if (status === 404 || status === 410) return { status: 404, sentence: missing(message), isPassing: false }
  return { status: 422, sentence: message, isPassing: false }
}

function missing(message: string): string {
  return `Nothing is known of it (${message}). Jobs are forgotten after a while; what was bought is kept.`
}
