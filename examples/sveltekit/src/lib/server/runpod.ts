// Jobs on RunPod. Their packs are in the worker's bucket.

import type { JobResult, JobState, JobView } from '$lib/jobs'
import { GenerationError, RunPodClient } from '@doctown/generation-client'
import type { JobStatus, RepositoryOutput, RepositorySnapshot, RunPodState } from '@doctown/generation-client'
import { PATIENCE } from './backend'
import type { Backend } from './backend'
import { readObject } from './bucket'

const STATES: Record<RunPodState, JobState> = {
  IN_QUEUE: 'queued',
  IN_PROGRESS: 'running',
  COMPLETED: 'done',
  FAILED: 'failed',
  CANCELLED: 'cancelled',
  TIMED_OUT: 'failed',
}

export function runpodBackend(env: Record<string, string | undefined>): Backend {
  const client = new RunPodClient({
    endpointId: env.RUNPOD_ENDPOINT_ID ?? '',
    apiKey: env.RUNPOD_API_KEY ?? '',
    baseUrl: env.RUNPOD_API_URL || undefined, // unset, it is RunPod's own
    ...PATIENCE,
  })
  return {
    submit: (input) => client.submitRepository(input),
    look: async (id) => viewOf(await client.status(id)),
    cancel: async (id) => void (await client.cancel(id)),
    pack: (key) => {
      // Other objects, of this bucket or of others, are nobody's business.
      const isPack = /^docpacks\/.+\.docpack$/.test(key) && !key.split('/').some((part) => /^\.*$/.test(part))
      if (!isPack) throw new GenerationError('not_found', 'this is no pack', { status: 404 })
      return readObject(key)
    },
  }
}

function viewOf({ status, output, error }: JobStatus): JobView {
  const result = status === 'COMPLETED' ? resultOf(output as Partial<RepositoryOutput> | undefined) : null
  const lost = 'RunPod has lost the output of the job: start it again, what was bought is kept.'
  const isLost = status === 'COMPLETED' && result === null
  return {
    state: isLost ? 'failed' : STATES[status],
    progress: status === 'IN_PROGRESS' ? ((output as RepositorySnapshot | undefined)?.payload ?? null) : null,
    result,
    reason: isLost ? lost : status === 'TIMED_OUT' ? 'The job took longer than the endpoint allows.' : reasonOf(error),
  }
}

function resultOf(output: Partial<RepositoryOutput> | undefined): JobResult | null {
  if (!output?.docpack || !output.repository) return null
  return {
    name: output.repository.name,
    documented: output.documented_count ?? 0,
    failed: output.failed_count ?? 0,
    cost: output.total_cost ?? 0,
    pack: `/packs/${output.docpack.key.split('/').map(encodeURIComponent).join('/')}`,
  }
}

function reasonOf(error: unknown): string | null {
  return typeof error === 'string' && error ? error : null
}
