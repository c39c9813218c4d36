import adapter from '@sveltejs/adapter-node'
import { vitePreprocess } from '@sveltejs/vite-plugin-svelte'

export default {
  preprocess: vitePreprocess(),
  kit: {
    // Another host, another adapter: https://svelte.dev/docs/kit/adapters
    adapter: adapter(),
    // Outside of this repository install the package instead: see clients/typescript/README.md.
    alias: { '@doctown/generation-client': '../../clients/typescript/src/index.ts' },
  },
}
