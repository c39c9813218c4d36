/** Which source a page reads: the shards beside it, or a pack that its address names. */
import { scriptSource } from './scripts.js'
import type { Source } from './source.js'

export function chooseSource(page: Document): Source {
  const folder = page.querySelector<HTMLMetaElement>('meta[name="doctown-data"]')?.content
  if (folder !== undefined) return scriptSource(folder)
  return { load: () => Promise.reject(new Error('This page does not say where its data is.')) }
}
