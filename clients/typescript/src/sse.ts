/** Server-sent events out of a stream of bytes. Leaves out `id` and `retry`: nothing here reconnects. */

import { GenerationError } from './errors.js'
import { requireObject } from './http.js'

export interface SseMessage {
  event: string
  data: string
}

/** The messages of a body as they become complete; one that is cut off by its end is dropped, as the standard says. */
export async function* readMessages(body: ReadableStream<Uint8Array>): AsyncGenerator<SseMessage, void, undefined> {
  const reader = body.getReader()
  // It keeps the bytes of a character that a chunk cuts in two.
  const decoder = new TextDecoder()
  const lines = new LineSplitter()
  const message = new MessageBuilder()
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      for (const line of lines.push(decoder.decode(value, { stream: true }))) {
        const complete = message.take(line)
        if (complete) yield complete
      }
    }
  } finally {
    // Who stops reading hangs up; a body that has ended or failed does not mind.
    await reader.cancel().catch(() => undefined)
  }
}

/** The fault that a service tells of in a stream of events. */
export function toldFault(data: string): GenerationError {
  const { error, failure } = requireObject(data, 'the fault of the stream')
  return new GenerationError(
    typeof failure === 'string' ? failure : 'job_failed',
    typeof error === 'string' && error ? error : 'the job failed and did not say why',
  )
}

/** Lines end with CR LF, LF or CR; a chunk may end anywhere, also between the two. */
class LineSplitter {
  // In parts: a result is one line of megabytes, which is not to be copied with every chunk.
  #unfinished: string[] = []
  #endedWithCr = false

  push(text: string): string[] {
    if (text === '') return []
    const fresh = this.#endedWithCr && text.startsWith('\n') ? text.slice(1) : text
    this.#endedWithCr = fresh.endsWith('\r')
    const lines = fresh.split(/\r\n|\r|\n/)
    const rest = lines.pop() ?? ''
    if (lines.length > 0) {
      lines[0] = this.#unfinished.join('') + (lines[0] ?? '')
      this.#unfinished = []
    }
    this.#unfinished.push(rest)
    return lines
  }
}

class MessageBuilder {
  #event = ''
  #data: string[] = []

  /** Takes a line in; an empty one completes the message, if there is any data. */
  take(line: string): SseMessage | null {
    if (line === '') return this.#complete()
    const colon = line.indexOf(':')
    const field = colon < 0 ? line : line.slice(0, colon)
    const value = colon < 0 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1)
    if (field === 'event') this.#event = value
    else if (field === 'data') this.#data.push(value)
    return null
  }

  #complete(): SseMessage | null {
    const message = this.#data.length > 0 ? { event: this.#event || 'message', data: this.#data.join('\n') } : null
    this.#event = ''
    this.#data = []
    return message
  }
}
