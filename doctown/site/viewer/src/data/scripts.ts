/** Shards of a site: classic scripts beside the page, which work at `file://` too, where nothing can be fetched. */
import type { Source } from './source.js'

declare global {
  interface Window {
    /** What the script of a shard calls, with its JSON. */
    doctownShard?: (name: string, text: string) => void
  }
}

/** The source that adds a script for each shard; `folder` is relative to the page and ends with `/`. */
export function scriptSource(folder: string): Source {
  const texts = new Map<string, string>()
  window.doctownShard = (name, text) => texts.set(name, text)
  return {
    load: (name) =>
      new Promise((resolve, reject) => {
        const script = document.createElement('script')
        const fail = (why: string) => reject(new Error(`The file ${folder}${name}.js ${why}.`))
        script.src = `${folder}${name}.js`
        script.onerror = () => {
          script.remove()
          fail('could not be loaded')
        }
        script.onload = () => {
          script.remove()
          const text = texts.get(name)
          texts.delete(name)
          if (text === undefined) return fail('holds no data')
          try {
            resolve(JSON.parse(text))
          } catch {
            fail('is damaged')
          }
        }
        document.head.append(script)
      }),
  }
}
