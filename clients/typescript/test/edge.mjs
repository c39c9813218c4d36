// Reads a pack by its address in Cloudflare's runtime: `node test/edge.mjs PACKAGE_JSON PACK`, where PACKAGE_JSON is
// beside miniflare. tests/test_typescript_client.py runs it; node --test does not, since the simulator is no package of
// the client's.

import { readFileSync, readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

const [packageJson, pack] = process.argv.slice(2)
const { Miniflare, convertV4MiniflareOptions } = createRequire(packageJson)('miniflare')
const dist = fileURLToPath(new URL('../dist/', import.meta.url))

const worker = `
  import { DocpackReader } from './dist/index.js'

  export default {
    async fetch(request) {
      const fetch = async () => new Response(request.body)
      const reader = new DocpackReader('https://packs.example/a.docpack', { fetch })
      try {
        const { nodes } = await reader.pack()
        const names = []
        for await (const { name } of reader.members()) names.push(name)
        return Response.json({ nodes: nodes.length, names })
      } catch (error) {
        return Response.json({ failure: error.failure ?? String(error) })
      }
    },
  }
`
const modules = [
  { type: 'ESModule', path: 'worker.js', contents: worker },
  ...readdirSync(dist)
    .filter((name) => name.endsWith('.js'))
    .map((name) => ({ type: 'ESModule', path: `dist/${name}`, contents: readFileSync(dist + name, 'utf8') })),
]
// The oldest date on which the README says that the clients run.
const options = { cf: false, modules, compatibilityDate: '2024-11-11' }
const simulator = new Miniflare(convertV4MiniflareOptions(options))
const bytes = readFileSync(pack)
for (const body of [bytes, bytes.subarray(0, -9), bytes.subarray(9)]) {
  const answer = await simulator.dispatchFetch('http://worker/', { method: 'POST', body })
  console.log(await answer.text())
}
await simulator.dispose()
