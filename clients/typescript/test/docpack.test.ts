import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { gunzipSync, gzipSync } from 'node:zlib'
import { DocpackReader, GenerationError } from '@doctown/generation-client'
import type { DocpackReaderOptions, DocpackSource } from '@doctown/generation-client'
import {
  archive,
  changed,
  edited,
  header,
  membersOf,
  pax,
  record,
  tar,
  withChecksum,
  withChecksums,
} from './archives.js'
import type { Json, Member } from './archives.js'
import { checkOf } from '../dist/shape.js'
import { hangUp, json, silence, startStub } from './stub.js'

const file = process.env['DOCPACK_FILE'] ?? ''
const real = { skip: file === '' && 'DOCPACK_FILE is not set' }
const PACK = file === '' ? Buffer.alloc(0) : readFileSync(file)
const members = file === '' ? [] : membersOf(PACK)

async function fault(promise: Promise<unknown>): Promise<GenerationError> {
  const error: unknown = await promise.then(
    () => assert.fail('nothing was raised'),
    (raised: unknown) => raised,
  )
  assert.ok(error instanceof GenerationError, String(error))
  return error
}

/** Reads all that there is, as the strictest of readers does. */
async function readWhole(source: DocpackSource, options: DocpackReaderOptions = {}): Promise<string[]> {
  const reader = new DocpackReader(source, options)
  await reader.pack()
  const names: string[] = []
  for await (const { name } of reader.members()) names.push(name)
  return names
}

/** The sentence of a refusal, and its code. */
async function refusal(source: DocpackSource, options: DocpackReaderOptions = {}): Promise<string> {
  const error = await fault(readWhole(source, options))
  assert.match(error.message, /^The pack cannot be read: .*\.$/s)
  assert.ok(error.message.length < 700)
  return `${error.failure}: ${error.message.replace('The pack cannot be read: ', '')}`
}

function streamOf(bytes: Uint8Array, size: number, onPull = () => {}): ReadableStream<Uint8Array> {
  let at = 0
  return new ReadableStream(
    {
      pull(controller) {
        onPull()
        if (at >= bytes.length) return controller.close()
        controller.enqueue(bytes.subarray(at, (at += size)))
      },
    },
    { highWaterMark: 0 },
  )
}

// --- Where a pack comes from

test('a pack of the builder is read from wherever it is, and all ways give the same', real, async () => {
  const stub = await startStub((response) => response.writeHead(200).end(PACK))
  const sources: DocpackSource[] = [
    PACK,
    new Uint8Array(PACK).buffer,
    new Blob([new Uint8Array(PACK)]),
    new Response(new Uint8Array(PACK)),
    streamOf(PACK, 7),
    stub.url,
    new URL(stub.url),
  ]
  const documents = (name: string): Json => JSON.parse(String(members.find((one) => one.name === name)?.data))
  for (const source of sources) {
    const reader = new DocpackReader(source)
    const pack = await reader.pack()
    assert.deepEqual(pack.manifest, documents('manifest.json'))
    assert.deepEqual(pack.nodes, documents('nodes.json').nodes)
    assert.deepEqual(pack.edges, documents('graph.json').edges)
    assert.deepEqual(pack.clusters, documents('clusters.json'))
    assert.deepEqual(pack.sourceMap, documents('source_map.json'))
    assert.ok(pack.nodes.length > 5 && pack.edges.length > 5 && Object.keys(pack.manifest.languages).length > 2)
    await reader.close()
  }
})

test('members come in their order with their bytes, and what was asked for before is among them', real, async () => {
  const reader = new DocpackReader(PACK)
  await reader.graph()
  const seen: Member[] = []
  for await (const { name, bytes } of reader.members()) seen.push({ name, data: Buffer.from(bytes) })
  assert.deepEqual(seen, members)
  assert.equal((await reader.manifest()).format, 'docpack')
  assert.equal((await fault(reader.sourceMap())).failure, 'bad_setting')
})

