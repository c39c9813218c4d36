/**
 * The headers of a tar archive (POSIX ustar and pax, and GNU's long names), one member after the other. Leaves out what
 * no pack has: links, folders, holes and global headers are no regular files.
 */

import { DAMAGED, badPack } from './bytes.js'
import type { GzipReader } from './bytes.js'

const BLOCK_BYTES = 512
// Only a name of more than 100 bytes needs more than one block in front of its member.
const MAX_HEADER_BYTES = 64 << 10
// tar fills up the last record, of 10 KB most often.
const MAX_END_BYTES = 128 << 10

const REGULAR = new Set(['0', '\0'])
const PAX = 'x'
const GNU_LONG_NAME = 'L'

export interface TarHeader {
  name: string
  size: number
  isRegular: boolean
}

/** What the headers before a member's own one say of it. */
interface Extended {
  name?: string
  size?: number
  isSparse?: boolean
}

/** The header of the next member, behind which its data begins; null at the end of the archive. */
export async function readHeader(input: GzipReader): Promise<TarHeader | null> {
  let extended: Extended | undefined
  let headerBytes = 0
  for (;;) {
    const block = await input.read(BLOCK_BYTES)
    if (extended === undefined && block.every((byte) => byte === 0)) return null
    if (block.length < BLOCK_BYTES || !hasItsChecksum(block)) throw badPack(DAMAGED)
    const type = String.fromCharCode(block[156] ?? 0)
    const size = number(block.subarray(124, 136))
    if (type !== PAX && type !== GNU_LONG_NAME) return headerOf(block, type, size, extended ?? {})
    headerBytes += BLOCK_BYTES + padded(size)
    if (headerBytes > MAX_HEADER_BYTES)
      throw badPack(`the headers of a member are larger than ${MAX_HEADER_BYTES} bytes`)
    const data = await readData(input, size)
    extended = { ...extended, ...(type === PAX ? readPax(data) : { name: text(data) }) }
  }
}

/** The data of a member, without what fills up its last block. */
export async function readData(input: GzipReader, size: number): Promise<Uint8Array> {
  const data = await input.read(size)
  const filling = await input.read(padded(size) - size)
  if (data.length + filling.length < padded(size)) throw badPack(DAMAGED)
  return data
}

/** Reads on behind the last member, where there are zeros and nothing else; gzip compares its own checksum there. */
export async function readEnd(input: GzipReader): Promise<void> {
  const rest = await input.read(MAX_END_BYTES)
  if (rest.length === MAX_END_BYTES || rest.some((byte) => byte !== 0)) {
    throw badPack('something follows its last member')
  }
}

function headerOf(block: Uint8Array, type: string, size: number, extended: Extended): TarHeader {
  const isUstar = text(block.subarray(257, 263)) === 'ustar'
  const prefix = isUstar ? text(block.subarray(345, 500)) : ''
  const name = text(block.subarray(0, 100))
  return {
    name: extended.name ?? (prefix ? `${prefix}/${name}` : name),
    size: extended.size ?? size,
    isRegular: REGULAR.has(type) && extended.isSparse !== true,
  }
}

/** The sum of the header's bytes, in which those of the sum itself count as spaces. */
function hasItsChecksum(block: Uint8Array): boolean {
  const sum = block.reduce((total, byte, place) => total + (place >= 148 && place < 156 ? 0x20 : byte), 0)
  return sum === number(block.subarray(148, 156))
}

/** Octal digits, or in GNU's form for large ones the bytes of the number itself. */
function number(field: Uint8Array): number {
  const [first = 0, ...others] = field
  if (first === 0x80) return others.reduce((value, byte) => value * 256 + byte, 0)
  const digits = text(field).trim()
  if (!/^[0-7]*$/.test(digits)) throw badPack(DAMAGED)
  return parseInt(digits || '0', 8)
}

/** Records `LENGTH KEY=VALUE\n`, where the length is that of the whole record in bytes. */
function readPax(data: Uint8Array): Extended {
  const extended: Extended = {}
  let rest = data
  while (rest.length > 0) {
    const length = Number(/^(\d+) /.exec(text(rest.subarray(0, 20), true))?.[1])
    const record = text(rest.subarray(0, length))
    const found = /^\d+ ([^=]+)=(.*)\n$/s.exec(record)
    if (!found || !(length <= rest.length)) throw badPack(DAMAGED)
    const [, key = '', value = ''] = found
    if (key === 'path') extended.name = value
    else if (key === 'size') extended.size = /^\d+$/.test(value) ? Number(value) : Infinity
    else if (key.startsWith('GNU.sparse.')) extended.isSparse = true
    rest = rest.subarray(length)
  }
  return extended
}

/** A text up to its first zero byte; what is no UTF-8 is no name of a member. */
function text(bytes: Uint8Array, isCut = false): string {
  const end = bytes.indexOf(0)
  try {
    return new TextDecoder('utf-8', { fatal: !isCut }).decode(end < 0 ? bytes : bytes.subarray(0, end))
  } catch {
    throw badPack(DAMAGED)
  }
}

function padded(size: number): number {
  return Math.ceil(size / BLOCK_BYTES) * BLOCK_BYTES
}
