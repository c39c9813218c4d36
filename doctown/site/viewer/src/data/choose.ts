/** Which source a page reads: the shards beside it, or a pack that its address names. */
import { packSource } from './pack.js'
import { scriptSource } from './scripts.js'
import type { Source } from './source.js'

export function chooseSource(page: Document): Source {
  const folder = page.querySelector<HTMLMetaElement>('meta[name="doctown-data"]')?.content
  if (folder !== undefined) return scriptSource(folder)
  const address = packAddress(page.location.href)
  if (address !== null) return packSource(address)
  const reason = 'Its address should end with ?pack=PATH, where PATH begins with / and leads to a pack on this site.'
  return { load: () => Promise.reject(new Error(reason)) }
}

/** The pack that an address names: a path of the same site, whatever a browser makes of odd slashes. */
export function packAddress(page: string): string | null {
  const path = new URL(page).searchParams.get('pack')
  if (path === null || !/^\/(?![/\\])/.test(path)) return null
  const address = new URL(path, page)
  return address.origin === new URL(page).origin ? address.href : null
}
