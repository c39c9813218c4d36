import type { JobView } from '$lib/jobs'
import { backend } from '$lib/server'
import { faultOf } from '$lib/server/faults'
import { error, json } from '@sveltejs/kit'
import type { RequestHandler } from './$types'

const FRESH = { 'cache-control': 'no-store' }

export const GET: RequestHandler = async ({ params }) => {
  try {
    return json(await backend().look(params.id), { headers: FRESH })
  } catch (fault) {
    const { status, sentence, isPassing } = faultOf(fault)
    if (!isPassing) error(status, sentence)
    const away: JobView = { state: 'away', progress: null, result: null, reason: sentence }
    return json(away, { headers: FRESH })
  }
}

export const DELETE: RequestHandler = async ({ params }) => {
  try {
    await backend().cancel(params.id)
    return json({})
  } catch (fault) {
    const { status, sentence } = faultOf(fault)
    error(status, sentence)
  }
}
