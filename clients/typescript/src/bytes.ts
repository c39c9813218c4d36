/** Bytes of a pack, wherever they come from, unpacked and read in the sizes that are asked for. */

import { GenerationError } from './errors.js'
import { asConnectionError, open, requireOk } from './http.js'
import type { Fetch } from './http.js'

/** Where a pack is: an address, an answer, a file of a browser, a stream, or its bytes. */
export type DocpackSource = string | URL | Response | Blob | ReadableStream<Uint8Array> | ArrayBuffer | Uint8Array

// Deflate makes up to a thousand bytes of one, and a decompressor may unpack a whole chunk before anybody reads.
const MAX_CHUNK_BYTES = 16 << 10

export const DAMAGED = 'it is no .docpack, or it is damaged or cut off'

export function badPack(problem: string): GenerationError {
  return new GenerationError('bad_pack', `The pack cannot be read: ${problem}.`)
}

/** The packed bytes. An address is fetched; a reply that is no success is raised. */
export async function openSource(
  source: DocpackSource,
  fetch: Fetch,
  signal: AbortSignal,
): Promise<ReadableStream<Uint8Array>> {
  if (typeof source === 'string' || source instanceof URL) {
    return openSource(await open(fetch, String(source), {}, { signal }), fetch, signal)
  }
  if (source instanceof ArrayBuffer || source instanceof Uint8Array) return new Blob([source as BlobPart]).stream()
  if ('getReader' in source) return source
  if (!('ok' in source)) return source.stream()
  const { body } = await requireOk(source, signal)
  if (body === null) throw badPack('the answer has no body')
  return body
}

/** Gives up a source that was never opened; a connection is closed. */
export async function closeSource(source: DocpackSource): Promise<void> {
  if (typeof source === 'string') return
  const stream = 'getReader' in source ? source : 'ok' in source ? source.body : null
  await stream?.cancel().catch(() => undefined)
}

/**
 * Reads a gzipped stream. A broken source is a broken connection, and what cannot be unpacked a bad pack.
 *
 * It unpacks while somebody reads and no further: a stream that is piped through is unpacked whole in Node 20, which
 * also throws where nobody can catch it when the unpacked side is cancelled. So that side is left alone at the end.
 */
export class GzipReader {
  readonly #packed: ReadableStreamDefaultReader<Uint8Array>
  readonly #input: WritableStreamDefaultWriter<BufferSource>
  readonly #output: ReadableStreamDefaultReader<Uint8Array>
  readonly #signal: AbortSignal
  readonly #stop = () => void this.cancel()
  #packedChunk: Uint8Array = new Uint8Array(0)
  #chunk: Uint8Array = new Uint8Array(0)
  #feeding: Promise<void> | null = null
  #isFed = false
  #isCancelled = false

  constructor(packed: ReadableStream<Uint8Array>, signal: AbortSignal) {
    const gunzip = new DecompressionStream('gzip')
    this.#packed = packed.getReader()
    this.#input = gunzip.writable.getWriter()
    this.#output = gunzip.readable.getReader()
    this.#signal = signal
    signal.addEventListener('abort', this.#stop, { once: true })
  }

  /** The next bytes: as many as are asked for, and fewer only at the end. */
  async read(size: number): Promise<Uint8Array> {
    const parts: Uint8Array[] = []
    let missing = size
    while (missing > 0 && (this.#chunk.length > 0 || (await this.#fill()))) {
      const part = this.#chunk.subarray(0, missing)
      this.#chunk = this.#chunk.subarray(part.length)
      parts.push(part)
      missing -= part.length
    }
    const bytes = new Uint8Array(size - missing)
    let at = 0
    for (const part of parts) {
      bytes.set(part, at)
      at += part.length
    }
    return bytes
  }

  /** Gives up the source; a connection is closed. */
  async cancel(): Promise<void> {
    this.#isCancelled = true
    this.#signal.removeEventListener('abort', this.#stop)
    await this.#packed.cancel().catch(() => undefined)
  }

  /** Gets the next unpacked chunk; false at the end. */
  async #fill(): Promise<boolean> {
    try {
      let isThere = false
      const output = this.#output.read()
      const arrived = output.then(
        () => (isThere = true),
        () => (isThere = true),
      )
      while (!isThere) await (this.#isFed ? arrived : Promise.race([arrived, this.#feed()]))
      const { done, value } = await output
      if (value) this.#chunk = value
      return !done
    } catch (error) {
      throw error instanceof GenerationError || this.#signal.aborted
        ? asConnectionError(error, this.#signal)
        : badPack(DAMAGED)
    }
  }

  /** Hands the next packed bytes to the decompressor, once at a time. */
  #feed(): Promise<void> {
    if (!this.#feeding) {
      this.#feeding = this.#feedOnce().finally(() => {
        this.#feeding = null
      })
      // It may fail after the last read, when nobody waits for it.
      this.#feeding.catch(() => undefined)
    }
    return this.#feeding
  }

  async #feedOnce(): Promise<void> {
    const piece = await this.#nextPiece()
    if (piece) return this.#input.write(piece as Uint8Array<ArrayBuffer>)
    this.#isFed = true
    return this.#input.close()
  }

  async #nextPiece(): Promise<Uint8Array | null> {
    try {
      while (this.#packedChunk.length === 0) {
        const { done, value } = await this.#packed.read()
        if (this.#isCancelled) throw new GenerationError('connection', 'the source was given up')
        if (done) return null
        this.#packedChunk = value
      }
    } catch (error) {
      throw asConnectionError(error, this.#signal)
    }
    const piece = this.#packedChunk.subarray(0, MAX_CHUNK_BYTES)
    this.#packedChunk = this.#packedChunk.subarray(MAX_CHUNK_BYTES)
    return piece
  }
}
