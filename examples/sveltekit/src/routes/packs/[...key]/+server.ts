import { backend } from '$lib/server'
import { faultOf } from '$lib/server/faults'
import { error } from '@sveltejs/kit'
import type { RequestHandler } from './$types'

const HEADERS = {
  'content-type': 'application/gzip',
  'x-content-type-options': 'nosniff',
  // The next job of the repository replaces its pack.
  'cache-control': 'private, no-cache',
}

export const GET: RequestHandler = async ({ params }) => {
  try {
    const { body } = await backend().pack(params.key)
    return new Response(body, { headers: HEADERS })
  } catch (fault) {
    const { status, sentence } = faultOf(fault)
    error(status, sentence)
  }
}
