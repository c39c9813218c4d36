// Jobs of the HTTP service for repositories, which serves their packs too.

import type { JobState, JobView } from '$lib/jobs'
import { IngestClient } from '@doctown/generation-client'
import type { JobState as ServiceJob } from '@doctown/generation-client'
import { PATIENCE } from './backend'
import type { Backend } from './backend'

const STATES: Record<ServiceJob['status'], JobState> = {
  queued: 'queued',
  running: 'running',
  success: 'done',
  partial: 'done',
  planned: 'done',
  failed: 'failed',
  cancelled: 'cancelled',
}

export function serviceBackend(url: string, token: string | undefined): Backend {
  const client = new IngestClient(url, { ...(token ? { token } : {}), ...PATIENCE })
  return {
    // With an id of its own a job can be sent again after a broken connection.
    submit: (input) => client.ingest({ job_id: newId(), ...input }),
    look: async (id) => viewOf(await client.status(id)),
    cancel: async (id) => void (await client.cancel(id)),
    pack: (id) => client.docpack(id),
  }
}

/** Begins with the time, as the service's own ids: its list of jobs is in the order of ids. */
function newId(): string {
  const time = new Date().toISOString().replace(/[-:]|\.\d+Z$/g, '')
  return `${time}-${crypto.randomUUID().replaceAll('-', '').slice(0, 16)}`
}

function viewOf({ job_id, status, progress, output, error }: ServiceJob): JobView {
  const hasPack = output !== null && 'docpack' in output
  return {
    state: hasPack ? 'done' : STATES[status],
    progress,
    result: hasPack
      ? {
          name: output.repository.name,
          documented: output.documented_count,
          failed: output.failed_count,
          cost: output.total_cost,
          pack: `/packs/${encodeURIComponent(job_id)}`,
        }
      : null,
    reason: error,
  }
}
