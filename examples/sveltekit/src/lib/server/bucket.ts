// The worker's bucket: packs are read from it, and archives that no host takes in a body are uploaded to it.

import { env } from '$env/dynamic/private'
import { GenerationError } from '@doctown/generation-client'
import { AwsClient } from 'aws4fetch'

const UPLOAD_S = 600
const MAX_UPLOAD_MB = 100

export function hasBucket(): boolean {
  return Boolean(env.R2_BUCKET && env.R2_ACCESS_KEY_ID && env.R2_SECRET_ACCESS_KEY)
}

/** Whether a key is one of those that `uploadAddress` gives out. */
export function isUpload(key: string): boolean {
  return /^uploads\/[0-9a-f-]{36}\/[\w.-]+$/.test(key)
}

function client(): AwsClient {
  const [accessKeyId, secretAccessKey] = [env.R2_ACCESS_KEY_ID ?? '', env.R2_SECRET_ACCESS_KEY ?? '']
  return new AwsClient({ accessKeyId, secretAccessKey, service: 's3', region: 'auto', retries: 2 })
}

function addressOf(key: string): URL {
  const host = env.R2_ENDPOINT_URL || `https://${env.R2_ACCOUNT_ID}.r2.cloudflarestorage.com`
  return new URL(`${host.replace(/\/$/, '')}/${env.R2_BUCKET}/${key.split('/').map(encoded).join('/')}`)
}

/** As signatures want it: encodeURIComponent leaves a few characters as they are. */
function encoded(part: string): string {
  return encodeURIComponent(part).replace(/[!'()*]/g, (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`)
}

/** An object as it comes, so that no host's limit of bodies is met. */
export async function readObject(key: string): Promise<Response> {
  if (!hasBucket())
    throw new GenerationError('bad_setting', 'the site needs the R2 settings to read packs', { status: 500 })
  const answer = await client()
    .fetch(addressOf(key))
    .catch((cause: unknown) => {
      throw new GenerationError('connection', 'the bucket cannot be reached', { cause })
    })
  if (answer.ok) return answer
  await answer.body?.cancel()
  if (answer.status === 404) throw new GenerationError('not_found', 'the bucket has no such pack', { status: 404 })
  const failure = [401, 403].includes(answer.status) ? 'unauthorized' : 'unavailable'
  throw new GenerationError(failure, 'the bucket refuses to be read', { status: answer.status })
}

/**
 * An address to which the visitor's browser may put one archive of this size within ten minutes, and the key to name in
 * the job. The size is signed too, so that the bucket refuses a body of any other. The bucket must allow the request
 * (CORS: PUT from this site's origin).
 */
export async function uploadAddress(name: string, sizeBytes: number): Promise<{ url: string; key: string }> {
  const [suffix] = /\.(zip|tgz|tar\.gz)$/i.exec(name) ?? []
  if (suffix === undefined)
    throw new GenerationError('bad_input', 'An archive ends with .zip, .tar.gz or .tgz.', { status: 422 })
  if (!Number.isInteger(sizeBytes) || sizeBytes < 1 || sizeBytes > MAX_UPLOAD_MB * 1e6)
    throw new GenerationError('bad_input', `An archive has 1 byte to ${MAX_UPLOAD_MB} MB.`, { status: 422 })
  const stem =
    name
      .slice(0, -suffix.length)
      .replace(/[^\w.-]+/g, '-')
      .replace(/^[.-]+/, '')
      .slice(0, 80) || 'archive'
  const key = `uploads/${crypto.randomUUID()}/${stem}${suffix.toLowerCase()}`
  const address = addressOf(key)
  address.searchParams.set('X-Amz-Expires', String(UPLOAD_S))
  const signed = await client().sign(address.href, {
    method: 'PUT',
    headers: { 'content-length': String(sizeBytes) },
    aws: { signQuery: true, allHeaders: true },
  })
  return { url: signed.url, key }
}
