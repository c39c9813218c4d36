// Keeps strangers from spending: so many jobs a day for each visitor, and for all of them.
//
// It counts in the memory of one process. Where the host runs several, or ends them between requests, keep the counts in
// a store, and set a spending limit at OpenAI in any case. `max_cost_usd` bounds each single job.

import { env } from '$env/dynamic/private'

const DAY_MS = 24 * 3600 * 1000

let started: { visitor: string; atMs: number }[] = []

export function maxCostUsd(): number {
  return numberOf(env.MAX_COST_USD, 1)
}

/** Why a visitor may start no job now; null where one may be started. */
export function refusalOf(visitor: string): string | null {
  started = started.filter(({ atMs }) => Date.now() - atMs < DAY_MS)
  const own = started.filter((job) => job.visitor === visitor).length
  if (own >= numberOf(env.MAX_JOBS_PER_VISITOR, 5))
    return 'You have started as many jobs as one visitor may in 24 hours.'
  if (started.length >= numberOf(env.MAX_JOBS, 50)) return 'All jobs of today have been started. Come again tomorrow.'
  return null
}

/** Counts a job before it is started; what is returned takes it back where that fails. */
export function countJob(visitor: string): () => void {
  const job = { visitor, atMs: Date.now() }
  started.push(job)
  return () => {
    started = started.filter((one) => one !== job)
  }
}

function numberOf(text: string | undefined, otherwise: number): number {
  const value = Number(text)
  return text && Number.isFinite(value) ? value : otherwise
}