test('single members can be asked for in any order, at once and again', real, async () => {
  const reader = new DocpackReader(streamOf(PACK, 1000))
  const page = members.at(-1)
  assert.ok(page)
  const [text, nodes, { edges }, manifest] = await Promise.all([
    reader.text(page.name),
    reader.nodes(),
    reader.graph(),
    reader.manifest(),
  ])
  assert.equal(text, String(page.data))
  assert.deepEqual((await reader.nodes()).nodes, nodes.nodes)
  assert.equal(edges.length, manifest.counts.edges)
  assert.match(await reader.text('README.md'), /^# /)
  for (const name of ['none.md', 'constructor', '__proto__']) {
    assert.equal((await fault(reader.text(name))).failure, 'no_member')
  }
})

test('the manifest is read from the beginning of a stream, which closing gives up', real, async () => {
  const noise = randomBytes(1 << 20)
  const large = archive(withChecksums([...members, { name: 'docs/noise.bin', data: noise }]))
  let pulls = 0
  const reader = new DocpackReader(streamOf(large, 4096, () => (pulls += 1)))
  assert.equal((await reader.manifest()).format_version, 1)
  const read = pulls
  assert.ok(read < large.length / 4096 / 2, `${read} of ${large.length / 4096} chunks were read`)
  await reader.close()
  assert.equal((await fault(reader.nodes())).failure, 'bad_setting')
  assert.equal(pulls, read)
})

test('a reader that is closed while it waits says so', real, async () => {
  const stub = await startStub(silence)
  for (const source of [stub.url, new ReadableStream<Uint8Array>()]) {
    const reader = new DocpackReader(source)
    const waiting = fault(reader.manifest())
    await new Promise((resolve) => setTimeout(resolve, 20))
    await reader.close()
    assert.equal((await waiting).failure, 'bad_setting')
  }
})

test('a reader of which nothing was asked gives up its source too', async () => {
  const cancelled: string[] = []
  const body = (name: string) => new ReadableStream<Uint8Array>({ cancel: () => void cancelled.push(name) })
  await new DocpackReader(body('stream')).close()
  await new DocpackReader(new Response(body('answer'))).close()
  const signal = AbortSignal.abort(new Error('the page was closed'))
  await assert.rejects(new DocpackReader(body('aborted'), { signal }).manifest(), /the page was closed/)
  assert.deepEqual(cancelled, ['stream', 'answer', 'aborted'])
})

test('who stops asking for members gives up the source', real, async () => {
  let cancelled = false
  const source = new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(PACK.subarray(0, -20)),
    cancel: () => {
      cancelled = true
    },
  })
  for await (const { name } of new DocpackReader(source).members()) {
    assert.equal(name, 'manifest.json')
    break
  }
  assert.ok(cancelled)
})

test(
  'a reply that is no success, a broken connection and an abort are told as by the other clients',
  real,
  async () => {
    const refused = await startStub(json({ error: 'the pack was replaced', failure: 'not_found' }, 410))
    const error = await fault(new DocpackReader(refused.url).manifest())
    assert.deepEqual([error.failure, error.status, error.message], ['not_found', 410, 'the pack was replaced'])
    assert.equal((await fault(new DocpackReader(await fetch(refused.url)).manifest())).status, 410)
    const silent = await startStub(hangUp)
    assert.equal((await fault(new DocpackReader(silent.url).manifest())).failure, 'connection')
    const cut = await startStub((response) => {
      response.writeHead(200, { 'content-length': PACK.length }).write(PACK.subarray(0, -100))
      setTimeout(() => response.destroy(), 20)
    })
    assert.equal((await fault(readWhole(cut.url))).failure, 'connection')
    const reason = new Error('the page was closed')
    const aborted = new DocpackReader(PACK, { signal: AbortSignal.abort(reason) })
    await assert.rejects(aborted.manifest(), reason)
    const stop = new AbortController()
    const hanging = new DocpackReader(new ReadableStream(), { signal: stop.signal })
    const waiting = hanging.manifest()
    setTimeout(() => stop.abort(reason), 20)
    await assert.rejects(waiting, reason)
  },
)

// --- Versions

test(
  'a newer version is refused in a sentence that says what to do, whatever else the manifest holds',
  real,
  async () => {
    const newer = changed(PACK, 'manifest.json', () => '{"format": "docpack", "format_version": 2}')
    const error = await fault(new DocpackReader(newer).manifest())
    assert.equal(error.failure, 'newer_pack')
    assert.equal(
      error.message,
      'The pack cannot be read: it has the format version 2, and this program reads versions up to 1: ' +
        'use a newer program, or build the pack anew.',
    )
    const other = edited(PACK, 'manifest.json', (manifest) => (manifest.format = 'other'))
    assert.match(await refusal(other), /^bad_pack: manifest\.json does not say that it is the format/)
  },
)

test('what a later writer of the version adds is let pass', real, async () => {
  const added = changed(PACK, 'nodes.json', (text) => text.replaceAll('{"id"', '{"__proto__":{"a":[1]},"id"'))
  const more = archive(withChecksums([...membersOf(added), { name: 'docs/later.bin', data: 'later' }]))
  assert.deepEqual((await readWhole(more)).at(-1), 'docs/later.bin')
})

