import { hasBucket, uploadAddress } from '$lib/server/bucket'
import { faultOf } from '$lib/server/faults'
import { refusalOf } from '$lib/server/limit'
import { error, json } from '@sveltejs/kit'
import type { RequestHandler } from './$types'

export const POST: RequestHandler = async ({ request, locals }) => {
  if (!hasBucket()) error(404, 'This site takes no archives.')
  const refused = refusalOf(locals.visitor)
  if (refused !== null) error(429, refused)
  const { name } = await request.json()
  try {
    return json(await uploadAddress(String(name)))
  } catch (fault) {
    const { status, sentence } = faultOf(fault)
    error(status, sentence)
  }
}
