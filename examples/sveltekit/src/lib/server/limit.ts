// Keeps strangers from spending: so many jobs and uploads a day for each visitor, and for all of them.
//
// It counts in the memory of one process. Where the host runs several, or ends them between requests, keep the counts in
// a store, and set a spending limit at OpenAI in any case. `max_cost_usd` bounds each single job.

import { env } from '$env/dynamic/private'

const DAY_MS = 24 * 3600 * 1000

type Act = 'job' | 'upload'

// An upload may break off, and one of which no job came is made again.
const UPLOADS_PER_JOB = 2

let counted: { act: Act; visitor: string; atMs: number }[] = []

export function maxCostUsd(): number {
  return numberOf(env.MAX_COST_USD, 1)
}

/** Why a visitor may start no job now, or get no address for an upload; null where nothing is against it. */
export function refusalOf(visitor: string, act: Act = 'job'): string | null {
  counted = counted.filter(({ atMs }) => Date.now() - atMs < DAY_MS)
  const factor = act === 'job' ? 1 : UPLOADS_PER_JOB
  const all = counted.filter((one) => one.act === act)
  const own = all.filter((one) => one.visitor === visitor)
  if (own.length >= factor * numberOf(env.MAX_JOBS_PER_VISITOR, 5))
    return `You have started as many ${act}s as one visitor may in 24 hours.`
  if (all.length >= factor * numberOf(env.MAX_JOBS, 50))
    return `All ${act}s of today have been started. Come again tomorrow.`
  return null
}

/** Counts what is about to be started; what is returned takes it back where that fails. */
export function count(visitor: string, act: Act = 'job'): () => void {
  const counting = { act, visitor, atMs: Date.now() }
  counted.push(counting)
  return () => {
    counted = counted.filter((one) => one !== counting)
  }
}

function numberOf(text: string | undefined, otherwise: number): number {
  const value = Number(text)
  return text && Number.isFinite(value) ? value : otherwise
}