// --- Damage

test('every cut is noticed', real, async () => {
  for (let end = 0; end < PACK.length; end += 311) assert.match(await refusal(PACK.subarray(0, end)), /^bad_pack: /)
  for (let lost = 1; lost < 12; lost += 1) {
    assert.match(await refusal(PACK.subarray(0, -lost)), /damaged or cut off/)
  }
})

test('every changed byte of the data is noticed', real, async () => {
  for (let place = 10; place < PACK.length; place += 173) {
    const damaged = Buffer.from(PACK)
    damaged[place] = (damaged[place] ?? 0) ^ 0x10
    assert.match(await refusal(damaged), /^(bad_pack|pack_too_large): /)
  }
})

test('what is no archive is refused', real, async () => {
  for (const noise of ['', 'noise', '{"format": "docpack"}', '<!doctype html>'.repeat(99)]) {
    for (const bytes of [Buffer.from(noise), gzipSync(noise), gunzipSync(PACK)]) {
      assert.match(await refusal(bytes), /^bad_pack: /)
    }
  }
})

function withMember(member: Member | Buffer, place = 1): Buffer {
  return archive([...members.slice(0, place), member, ...members.slice(place)])
}

test('unsafe members are refused', real, async () => {
  const cases: [Member | Buffer, RegExp][] = [
    ...['1', '2', '3', '4', '5', '6', '7', 'K', 'S', 'g'].map((type): [Member, RegExp] => [
      { name: 'README.md', data: '', type },
      /'README\.md' is no regular file/,
    ]),
    [Buffer.concat([pax({ 'GNU.sparse.size': '10' }), header('README.md', 0)]), /is no regular file/],
    [{ name: '/etc/passwd', data: '' }, /the name of the member '\/etc\/passwd' is no relative path/],
    [{ name: 'docs/../../x.md', data: '' }, /is no relative path/],
    [{ name: 'docs//x.md', data: '' }, /is no relative path/],
    [{ name: 'docs\\x.md', data: '' }, /is no relative path/],
    [{ name: 'docs/\n.md', data: '' }, /is no relative path/],
    [{ name: `${'a/'.repeat(90)}../x.md`, data: '' }, /is no relative path/],
    [{ name: '', data: '' }, /is no relative path/],
    [{ name: 'manifest.json', data: '' }, /two members with the name 'manifest\.json'/],
    [{ name: 'nodes.json', data: '' }, /its member 2 should be README\.md, and is 'nodes\.json'/],
    [record(pax({ path: 'x'.repeat(70_000) }), ''), /the headers of a member are larger than 65536 bytes/],
    [pax({ path: 'README.md' }).fill('z', 512, 520), /damaged/],
    [withChecksum(header('README.md', 1)).fill('9', 124, 130), /damaged/],
    [Buffer.concat([pax({ path: 'x' }), Buffer.alloc(1024)]), /damaged/],
    [withChecksum(Buffer.from(header('', 0)).fill(0xff, 0, 4)), /damaged/],
  ]
  for (const [member, sentence] of cases) assert.match(await refusal(withMember(member)), sentence)
  assert.match(await refusal(archive([...members, { name: 'docs/more.md', data: '' }])), /does not name the member/)
})

test('long names of either kind of tar are read', real, async () => {
  const name = `docs/${'größer/'.repeat(30)}x.md`
  const listed = withChecksums([...members, { name, data: 'text' }])
  const gnu = Buffer.concat([
    record(header('././@LongLink', Buffer.byteLength(name) + 1, 'L'), `${name}\0`),
    header('x', 4),
  ])
  for (const last of [
    { name, data: 'text' },
    Buffer.concat([gnu, record(Buffer.alloc(0), 'text')]),
    Buffer.concat([pax({ mtime: '1.5', path: name, size: '4' }), header('x', 0), record(Buffer.alloc(0), 'text')]),
  ]) {
    assert.equal((await readWhole(archive([...listed.slice(0, -1), last]))).at(-1), name)
  }
})

test('a missing member is named, and so is one of which bytes or SHA-256 differ', real, async () => {
  for (const { name, data } of members.slice(1)) {
    const others = members.filter((one) => one.name !== name)
    assert.ok((await refusal(archive(others))).includes(name))
    assert.ok((await refusal(archive(withChecksums(others)))).includes(name))
    for (const wrong of [Buffer.from(data).reverse(), `${data} `]) {
      const sentence = await refusal(archive(members.map((one) => (one.name === name ? { name, data: wrong } : one))))
      assert.match(sentence, /is not the one that the manifest describes: bytes or SHA-256 differ/)
    }
  }
})

