// The real servers, which tests/test_typescript_client.py starts; without them the tests that need them are skipped.

import { readFileSync } from 'node:fs'
import type { SymbolItem } from '@doctown/generation-client'

const environment = process.env

export const runpod = environment['RUNPOD_URL']
  ? { baseUrl: environment['RUNPOD_URL'], endpointId: 'ep', apiKey: environment['RUNPOD_KEY'] ?? '' }
  : null
export const service = environment['SERVICE_URL']
  ? { url: environment['SERVICE_URL'], token: environment['SERVICE_TOKEN'] ?? '' }
  : null

/** The service for repositories, with the git server whose repositories it may read. */
export const repositories = environment['REPOSITORIES_URL']
  ? {
      url: environment['REPOSITORIES_URL'],
      token: environment['SERVICE_TOKEN'] ?? '',
      git: environment['GIT_URL'] ?? '',
    }
  : null

/** A private way to the results: the folder-like address at which the test's bucket can be read with its password. */
export const documents = environment['DOCUMENTS_URL'] ?? ''

const all = environment['SYMBOLS_FILE']
  ? (JSON.parse(readFileSync(environment['SYMBOLS_FILE'], 'utf8')) as SymbolItem[])
  : []

export function symbols(count: number): SymbolItem[] {
  if (all.length < count) throw new Error(`there are ${all.length} symbols, not ${count}`)
  return all.slice(0, count)
}

/** Symbols whose requests the OpenAI server never answers. */
export function hangingSymbols(count: number): SymbolItem[] {
  return symbols(count).map(({ context }, place) => {
    const symbol_id = `hang_${place}`
    return { symbol_id, context: { ...context, symbol_id, name: symbol_id } }
  })
}

export function ids(listed: readonly { symbol_id: string }[]): string[] {
  return listed.map((one) => one.symbol_id)
}

export const LIMIT = { timeout: 90_000 }
