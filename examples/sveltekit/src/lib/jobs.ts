// What the server tells the page of a job, whichever way it runs.

import type { RepositoryProgressPayload } from '@doctown/generation-client'

export type JobState = 'queued' | 'running' | 'done' | 'failed' | 'cancelled' | 'away'

export interface JobView {
  state: JobState
  progress: RepositoryProgressPayload | null
  result: JobResult | null
  /** Why the job failed, or why nobody can say now how it stands. */
  reason: string | null
}

export interface JobResult {
  name: string
  documented: number
  failed: number
  cost: number
  /** The path of the pack on this site. */
  pack: string
}

export const STEPS = ['fetch', 'parse', 'embed', 'assemble', 'document', 'pack', 'store'] as const

export function isOpen({ state }: JobView): boolean {
  return state === 'queued' || state === 'running' || state === 'away'
}

/** The newer view, without steps that go back: a second worker begins anew, and a server that is away knows of none. */
export function further(before: JobView, now: JobView): JobView {
  const goesBack = (now.progress?.step ?? 0) < (before.progress?.step ?? 0)
  return { ...now, progress: goesBack ? before.progress : now.progress }
}

/** Milliseconds until a job should be asked for again: a twentieth of its age, between a second and half a minute. */
export function pauseMs(ageMs: number): number {
  return Math.min(30_000, Math.max(1_000, ageMs / 20))
}
