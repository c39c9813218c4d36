// Packs taken apart, changed and put together again, with true checksums unless a test wants others.

import { createHash } from 'node:crypto'
import { gunzipSync, gzipSync } from 'node:zlib'

export interface Member {
  name: string
  data: Buffer | string
  type?: string
  /** What the header announces, if that is not the size of the data. */
  size?: number
}

const BLOCK = 512

/** The members of a pack, without any check. Python's writer has names of up to 100 bytes in the header itself. */
export function membersOf(pack: Buffer): Member[] {
  const tar = gunzipSync(pack)
  const members: Member[] = []
  let name = ''
  for (let at = 0; tar[at];) {
    const size = parseInt(tar.toString('latin1', at + 124, at + 135), 8)
    const data = tar.subarray(at + BLOCK, at + BLOCK + size)
    if (tar.toString('latin1', at + 156, at + 157) === 'x') name = /path=(.*)\n/.exec(data.toString())?.[1] ?? ''
    else {
      members.push({ name: name || cString(tar.subarray(at, at + 100)), data })
      name = ''
    }
    at += BLOCK + padded(size)
  }
  return members
}

function cString(bytes: Buffer): string {
  return bytes.toString('utf8').replace(/\0.*$/s, '')
}

function padded(size: number): number {
  return Math.ceil(size / BLOCK) * BLOCK
}

export function header(name: string, size: number, type = '0'): Buffer {
  const block = Buffer.alloc(BLOCK)
  block.write(name, 0, 100)
  block.write('0000644\0', 100)
  block.write(`${size.toString(8).padStart(11, '0')}\0`, 124)
  block.write(`${type}`, 156)
  block.write('ustar\0', 257)
  block.write('00', 263)
  return withChecksum(block)
}

export function withChecksum(block: Buffer): Buffer {
  block.write('        ', 148)
  const sum = block.reduce((total, byte) => total + byte, 0)
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return block
}

export function record(header: Buffer, data: Buffer | string): Buffer {
  const bytes = Buffer.from(data)
  return Buffer.concat([header, bytes, Buffer.alloc(padded(bytes.length) - bytes.length)])
}

/** Headers of pax before a member: `{ path: '…' }`. */
export function pax(records: Record<string, string>): Buffer {
  const lines = Object.entries(records).map(([key, value]) => {
    const rest = Buffer.byteLength(` ${key}=${value}\n`)
    let length = rest + 1
    while (length !== rest + String(length).length) length += 1
    return `${length} ${key}=${value}\n`
  })
  const data = lines.join('')
  return record(header('pax', Buffer.byteLength(data), 'x'), data)
}

/** A tar archive of members whose names fit into a header, and of blocks as they are. */
export function tar(parts: readonly (Member | Buffer)[]): Buffer {
  const blocks = parts.map((part) => {
    if (Buffer.isBuffer(part)) return part
    const { name, data, type, size = Buffer.from(data).length } = part
    const long = Buffer.byteLength(name) > 100 ? pax({ path: name }) : Buffer.alloc(0)
    return Buffer.concat([long, record(header(name, size, type), data)])
  })
  return Buffer.concat([...blocks, Buffer.alloc(2 * BLOCK)])
}

export function archive(parts: readonly (Member | Buffer)[]): Buffer {
  return gzipSync(tar(parts))
}

/** The members with a manifest that describes them as they are. */
export function withChecksums(members: readonly Member[]): Member[] {
  const [first, ...others] = members
  const manifest = JSON.parse(String(first?.data))
  manifest.members = Object.fromEntries(
    others.map(({ name, data }) => [name, { bytes: Buffer.from(data).length, sha256: sha256(data) }]),
  )
  return [{ name: 'manifest.json', data: JSON.stringify(manifest) }, ...others]
}

function sha256(data: Buffer | string): string {
  return createHash('sha256').update(data).digest('hex')
}

/** A pack of which one member has another text. */
export function changed(pack: Buffer, name: string, change: (text: string) => string): Buffer {
  const members = membersOf(pack).map((one) => (one.name === name ? { name, data: change(String(one.data)) } : one))
  return archive(withChecksums(members))
}

export type Json = any

/** A pack of which one document is another one. */
export function edited(pack: Buffer, name: string, edit: (document: Json) => unknown): Buffer {
  return changed(pack, name, (text) => {
    const document = JSON.parse(text)
    edit(document)
    return JSON.stringify(document)
  })
}
