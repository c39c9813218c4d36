import { hasBucket, uploadAddress } from '$lib/server/bucket'
import { faultOf } from '$lib/server/faults'
import { count, refusalOf } from '$lib/server/limit'
import { error, json } from '@sveltejs/kit'
import type { RequestHandler } from './$types'

export const POST: RequestHandler = async ({ request, locals }) => {
  if (!hasBucket()) error(404, 'This site takes no archives.')
  const refused = refusalOf(locals.visitor) ?? refusalOf(locals.visitor, 'upload')
  if (refused !== null) error(429, refused)
  const { name, size } = await request.json()
  const takeBack = count(locals.visitor, 'upload')
  try {
    return json(await uploadAddress(String(name), Number(size)))
  } catch (fault) {
    takeBack()
    const { status, sentence } = faultOf(fault)
    error(status, sentence)
  }
}
