/**
 * Reads a documentation pack, in Node, in edge runtimes and in browsers, and believes nothing: what an archive could do
 * to its reader is limited before it is done, every member is compared with the manifest, every document with its
 * schema. Nothing is taken for code or markup: all texts of a pack are data.
 */

import { GzipReader, badPack, closeSource, openSource } from './bytes.js'
import type { DocpackSource } from './bytes.js'
import { SCHEMAS } from './docpack-schemas.js'
import type { DocpackClusters, DocpackGraph, DocpackManifest, DocpackNodes, DocpackSourceMap } from './docpack-types.js'
import { GenerationError } from './errors.js'
import { sha256 } from './hash.js'
import { defaultFetch } from './http.js'
import type { Fetch } from './http.js'
import { NAMED_MEMBERS, checkPack, isFilePath, quoted } from './rules.js'
import type { Docpack } from './rules.js'
import { checkOf } from './shape.js'
import type { Check } from './shape.js'
import { readData, readEnd, readHeader } from './tar.js'
import type { TarHeader } from './tar.js'

/** A file of a pack. */
export interface DocpackMember {
  name: string
  bytes: Uint8Array
}

/** What a reader takes; the defaults are some ten times the size of a pack of 100,000 symbols. */
export interface DocpackLimits {
  /** Default 500,000. */
  members?: number
  /** Default 512 MiB. */
  memberBytes?: number
  /** All members together, unpacked; default 2 GiB. */
  unpackedBytes?: number
}

export interface DocpackReaderOptions {
  /** Another `fetch`, for a pack that is named by its address. */
  fetch?: Fetch
  signal?: AbortSignal | undefined
  limits?: DocpackLimits
}

const FORMAT_VERSION = 1
const MANIFEST = 'manifest.json'

export class DocpackReader {
  readonly #source: DocpackSource
  readonly #fetch: Fetch
  readonly #limits: Required<DocpackLimits>
  readonly #signal: AbortSignal | undefined
  readonly #stop = new AbortController()
  readonly #walk: AsyncGenerator<DocpackMember, void, undefined>
  readonly #kept = new Map<string, DocpackMember>()
  /** What the manifest says of the members, once it has been read. */
  #expected: DocpackManifest['members'] | null = null
  #fault: { error: unknown } | null = null
  #isOpened = false

  /** Nothing is read before something is asked for. The source is read once, forwards. */
  constructor(source: DocpackSource, { fetch = defaultFetch, signal, limits = {} }: DocpackReaderOptions = {}) {
    this.#source = source
    this.#fetch = fetch
    this.#limits = { members: 500_000, memberBytes: 512 << 20, unpackedBytes: 2 * 2 ** 30, ...limits }
    this.#signal = signal
    this.#walk = this.#readMembers(this.#stop.signal)
  }

  /** `manifest.json`, which is the first member: nothing behind it is read. */
  async manifest(): Promise<DocpackManifest> {
    return this.#document<DocpackManifest>(MANIFEST)
  }

  /** `nodes.json`. */
  async nodes(): Promise<DocpackNodes> {
    return this.#document<DocpackNodes>('nodes.json')
  }

  /** `graph.json`. */
  async graph(): Promise<DocpackGraph> {
    return this.#document<DocpackGraph>('graph.json')
  }

  /** `clusters.json`. */
  async clusters(): Promise<DocpackClusters> {
    return this.#document<DocpackClusters>('clusters.json')
  }

  /** `source_map.json`. */
  async sourceMap(): Promise<DocpackSourceMap> {
    return this.#document<DocpackSourceMap>('source_map.json')
  }

  /** The five documents, and whether they agree: ids, parents, edges, clusters, spans and counts. Reads no page. */
  async pack(): Promise<Docpack> {
    const manifest = await this.manifest()
    const { nodes } = await this.nodes()
    const { edges } = await this.graph()
    const pack = { manifest, nodes, edges, clusters: await this.clusters(), sourceMap: await this.sourceMap() }
    checkPack(pack)
    return pack
  }

