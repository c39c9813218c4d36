// What the routes need of whatever runs the jobs.

import type { JobView } from '$lib/jobs'
import type { RepositoryInput } from '@doctown/generation-client'

export interface Backend {
  /** Starts a job and returns its id. */
  submit(input: RepositoryInput): Promise<string>
  look(id: string): Promise<JobView>
  cancel(id: string): Promise<void>
  /** A pack, by what stands behind /packs/ in the path that a JobView has. */
  pack(key: string): Promise<Response>
}

// A page asks again by itself, and a visitor should not wait for long. RunPodClient waits three times as long for a job
// to be accepted, since it submits none twice.
export const PATIENCE = { retry: { attempts: 2 }, timeoutS: 10 }
