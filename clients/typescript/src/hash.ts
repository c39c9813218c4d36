/** SHA-256 by WebCrypto, which Node, edge runtimes and pages behind https have. */

import { GenerationError } from './errors.js'

/** In lower-case hexadecimal digits. Raises a GenerationError (`bad_setting`) on a page that has no WebCrypto. */
export async function sha256(bytes: ArrayBuffer | Uint8Array): Promise<string> {
  const subtle = globalThis.crypto?.subtle as SubtleCrypto | undefined
  if (!subtle) {
    const advice = 'serve the page over https, or from localhost'
    throw new GenerationError('bad_setting', `the browser offers no SHA-256 to a page without https: ${advice}`)
  }
  const digest = new Uint8Array(await subtle.digest('SHA-256', bytes as BufferSource))
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('')
}
