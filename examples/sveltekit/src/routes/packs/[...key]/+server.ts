import { backend } from '$lib/server'
import { faultOf } from '$lib/server/faults'
import { error } from '@sveltejs/kit'
import type { RequestHandler } from './$types'

export const GET: RequestHandler = async ({ params }) => {
  try {
    const { body } = await backend().pack(params.key)
    // No cache in between: the next job of the repository replaces its pack.
    return new Response(body, { headers: { 'content-type': 'application/gzip', 'cache-control': 'private, no-cache' } })
  } catch (fault) {
    const { status, sentence } = faultOf(fault)
    error(status, sentence)
  }
}
