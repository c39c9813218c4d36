// Copies the built viewer of packs into static/viewer/, where the site serves it.

import { cpSync, mkdirSync } from 'node:fs'

const assets = new URL('../../../doctown/site/assets/', import.meta.url)
const target = new URL('../static/viewer/', import.meta.url)

mkdirSync(target, { recursive: true })
for (const name of ['pack.html', 'viewer.js', 'viewer.css', 'THIRD_PARTY.txt']) {
  cpSync(new URL(name, assets), new URL(name, target))
}
