/** The shards that have been asked for. Each is loaded once; one that failed can be tried again. */
import type { Symbols, SymbolEntry } from './shards.js'
import type { Source } from './source.js'

export type Loaded<Value> =
  { state: 'loading' } | { state: 'failed'; reason: string } | { state: 'ready'; value: Value }

const LOADING: Loaded<never> = { state: 'loading' }

export class Store {
  private readonly shards = new Map<string, Loaded<unknown>>()
  private readonly promises = new Map<string, Promise<unknown>>()
  private readonly listeners = new Set<() => void>()
  constructor(private readonly source: Source) {}

  /** Call `listener` whenever a shard has come or failed; returns how to stop it. */
  subscribe(listener: () => void): () => void {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }

  get<Value>(name: string): Loaded<Value> {
    return (this.shards.get(name) as Loaded<Value> | undefined) ?? LOADING
  }

  /** The shard, loaded unless it is there. The types of shards.ts are what its maker promises. */
  load<Value>(name: string): Promise<Value> {
    let promise = this.promises.get(name)
    if (promise === undefined) {
      promise = this.source.load(name).then(
        (value) => {
          this.set(name, { state: 'ready', value })
          return value
        },
        (error: unknown) => {
          this.promises.delete(name)
          this.set(name, { state: 'failed', reason: error instanceof Error ? error.message : String(error) })
          throw error
        },
      )
      this.promises.set(name, promise)
    }
    return promise as Promise<Value>
  }

  retry(name: string): void {
    this.set(name, LOADING)
    this.load(name).catch(() => undefined) // the state says it
  }

  /** The entry of a node in the shard of this name (`Model.shardOf`), or null. */
  async entry(shard: string, node: number): Promise<SymbolEntry | null> {
    const symbols = await this.load<Symbols>(shard)
    return symbols.symbols[node - symbols.first] ?? null
  }

  private set(name: string, loaded: Loaded<unknown>): void {
    this.shards.set(name, loaded)
    for (const listener of this.listeners) listener()
  }
}