test('something behind the last member is refused', real, async () => {
  for (const more of ['more', Buffer.alloc(1 << 20)]) {
    const data = gzipSync(Buffer.concat([tar(members), Buffer.from(more)]))
    assert.equal(await refusal(data), 'bad_pack: something follows its last member.')
  }
  // A record of 10 KB is filled up with zeros.
  assert.ok(await readWhole(gzipSync(Buffer.concat([tar(members), Buffer.alloc(9 << 10)]))))
})

// --- Limits

test('limits hold before anything is read', real, async () => {
  const limits = [{ members: 3 }, { memberBytes: 5000 }, { unpackedBytes: 9000 }]
  for (const one of limits) assert.match(await refusal(PACK, { limits: one }), /^pack_too_large: /)
  const announced = archive([{ name: 'manifest.json', data: '', size: 8 * 2 ** 30 - 1 }])
  assert.match(await refusal(announced), /^pack_too_large: the member 'manifest\.json' is too large: 8589934591 bytes/)
  const huge = header('manifest.json', 0).fill(0, 124, 136)
  huge[124] = 0x80
  huge[128] = 1
  assert.match(await refusal(archive([withChecksum(huge)])), /^pack_too_large/)
})

test('a bomb takes little memory', real, async () => {
  const zeros = gzipSync(Buffer.alloc(96 << 20))
  const bombs = [zeros, Buffer.concat([gzipSync(header('pax', 90 << 20, 'x')), zeros])]
  for (const bomb of bombs) {
    const before = process.memoryUsage()
    assert.match(await refusal(bomb), /is missing|are larger than/)
    const after = process.memoryUsage()
    assert.ok(after.arrayBuffers - before.arrayBuffers < 32 << 20)
  }
})

// --- Documents

