import { backend } from '$lib/server'
import { hasBucket, isUpload } from '$lib/server/bucket'
import { faultOf, mayRun } from '$lib/server/faults'
import { count, maxCostUsd, refusalOf } from '$lib/server/limit'
import type { RepositoryInput } from '@doctown/generation-client'
import { fail, redirect } from '@sveltejs/kit'
import type { Actions, PageServerLoad } from './$types'

export const load: PageServerLoad = () => ({ canUpload: hasBucket() })

export const actions: Actions = {
  default: async ({ request, locals }) => {
    const form = await request.formData()
    const [url, ref, archive] = ['url', 'ref', 'archive_key'].map((name) => String(form.get(name) ?? '').trim())
    if (!url && !archive)
      return fail(422, { url, ref, sentence: 'Name a repository, such as https://github.com/owner/repo.' })
    if (archive && !isUpload(archive)) return fail(422, { url, ref, sentence: 'That is no archive of this site.' })
    const refused = refusalOf(locals.visitor)
    if (refused !== null) return fail(429, { url, ref, sentence: refused })
    const input: RepositoryInput = {
      ...(archive ? { archive_key: archive } : { repository: { url: url ?? '', ref: ref || null } }),
      options: { max_cost_usd: maxCostUsd() },
    }
    const takeBack = count(locals.visitor)
    let id: string
    try {
      id = await backend().submit(input)
    } catch (error) {
      if (!mayRun(error)) takeBack()
      const { status, sentence } = faultOf(error)
      return fail(status, { url, ref, sentence })
    }
    // The job is in the address from here on: a page that is loaded again finds it.
    redirect(303, `/jobs/${encodeURIComponent(id)}`)
  },
}
