/**
 * Writes the viewer: `node build.mjs [FOLDER]` into a folder (../assets by default), the same bytes each time;
 * `node build.mjs --tests` compiles the tests into build/ instead.
 */
import { readFileSync, readdirSync, rmSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const HERE = dirname(fileURLToPath(import.meta.url))

const COMMON = {
  absWorkingDir: HERE,
  bundle: true,
  charset: 'utf8',
  jsx: 'automatic',
  jsxImportSource: 'preact',
  logLevel: 'warning',
}

/** A page that holds nothing but the viewer; `head` is what makes it a site or the reader of a pack. */
function page(policy, head) {
  return `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta http-equiv="Content-Security-Policy" content="${policy}" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <meta name="referrer" content="no-referrer" />
    <meta name="color-scheme" content="light dark" />
    <title>Documentation</title>
${head}    <link rel="icon" href="data:," />
    <link rel="stylesheet" href="viewer.css" />
    <script src="viewer.js" defer></script>
  </head>
  <body>
    <div id="app"></div>
    <noscript>
      <p>
        This page needs JavaScript. The same documentation can be read without it: the pack that this site was made
        from holds README.md, which leads to a Markdown page for each file and each cluster
        (<code>tar -xzf NAME.docpack</code> unpacks it).
      </p>
    </noscript>
  </body>
</html>
`
}

const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "base-uri 'none'",
  "form-action 'none'",
]
const SITE_DATA = '    <meta name="doctown-data" content="data/" />\n'

/** The names of the packages whose files are in the bundle, sorted. */
function bundledPackages(metafile) {
  const names = new Set()
  for (const path of Object.keys(metafile.inputs)) {
    const found = /(?:^|\/)node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)
    if (found) names.add(found[1])
  }
  return [...names].sort()
}

/** The licences of the bundled packages, as these ask to have them passed on. */
function thirdParty(packages) {
  const parts = packages.map((name) => {
    const folder = join(HERE, 'node_modules', name)
    const { version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
    const file = readdirSync(folder).find((entry) => /^licen[cs]e(\.\w+)?$/i.test(entry))
    if (file === undefined) throw new Error(`${name} has no licence file: find out under what it may be passed on`)
    const text = readFileSync(join(folder, file), 'utf8').replaceAll('\r\n', '\n').trim()
    return `${name} ${version} (${license})\n\n${text}\n`
  })
  return `viewer.js holds these packages.\n\n${parts.join(`\n${'-'.repeat(80)}\n\n`)}`
}

async function buildViewer(folder) {
  const result = await build({
    ...COMMON,
    entryPoints: { viewer: 'src/main.tsx' },
    outdir: folder,
    write: false,
    metafile: true,
    minify: true,
    format: 'iife',
    target: 'es2022',
    legalComments: 'none',
  })
  const styles = await build({
    ...COMMON,
    entryPoints: { viewer: 'src/style.css' },
    outdir: folder,
    write: false,
    minify: true,
    target: 'es2022',
  })
  mkdirSync(folder, { recursive: true })
  for (const file of [...result.outputFiles, ...styles.outputFiles]) writeFileSync(file.path, file.contents)
  writeFileSync(join(folder, 'index.html'), page(POLICY.join('; '), SITE_DATA))
  writeFileSync(join(folder, 'pack.html'), page([...POLICY, "connect-src 'self'"].join('; '), ''))
  writeFileSync(join(folder, 'THIRD_PARTY.txt'), thirdParty(bundledPackages(result.metafile)))
}

async function buildTests() {
  rmSync(join(HERE, 'build'), { recursive: true, force: true })
  const tests = readdirSync(join(HERE, 'test')).filter((name) => /\.test\.tsx?$/.test(name))
  await build({
    ...COMMON,
    entryPoints: tests.map((name) => `test/${name}`),
    outdir: 'build',
    platform: 'node',
    format: 'esm',
    target: 'node20',
  })
}

const [argument] = process.argv.slice(2)
if (argument === '--tests') await buildTests()
else await buildViewer(argument ?? relative(HERE, join(HERE, '..', 'assets')))
