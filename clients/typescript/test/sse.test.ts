import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readMessages } from '../dist/sse.js'
import type { SseMessage } from '../dist/sse.js'

const TEXT =
  ': a comment\r\n\r\nevent: first\r\ndata: {"summary": "Prüft 😀"}\r\n\r\n' +
  'event:second\rdata:no blank\rdata:  two blanks\rid: 7\rretry: 9\runknown\r\r' +
  'event: dropped, as it has no data\n\n: keep-alive\n\ndata\n\ndata: last\n\n' +
  'event: cut off\ndata: by the end'
const EXPECTED: SseMessage[] = [
  { event: 'first', data: '{"summary": "Prüft 😀"}' },
  { event: 'second', data: 'no blank\n two blanks' },
  { event: 'message', data: '' },
  { event: 'message', data: 'last' },
]

function body(...chunks: Uint8Array[]): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(chunk)
      controller.close()
    },
  })
}

async function messages(...chunks: Uint8Array[]): Promise<SseMessage[]> {
  const found: SseMessage[] = []
  for await (const message of readMessages(body(...chunks))) found.push(message)
  return found
}

const BYTES = new TextEncoder().encode(TEXT)

test('a body cut in two anywhere, also within a character or a line end, gives the same messages', async () => {
  for (let cut = 0; cut <= BYTES.length; cut += 1) {
    assert.deepEqual(await messages(BYTES.subarray(0, cut), BYTES.subarray(cut)), EXPECTED, `cut at ${cut}`)
  }
})

test('a body in pieces of any one size gives the same messages', async () => {
  for (let size = 1; size <= 40; size += 1) {
    const pieces: Uint8Array[] = []
    for (let at = 0; at < BYTES.length; at += size) pieces.push(BYTES.subarray(at, at + size))
    assert.deepEqual(await messages(...pieces), EXPECTED, `pieces of ${size}`)
  }
})

test('a message that comes in megabytes of one line is whole', async () => {
  const data = 'é'.repeat(2_000_000)
  const bytes = new TextEncoder().encode(`event: result\ndata: ${data}\n\n`)
  const pieces: Uint8Array[] = []
  for (let at = 0; at < bytes.length; at += 1_021) pieces.push(bytes.subarray(at, at + 1_021))
  assert.deepEqual(await messages(...pieces), [{ event: 'result', data }])
})

test('a message is there as soon as its blank line is, whatever comes after', async () => {
  const waiting = new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(new TextEncoder().encode('data: now\r\n\r')),
  })
  const reading = readMessages(waiting)
  assert.deepEqual((await reading.next()).value, { event: 'message', data: 'now' })
})

test('who stops reading hangs up', async () => {
  let cancelled = false
  const endless = new ReadableStream<Uint8Array>({
    pull: (controller) => controller.enqueue(new TextEncoder().encode('data: again\n\n')),
    cancel: () => {
      cancelled = true
    },
  })
  for await (const message of readMessages(endless)) {
    assert.equal(message.data, 'again')
    break
  }
  assert.ok(cancelled)
})