  /** A member as a text, such as `README.md` or `docs/files/src/app.py.md`. Raises `no_member` where there is none. */
  async text(name: string): Promise<string> {
    return decode(await this.#find(name))
  }

  /**
   * All members in their order, each of them checked. They are not kept: what has gone by cannot be asked for again.
   * With the last one the archive is known to be whole. Who stops asking closes the source.
   */
  async *members(): AsyncGenerator<DocpackMember, void, undefined> {
    yield* this.#kept.values()
    try {
      for (let member = await this.#next(); member !== null; member = await this.#next()) yield member
    } finally {
      await this.close()
    }
  }

  /** Gives up the source, and with it the connection where it is one. What has been read can still be asked for. */
  async close(): Promise<void> {
    this.#stop.abort(new GenerationError('bad_setting', 'the reader was closed while it was reading'))
    await this.#walk.return()
    if (!this.#isOpened) await closeSource(this.#source)
  }

  async #document<T>(name: string): Promise<T> {
    return readJson(await this.#find(name)) as T
  }

  /** Reads on as far as the member; what is passed on the way is kept for later questions. */
  async #find(name: string): Promise<DocpackMember> {
    for (;;) {
      const found = this.#kept.get(name)
      if (found) return found
      const isNamed = (NAMED_MEMBERS as readonly string[]).includes(name)
      if (this.#expected && !isNamed && !Object.hasOwn(this.#expected, name)) {
        throw new GenerationError('no_member', `the pack has no member ${quoted(name)}`)
      }
      const next = await this.#next()
      if (next) this.#kept.set(next.name, next)
      else if (!this.#kept.has(name)) {
        throw new GenerationError('bad_setting', 'the reader is closed, or past the member: make another one')
      }
    }
  }

  async #next(): Promise<DocpackMember | null> {
    if (this.#fault) throw this.#fault.error
    try {
      const { done, value } = await this.#walk.next()
      if (!done) return value
    } catch (error) {
      this.#fault = { error }
    }
    if (this.#fault) throw this.#fault.error
    return null
  }

  async *#readMembers(signal: AbortSignal): AsyncGenerator<DocpackMember, void, undefined> {
    if (this.#signal?.aborted) {
      await closeSource(this.#source)
      throw this.#signal.reason
    }
    const stop = () => this.#stop.abort(this.#signal?.reason)
    this.#signal?.addEventListener('abort', stop, { once: true })
    this.#isOpened = true
    try {
      const input = new GzipReader(await openSource(this.#source, this.#fetch, signal), signal)
      try {
        yield* this.#checkedMembers(input)
      } finally {
        await input.cancel()
      }
    } finally {
      this.#signal?.removeEventListener('abort', stop)
    }
  }

  async *#checkedMembers(input: GzipReader): AsyncGenerator<DocpackMember, void, undefined> {
    let expected: DocpackManifest['members'] = {}
    let total = 0
    const seen = new Set<string>()
    for (let header = await readHeader(input); header !== null; header = await readHeader(input)) {
      total += header.size
      this.#checkHeader(header, seen, total)
      checkPlace(header.name, seen, expected)
      seen.add(header.name)
      const member = { name: header.name, bytes: await readData(input, header.size) }
      if (member.name === MANIFEST) this.#expected = expected = (readJson(member) as DocpackManifest).members
      else await checkWhole(member, expected)
      yield member
    }
    const missing = [...NAMED_MEMBERS, ...Object.keys(expected)].find((name) => !seen.has(name))
    if (missing !== undefined) throw badPack(`its member ${quoted(missing)} is missing`)
    await readEnd(input)
  }

  #checkHeader({ name, size, isRegular }: TarHeader, seen: ReadonlySet<string>, total: number): void {
    const { members, memberBytes, unpackedBytes } = this.#limits
    if (seen.size >= members) throw tooLarge(`it has more than ${members} members`)
    if (!isRegular) throw badPack(`the member ${quoted(name)} is no regular file`)
    if (!isFilePath(name)) throw badPack(`the name of the member ${quoted(name)} is no relative path without '..'`)
    if (size > memberBytes || total > unpackedBytes) {
      throw tooLarge(`the member ${quoted(name)} is too large: ${size} bytes, ${total} with those before it`)
    }
  }
}

function tooLarge(problem: string): GenerationError {
  return new GenerationError('pack_too_large', `The pack cannot be read: ${problem}.`)
}

function checkPlace(name: string, seen: ReadonlySet<string>, expected: DocpackManifest['members']): void {
  if (seen.has(name)) throw badPack(`it has two members with the name ${quoted(name)}`)
  const named = NAMED_MEMBERS[seen.size]
  if (named !== undefined && name !== named) {
    throw badPack(`its member ${seen.size + 1} should be ${named}, and is ${quoted(name)}`)
  }
  if (seen.size > 0 && !Object.hasOwn(expected, name)) {
    throw badPack(`its manifest does not name the member ${quoted(name)}`)
  }
}

async function checkWhole({ name, bytes }: DocpackMember, expected: DocpackManifest['members']): Promise<void> {
  const told = expected[name]
  if (bytes.length !== told?.bytes || (await sha256(bytes)) !== told.sha256) {
    throw badPack(`the member ${quoted(name)} is not the one that the manifest describes: bytes or SHA-256 differ`)
  }
}

function decode({ name, bytes }: DocpackMember): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw badPack(`${name} is no UTF-8`)
  }
}

const checks = new Map<string, Check>()

/** A document, of the form that its schema says. */
function readJson(member: DocpackMember): unknown {
  const { name } = member
  const document = parse(member)
  if (name === MANIFEST) checkVersion(document)
  const key = name.replace('.json', '')
  const check = checks.get(key) ?? checkOf(SCHEMAS[key] ?? {})
  checks.set(key, check)
  const problem = check(document)
  if (problem) throw badPack(`${name}: ${`${problem.place.replace(/^\./, '').slice(0, 200)} ${problem.says}`.trim()}`)
  return document
}

function parse(member: DocpackMember): unknown {
  const text = decode(member)
  let document: unknown
  try {
    document = JSON.parse(text)
  } catch {
    throw badPack(`${member.name} is no JSON`)
  }
  if (hasHalfPair(text)) throw badPack(`${member.name} has a text with half of a surrogate pair, which is no Unicode`)
  return document
}

/** Whether an escape of JSON stands for half of a character: functions such as encodeURIComponent fail at it. */
function hasHalfPair(json: string): boolean {
  if (!/\\u[dD][89a-fA-F]/.test(json)) return false
  const rest = json.replace(/\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\\\/g, ' ')
  return /\\u[dD][89a-fA-F]/.test(rest)
}

function checkVersion(manifest: unknown): void {
  const { format, format_version: version } = (manifest ?? {}) as Partial<Record<string, unknown>>
  if (format !== 'docpack') throw badPack("manifest.json does not say that it is the format 'docpack'")
  if (Number.isInteger(version) && (version as number) > FORMAT_VERSION) {
    const sentence = `it has the format version ${version}, and this program reads versions up to ${FORMAT_VERSION}`
    const advice = 'use a newer program, or build the pack anew'
    throw new GenerationError('newer_pack', `The pack cannot be read: ${sentence}: ${advice}.`)
  }
}
