// A server that answers each request as the test's script says, for the faults that the real ones do not have.

import { createServer } from 'node:http'
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after } from 'node:test'

export interface Seen {
  method: string
  path: string
  headers: IncomingHttpHeaders
  body: string
}

export type Reply = (response: ServerResponse, seen: Seen) => unknown

export interface Stub {
  url: string
  /** Every request, in order of arrival. */
  seen: Seen[]
}

/** Serves until the tests of the file are over; the last reply is that to all further requests. */
export async function startStub(...replies: [Reply, ...Reply[]]): Promise<Stub> {
  const seen: Seen[] = []
  const server = createServer(async (request, response) => {
    const one = {
      method: request.method ?? '',
      path: request.url ?? '',
      headers: request.headers,
      body: await read(request),
    }
    const reply = replies[Math.min(seen.length, replies.length - 1)] as Reply
    seen.push(one)
    reply(response, one)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  after(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen }
}

async function read(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString('utf8')
}

export function json(body: unknown, status = 200, headers: Record<string, string> = {}): Reply {
  return (response) =>
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body))
}

export function events(...chunks: string[]): Reply {
  return (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    for (const chunk of chunks) response.write(chunk)
    response.end()
  }
}

/** The request was read, and the connection breaks without an answer. */
export const hangUp: Reply = (response) => response.destroy()

/** The request was read, and there is never an answer. */
export const silence: Reply = () => undefined
