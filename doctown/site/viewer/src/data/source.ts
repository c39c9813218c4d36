/** Where shards come from. */
export interface Source {
  /** The shard of this name, as its JSON is read. Rejects with an Error whose message is a sentence for people. */
  load(name: string): Promise<unknown>
}
