/** Texts of a pack made fit to be shown. A pack is data of strangers: its texts may be of any length and hold anything. */

export const MAX_NAME_CHARACTERS = 200
export const MAX_TEXT_CHARACTERS = 4_000

// Control characters but tab and line feed, and what changes the direction of the text around it.
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g

/** The text with at most `max` characters and without characters that cannot be seen but change what is. */
export function shown(text: string, max: number = MAX_TEXT_CHARACTERS): string {
  const cut = text.length > max ? `${text.slice(0, max - 1).replace(/[\ud800-\udbff]$/, '')}…` : text
  return cut.replace(HIDDEN, '\ufffd')
}

/** The name, on one line. */
export function shownName(name: string): string {
  return shown(name, MAX_NAME_CHARACTERS).replace(/[\t\n]/g, '\ufffd')
}

/** The address, or null where it is not one of the web: `javascript:` and its like are never linked. */
export function webAddress(address: string | null | undefined): string | null {
  return typeof address === 'string' && /^https?:\/\/[^\s<>"'`\\]+$/i.test(address) ? address : null
}

/** `path` with everything but `/` and the unreserved characters percent-encoded as UTF-8. */
function encodePath(path: string): string {
  return encodeURIComponent(path)
    .replaceAll('%2F', '/')
    .replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
}

/** Longer ones lead nowhere, and a template may name a long path a million times. */
const MAX_TEMPLATE_CHARACTERS = 1_000
const MAX_PATH_CHARACTERS = 4_096

/** The address of lines of a file by the pack's `url_template`, or null where there is none. */
export function sourceAddress(template: string | null, path: string, start: number, end: number): string | null {
  if (template === null) return null
  if (template.length > MAX_TEMPLATE_CHARACTERS || path.length > MAX_PATH_CHARACTERS) return null
  const values: Record<string, string> = { path: '', start_line: String(start), end_line: String(end) }
  try {
    values['path'] = encodePath(path)
  } catch {
    return null // half a surrogate pair
  }
  return webAddress(template.replace(/\{(path|start_line|end_line)\}/g, (_, name: string) => values[name] ?? ''))
}

const NUMBERS = new Intl.NumberFormat('en')

export function count(number: number): string {
  return NUMBERS.format(number)
}

/** "1 symbol", "2,000 symbols". */
export function counted(number: number, one: string, many: string = `${one}s`): string {
  return `${count(number)} ${number === 1 ? one : many}`
}

export function size(bytes: number): string {
  if (bytes < 1024) return counted(bytes, 'byte')
  if (bytes < 1024 * 1024) return `${count(Math.round(bytes / 1024))} KB`
  return `${(bytes / 1024 / 1024).toFixed(1)} MB`
}

/** US dollars, with as many digits as a small amount needs. */
export function dollars(amount: number): string {
  if (amount === 0) return '$0'
  return amount < 0.01 ? `$${amount.toPrecision(2)}` : `$${amount.toFixed(2)}`
}
