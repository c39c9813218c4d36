import type { JobView } from '$lib/jobs'
import { error } from '@sveltejs/kit'
import type { PageServerLoad } from './$types'

/** How the job stands now: a page that is loaded again begins where it was. */
export const load: PageServerLoad = async ({ params, fetch }) => {
  const answer = await fetch(`/api/jobs/${encodeURIComponent(params.id)}`)
  const body = await answer.json()
  if (!answer.ok) error(answer.status, body.message)
  return { id: params.id, view: body as JobView }
}
