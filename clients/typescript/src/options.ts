/** The options of the clients: what is missing or wrong is refused when a client is made, not at its first call. */

import { GenerationError } from './errors.js'

/** The address of a server, without a slash at its end. */
export function requireUrl(value: unknown, option: string): string {
  const url = requireText(value, option)
  if (!isHttpUrl(url)) throw badOption(`${option} must be an address that begins with https:// or http://`)
  return url.replace(/\/+$/, '')
}

/** A key or token as it can stand in a header; no message has it. */
export function requireKey(value: unknown, option: string): string {
  const key = requireText(value, option)
  if (!/^[\x21-\x7e]+$/.test(key)) throw badOption(`${option} has characters that no key has, such as a space`)
  return key
}

/** A text that is not empty, without the white space around it that files and variables often have. */
export function requireText(value: unknown, option: string): string {
  const text = typeof value === 'string' ? value.trim() : ''
  if (text === '') throw badOption(`${option} is missing or empty`)
  return text
}

/** Whether `fetch` can be asked for it from anywhere: no path of a machine, and no `file://`. */
export function isHttpUrl(url: string): boolean {
  try {
    return ['http:', 'https:'].includes(new URL(url).protocol)
  } catch {
    return false
  }
}

function badOption(sentence: string): GenerationError {
  return new GenerationError('bad_setting', sentence)
}