test('what is no JSON of the right form is refused with its place', real, async () => {
  const texts: [string, (text: string) => string, RegExp][] = [
    ['graph.json', (text) => text.replace(/"confidence":[\d.]+/, '"confidence":NaN'), /graph\.json is no JSON/],
    [
      'nodes.json',
      (text) => text.replace(/"centrality":[\d.]+/, '"centrality":1e999'),
      /nodes\[0\]\.centrality should be a number/,
    ],
    ['nodes.json', (text) => text.replace(/"docstring":null/, '"docstring":"\\ud800"'), /half of a surrogate pair/],
    ['nodes.json', (text) => text.replace(/"docstring":null/, '"docstring":"\\udc00\\\\ud800"'), /half of a surrogate/],
    ['clusters.json', (text) => text.replace('"clusters":[', '['.repeat(200_000)), /clusters\.json is no JSON/],
    ['source_map.json', (text) => text.replace('}', ''), /source_map\.json is no JSON/],
    ['nodes.json', () => '[]', /nodes\.json: should be an object/],
    [
      'graph.json',
      (text) => text.replace(/"lines":\[\d+/, '"lines":["21"'),
      /edges\[\d+\]\.lines\[0\] should be a whole number/,
    ],
    [
      'graph.json',
      (text) => text.replace(/"lines":\[\d+/, `"lines":[1${'0'.repeat(30)}`),
      /lines\[0\] should be 9007199254740991 or less/,
    ],
    ['graph.json', (text) => text.replace('"origin"', '"from where"'), /edges\[0\]\.origin is missing/],
    [
      'nodes.json',
      (text) => text.replace('"kind":"module"', '"kind":"planet"'),
      /nodes\[0\]\.kind should be one of function, /,
    ],
    [
      'manifest.json',
      (text) =>
        text
          .replace('"repository":{', `"repository":{"description":"${'ü'.repeat(501)}",`)
          .replace(/,"description":"[^"]*"/, ''),
      /repository\.description should have 500 characters or fewer/,
    ],
    [
      'source_map.json',
      (text) => text.replace(/"url_template":(null|"[^"]*")/, '"url_template":"javascript:alert(1)"'),
      /url_template should be a text/,
    ],
  ]
  for (const [name, change, sentence] of texts) {
    assert.match(await refusal(changed(PACK, name, change)), sentence)
  }
  const notUtf8 = members.map((one) =>
    one.name === 'nodes.json' ? { ...one, data: Buffer.from([0x22, 0xff, 0x22]) } : one,
  )
  assert.match(await refusal(archive(withChecksums(notUtf8))), /nodes\.json is no UTF-8/)
})

test('a text far beyond its length is refused before it is taken apart', () => {
  // As a list of characters it would be the end of the process.
  const huge = 'a'.repeat(2 ** 28)
  assert.equal(checkOf({ type: 'string', maxLength: 500 })(huge)?.says, 'should have 500 characters or fewer')
})

test('texts that look odd are texts', real, async () => {
  const odd = '\u{1f600} \\ud800 NaN, Infinity <script> __proto__'
  const pack = edited(PACK, 'nodes.json', (document) => (document.nodes[0].docstring = odd))
  const escaped = changed(pack, 'nodes.json', (text) => text.replace('\u{1f600}', '\\ud83d\\ude00'))
  assert.equal((await new DocpackReader(escaped).pack()).nodes[0]?.docstring, odd)
})

/** Says that the first symbol is near to others. */
function setNear(nodes: Json, ...near: [id: string, similarity: number][]): void {
  nodes[0].nearest = near.map(([id, similarity]) => ({ id, similarity }))
}

test('documents that contradict each other are refused', real, async () => {
  const edits: [string, (document: Json) => unknown, RegExp][] = [
    ['graph.json', ({ edges }) => (edges[0].to = 'a::b'), /an edge names 'a::b', which is no symbol/],
    [
      'graph.json',
      ({ edges }) => (edges[0].to = 'a'.repeat(1 << 20)),
      /an edge names 'aaa.*\.\.\.', which is no symbol/,
    ],
    ['graph.json', ({ edges }) => edges.reverse(), /is there twice, or not in its order/],
    ['graph.json', ({ edges }) => (edges.find((one: Json) => one.kind === 'calls').lines = []), /has no line/],
    ['graph.json', ({ edges }) => (edges.find((one: Json) => one.kind === 'calls').lines = [1e9]), /not in the file/],
    [
      'graph.json',
      ({ edges }) => Object.assign(edges[0], { origin: 'unique_name', confidence: 0.9 }),
      /confidence of 0\.7/,
    ],
    ['graph.json', ({ edges }) => edges.pop(), /counts\.edges is \d+, and it should be/],
    ['nodes.json', ({ nodes }) => (nodes[1].id = nodes[0].id), /two symbols have the id/],
    ['nodes.json', ({ nodes }) => (nodes[1].name = nodes[1].qualified_name = 'other'), /should have the id/],
    ['nodes.json', ({ nodes }) => (nodes[0].parent = nodes[0].id), /is its own ancestor/],
    ['nodes.json', ({ nodes }) => (nodes[1].parent = 'a::b'), /is no symbol of its file/],
    ['nodes.json', ({ nodes }) => (nodes[1].external_calls = ['b', 'a']), /external calls of .* are not sorted/],
    [
      'nodes.json',
      ({ nodes }) => (nodes.find((one: Json) => one.cluster !== null).cluster = null),
      /names another cluster/,
    ],
    ['nodes.json', ({ nodes }) => nodes.reverse(), /./],
    ['nodes.json', ({ nodes }) => setNear(nodes, ['a::b', 0.5]), /'a::b', which .* is near to, is no other symbol/],
    [
      'nodes.json',
      ({ nodes }) => setNear(nodes, [nodes[1].id, 0.5], [nodes[2].id, 0.6]),
      /the nearest of .* are not in their order/,
    ],
    ['clusters.json', (document) => (document.k = 99), /k is 99/],
    ['clusters.json', ({ clusters }) => clusters[0].members.reverse(), /are not sorted/],
    ['clusters.json', ({ clusters }) => (clusters[0].size += 1), /the size of cluster 0/],
    ['source_map.json', ({ files }) => (files[0].path = '../x'), /is no relative path/],
    ['source_map.json', ({ files }) => files.reverse(), /not in the order of paths/],
    ['source_map.json', ({ symbols }) => delete symbols[Object.keys(symbols)[0] ?? ''], /has no span/],
    ['source_map.json', ({ symbols }) => (symbols['a::b'] = Object.values(symbols)[0]), /belongs to no symbol/],
    ['source_map.json', ({ symbols }) => ((Object.values(symbols)[0] as Json).end_byte = 1e9), /beyond its file/],
    ['source_map.json', (document) => (document.url_template = 'https://example.com/{path}'), /url_template has no/],
    ['manifest.json', ({ counts }) => (counts.symbols += 1), /counts\.symbols is/],
    ['manifest.json', ({ languages }) => ((Object.values(languages)[0] as Json).files += 1), /counts of the language/],
  ]
  for (const [name, edit, sentence] of edits) {
    assert.match(await refusal(edited(PACK, name, edit)), sentence, `${name}: ${edit}`)
  }
})
