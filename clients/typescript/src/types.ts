// Made from schemas/*.schema.json by `make types`: edit generation/domain/output.py or generation/contract instead.

/**
 * A line on standard output, and a message of the HTTP service's stream.
 */
export type GenerationEvent = StartedEvent | SymbolDocumentedEvent | SymbolFailedEvent | CompletedEvent
/**
 * Whatever a job may return: its output, the plan of a dry run, or why it could not run.
 */
export type GenerationOutput = JobOutput | PlannedOutput | JobFailure
/**
 * Whatever a repository job may return: its output, the plan of a dry run, or why it could not run.
 */
export type RepositoryResult = RepositoryOutput | PlannedRepository | JobFailure

/**
 * A job has ended.
 */
export interface CompletedEvent {
  type: 'generation.completed.v1'
  status: 'success' | 'partial' | 'failed'
  /**
   * The job, by its own id.
   */
  job_id: string
  /**
   * UTC, in RFC 3339, to a millisecond.
   */
  timestamp: string
  payload: CompletedPayload
}
/**
 * How it went.
 */
export interface CompletedPayload {
  status: 'success' | 'partial' | 'failed'
  failed_count: number
  total_tokens: number
  /**
   * US dollars, to a millionth.
   */
  total_cost: number
  duration_ms: number
  /**
   * What is worth knowing and stopped nothing; a sentence each.
   */
  warnings: string[]
}
/**
 * A job is about to make its first request.
 */
export interface StartedEvent {
  type: 'generation.started.v1'
  /**
   * The job, by its own id.
   */
  job_id: string
  /**
   * UTC, in RFC 3339, to a millisecond.
   */
  timestamp: string
  payload: StartedPayload
}
/**
 * How much there is to do.
 */
export interface StartedPayload {
  symbol_count: number
  estimated_tokens: number
}
/**
 * A symbol is documented.
 */
export interface SymbolDocumentedEvent {
  type: 'generation.symbol_documented.v1'
  /**
   * The job, by its own id.
   */
  job_id: string
  /**
   * UTC, in RFC 3339, to a millisecond.
   */
  timestamp: string
  payload: SymbolDocumentedPayload
}
/**
 * A symbol that has its summary.
 */
export interface SymbolDocumentedPayload {
  /**
   * The symbol, by the id under which it came.
   */
  symbol_id: string
  token_count: number
  /**
   * In the HTTP service's stream only, not on standard output.
   */
  summary?: string
}
/**
 * A symbol has failed.
 */
export interface SymbolFailedEvent {
  type: 'generation.symbol_failed.v1'
  /**
   * The job, by its own id.
   */
  job_id: string
  /**
   * UTC, in RFC 3339, to a millisecond.
   */
  timestamp: string
  payload: SymbolFailedPayload
}
/**
 * A symbol that has none.
 */
export interface SymbolFailedPayload {
  /**
   * The symbol, by the id under which it came.
   */
  symbol_id: string
  /**
   * Why, as a code of the documented table of failures. New ones may come.
   */
  failure: string
  /**
   * A sentence for people; never a text of the payload.
   */
  message: string
}
/**
 * A job's own choices; each one's default is the setting of the same name in capitals (`model`: MODEL_NAME).
 */
export interface JobOptions {
  /**
   * Model to use; `offline` writes summaries without a model. The default gives way to its replacement on the day that OpenAI shuts it down
   */
  model?: string | null
  /**
   * Maximum number of requests in flight at once
   */
  max_concurrent_requests?: number | null
  /**
   * Maximum number of symbols to document in a job, most central first
   */
  max_symbols?: number | null
  /**
   * Document several symbols in one request
   */
  batch_mode?: boolean | null
  /**
   * Maximum number of symbols in one batch-mode request
   */
  batch_size?: number | null
  /**
   * Maximum number of input tokens in one batch-mode request
   */
  max_batch_tokens?: number | null
  /**
   * Add nearest neighbours, symbols of the same file and imports to prompts
   */
  include_semantic_context?: boolean | null
  /**
   * Document callees before their callers and add their summaries to the callers' prompts
   */
  callees_first?: boolean | null
  /**
   * Language of the summaries: its English name or its code
   */
  output_language?: string | null
  /**
   * Symbols with a lower centrality get an offline summary, at no cost
   */
  min_centrality?: number | null
  /**
   * Spending limit of a job in USD; a job with a higher estimate is refused
   */
  max_cost_usd?: number | null
  /**
   * Seconds after which a job ends with what is done; keep it below RunPod's 600 s execution timeout
   */
  deadline_s?: number | null
  /**
   * Write every summary anew, also of symbols that have not changed.
   */
  renew?: boolean
  /**
   * Answer with the plan and its price; nothing is asked and nothing stored.
   */
  dry_run?: boolean
}
/**
 * A related symbol of which more is known than its name; `similarity` is a cosine, -1 to 1.
 */
export interface RelatedSymbol {
  name: string
  similarity?: number | null
  note?: string | null
}
/**
 * What static analysis knows of one symbol. `centrality` runs from 0 to 1.
 */
export interface SymbolContext {
  /**
   * The same ID as beside `context`.
   */
  symbol_id: string
  /**
   * Name as written in the source.
   */
  name: string
  /**
   * Kind, such as function, method or class.
   */
  kind: string
  /**
   * Programming language.
   */
  language: string
  /**
   * Path from the root of the repository.
   */
  file_path: string
  /**
   * Signature as written in the source.
   */
  signature?: string | null
  /**
   * Names of the symbols that it calls.
   *
   * @maxItems 10000
   */
  calls?: string[]
  /**
   * Names of the symbols that call it.
   *
   * @maxItems 10000
   */
  called_by?: string[]
  /**
   * Import lines of its file.
   *
   * @maxItems 10000
   */
  imports?: string[]
  /**
   * Names, or objects with details; semantic context uses such objects as they are.
   *
   * @maxItems 10000
   */
  related_symbols?: (string | RelatedSymbol)[]
  /**
   * Part of the codebase that it belongs to.
   */
  cluster_label?: string | null
  /**
   * From 0 to 1; 1 is the most central symbol.
   */
  centrality?: number | null
  /**
   * Docstring as written in the source, without quotes.
   */
  docstring?: string | null
  /**
   * Source code; the more of the body is present, the better the summary.
   */
  source_code?: string | null
  /**
   * Vector, of one dimension throughout the job; semantic context finds neighbours by it.
   */
  embedding?: number[] | null
  /**
   * Ids of the symbols of this job that it calls; `calls` is then only what the prompt shows.
   */
  callees?: string[] | null
  /**
   * What it is defined in, by its name: a class, a module.
   */
  parent?: string | null
  /**
   * Names of the classes or interfaces that it extends.
   *
   * @maxItems 10000
   */
  bases?: string[]
  /**
   * Its decorators, attributes or annotations.
   *
   * @maxItems 10000
   */
  decorators?: string[]
  /**
   * Whether it is part of the public API of its module.
   */
  exported?: boolean | null
  [k: string]: unknown | undefined
}
/**
 * A symbol to document.
 */
export interface SymbolItem {
  /**
   * Its id, different from all others of the job.
   */
  symbol_id: string
  context: SymbolContext
}
/**
 * What to document, and how: RunPod's `input`, and the body of the HTTP service's `POST /generate`.
 *
 * Exactly one of `symbols` and `symbols_key` must be given.
 */
export interface GenerationInput {
  /**
   * 1 to 128 letters, digits, dots, underscores or hyphens, not only dots; default: the caller's ID.
   */
  job_id?: string | null
  /**
   * Symbols to document.
   */
  symbols?: SymbolItem[] | null
  /**
   * Instead of `symbols`: key of an object in the bucket that holds them (JSON, JSON Lines, gzip).
   */
  symbols_key?: string | null
  /**
   * Key of an earlier results document in the bucket; unchanged symbols are taken over from it.
   */
  previous_results_key?: string | null
  options?: JobOptions
}
/**
 * How the summaries of a model fared in their checks.
 */
export interface CheckCounts {
  checked: number
  passed_all: number
  /**
   * How many failed a hard check, asked again as well: offline summaries stand for them.
   */
  rejected: number
  /**
   * How many summaries each check found fault with.
   */
  findings: {
    [k: string]: number | undefined
  }
}
/**
 * The size of the pack.
 */
export interface Counts {
  /**
   * All files of the source map.
   */
  files: number
  /**
   * Those that were parsed, partly parsed ones included.
   */
  files_parsed: number
  files_skipped: number
  /**
   * All nodes, without those that stand for a whole file.
   */
  symbols: number
  /**
   * Nodes with a summary.
   */
  documented: number
  /**
   * Nodes with a failure.
   */
  failed: number
  edges: number
  /**
   * Resolved, external and unresolved ones.
   */
  call_sites: number
  /**
   * Each has at least one edge.
   */
  call_sites_resolved: number
  /**
   * They lead out of the repository.
   */
  call_sites_external: number
  /**
   * Ambiguous ones included.
   */
  call_sites_unresolved: number
  clusters: number
}
/**
 * What one execution of a job has counted; nothing that an earlier one has paid is in it.
 */
export interface JobFigures {
  /**
   * Requests to the model that have ended; 429 is rate_limited, 5xx is server_error.
   */
  requests: {
    [k: string]: number | undefined
  }
  /**
   * Cached tokens are a part of the input, those of reasoning a part of the output.
   */
  tokens: {
    [k: string]: number | undefined
  }
  /**
   * US dollars, to a millionth.
   */
  cost_usd: number
  /**
   * New summaries by the verdict of their checks.
   */
  summaries: {
    [k: string]: number | undefined
  }
  /**
   * Failed symbols and jobs, by step and then by failure code.
   */
  failures: {
    [k: string]:
      | {
          [k: string]: number | undefined
        }
      | undefined
  }
  /**
   * What was found and not bought or made again.
   */
  cache_hits: {
    [k: string]: number | undefined
  }
  /**
   * How long each step took.
   */
  seconds: {
    [k: string]: number | undefined
  }
}
/**
 * A job as its record in the store has it, and as `GET /status/{job_id}` shows it.
 */
export interface JobState {
  /**
   * The job, by its own id.
   */
  job_id: string
  /**
   * `partial`: some symbols have no summary.
   */
  status: 'queued' | 'running' | 'success' | 'partial' | 'failed' | 'planned' | 'cancelled'
  /**
   * What was asked for.
   */
  input: {
    [k: string]: unknown | undefined
  }
  /**
   * UTC, in RFC 3339.
   */
  created_at: string
  started_at: string | null
  ended_at: string | null
  /**
   * How often it was begun: again where the process that ran it has died.
   */
  executions: number
  cancel_requested: boolean
  /**
   * What a queued job waits for, where it would have begun.
   */
  waits_for?: 'memory'
  /**
   * Null until the first step begins.
   */
  progress: RepositoryProgressPayload | null
  /**
   * Null until it has ended.
   */
  output: RepositoryOutput | PlannedRepository | null
  /**
   * Why the job could not run.
   */
  error: string | null
  failure: string | null
}
/**
 * Where a job stands: cumulative, so that the newest tells all.
 */
export interface RepositoryProgressPayload {
  /**
   * The present step.
   */
  step: number
  /**
   * How many there are.
   */
  steps: number
  name: 'fetch' | 'parse' | 'embed' | 'assemble' | 'document' | 'pack' | 'store'
  /**
   * By step, of those that have begun.
   */
  counts: {
    [k: string]: StepCounts | undefined
  }
  /**
   * Symbols that need nothing more: documented or left out.
   */
  completed: number
  failed: number
  /**
   * Symbols to document; 0 until they are known.
   */
  total: number
  total_tokens: number
  /**
   * US dollars, to a millionth.
   */
  total_cost: number
  elapsed_ms: number
}
/**
 * How far a step is: files, texts, symbols, or 1 where nothing is counted.
 */
export interface StepCounts {
  done: number
  total: number
}
/**
 * What a repository job returns once its pack is stored.
 */
export interface RepositoryOutput {
  /**
   * The job, by its own id.
   */
  job_id: string
  /**
   * Whether all, some or none of the symbols have a summary.
   */
  status: 'success' | 'partial' | 'failed'
  /**
   * The model, or `offline`.
   */
  model: string
  repository: Repository
  documented_count: number
  failed_count: number
  /**
   * Documented symbols with the summary of an earlier pack.
   */
  taken_over_count: number
  /**
   * Whether time was up before all were asked for: the same job goes on from there.
   */
  is_unfinished: boolean
  /**
   * Symbols without a summary, by failure code.
   */
  failures: {
    /**
     * This interface was referenced by `undefined`'s JSON-Schema definition
     * via the `patternProperty` "^[a-z][a-z0-9_]*$".
     */
    [k: string]: number | undefined
  }
  /**
   * Symbols that max_symbols or max_cost_usd left out.
   */
  left_out_count: number
  total_tokens: number
  /**
   * US dollars, to a millionth.
   */
  total_cost: number
  usage: TokenUsage
  pricing: TokenPricing
  paid_before: PaidBefore
  checks: CheckCounts
  duration_ms: number
  /**
   * What is worth knowing and stopped nothing; a sentence each.
   */
  warnings: string[]
  docpack: ResultsPointer
  /**
   * The vectors beside the pack; null where no model made them.
   */
  embeddings: ResultsPointer | null
  counts: Counts
  figures?: JobFigures
  /**
   * How long each step took.
   */
  seconds: {
    [k: string]: number | undefined
  }
}
/**
 * What was documented.
 */
export interface Repository {
  name: string
  /**
   * Where it can be cloned from, without credentials.
   */
  url: string | null
  /**
   * null: not under Git.
   */
  commit: string | null
  /**
   * The branch or tag that was asked for.
   */
  ref: string | null
  /**
   * Whether files differed from the commit.
   */
  dirty: boolean
  /**
   * The SPDX identifier, where it is known.
   */
  licence: string | null
  /**
   * The first paragraph of the repository's README, as plain text.
   */
  description?: string
}
/**
 * What the API reported, failed attempts included.
 */
export interface TokenUsage {
  input_tokens: number
  /**
   * A part of the input tokens.
   */
  cached_input_tokens: number
  output_tokens: number
  /**
   * A part of the output tokens.
   */
  reasoning_tokens: number
  requests: number
  retries: number
  /**
   * Requests without an answer in time; what they cost is unknown.
   */
  timeouts: number
}
/**
 * The prices by which `total_cost` was worked out, in US dollars for a million tokens.
 */
export interface TokenPricing {
  input_per_1m: number
  cached_input_per_1m: number
  output_per_1m: number
}
/**
 * What earlier runs of the same job had paid for and this one took over: a part of the totals.
 */
export interface PaidBefore {
  symbols: number
  total_tokens: number
  /**
   * US dollars, to a millionth.
   */
  total_cost: number
}
/**
 * Where the results document is, and how to know it.
 */
export interface ResultsPointer {
  /**
   * The bucket; null where the results are in a folder.
   */
  bucket: string | null
  /**
   * The object's key in the bucket.
   */
  key: string
  /**
   * Its public address; null where it has none.
   */
  url: string | null
  bytes: number
  /**
   * SHA-256 of its bytes.
   */
  sha256: string
}
/**
 * What a dry run of a repository job returns.
 */
export interface PlannedRepository {
  /**
   * The job, by its own id.
   */
  job_id: string
  status: 'planned'
  model: string
  plan: RepositoryPlan
  pricing: TokenPricing
  /**
   * What is worth knowing and stopped nothing; a sentence each.
   */
  warnings: string[]
}
/**
 * What the summaries would take.
 */
export interface RepositoryPlan {
  /**
   * Those that a model would be asked for.
   */
  symbols: number
  /**
   * Those that need not be paid again.
   */
  known_symbols: number
  offline_symbols: number
  left_out_symbols: number
  large_symbols: number
  medium_symbols: number
  small_symbols: number
  requests: number
  estimated_input_tokens: number
  estimated_output_tokens: number
  /**
   * US dollars, to a millionth.
   */
  estimated_cost: number
}
/**
 * Jobs, the newest first.
 */
export interface JobPage {
  jobs: JobState[]
  /**
   * What `before` must be for the next page; null on the last one.
   */
  next: string | null
}
/**
 * A symbol with its summary.
 */
export interface DocumentedSymbol {
  /**
   * The symbol, by the id under which it came.
   */
  symbol_id: string
  /**
   * One or two sentences.
   */
  summary: string
  /**
   * Input and output tokens billed for it, failed attempts included.
   */
  tokens_used: number
  /**
   * A model, no model at all, or the earlier results that the input named.
   */
  source: 'model' | 'offline' | 'previous'
  /**
   * Changes with whatever of the context the summary rests on.
   */
  content_hash: string
}
/**
 * A symbol without a summary.
 */
export interface FailedSymbol {
  /**
   * The symbol, by the id under which it came.
   */
  symbol_id: string
  file_path: string | null
  /**
   * Why, as a code of the documented table of failures. New ones may come.
   */
  failure: string
  /**
   * A sentence for people; never a text of the payload.
   */
  message: string
}
/**
 * What is returned where a job could not run at all.
 */
export interface JobFailure {
  /**
   * One sentence that says what to do.
   */
  error: string
  /**
   * Why, as a code of the documented table of failures. New ones may come.
   */
  failure: string
}
/**
 * What a job returns. Where it would be too large its symbols are left out, and are in the results document only.
 *
 * Then `documented_symbols`, `failed_symbols` and `removed` are absent.
 */
export interface JobOutput {
  /**
   * The job, by its own id.
   */
  job_id: string
  /**
   * Whether all, some or none of the symbols have a summary.
   */
  status: 'success' | 'partial' | 'failed'
  /**
   * The model, or `offline`.
   */
  model: string
  documented_count: number
  failed_count: number
  total_tokens: number
  /**
   * US dollars, to a millionth.
   */
  total_cost: number
  usage: TokenUsage
  pricing: TokenPricing
  paid_before: PaidBefore
  checks: CheckCounts
  duration_ms: number
  /**
   * What is worth knowing and stopped nothing; a sentence each.
   */
  warnings: string[]
  figures?: JobFigures
  documented_symbols?: DocumentedSymbol[]
  failed_symbols?: FailedSymbol[]
  /**
   * Symbols of the earlier results that this job no longer has.
   *
   * Items: The symbol, by the id under which it came.
   */
  removed?: string[]
  /**
   * The results document; null where it could not be stored.
   */
  results: ResultsPointer | null
}
/**
 * What a job would do and what it would cost.
 */
export interface Plan {
  requests: number
  /**
   * Those that a model would be asked for.
   */
  symbols: number
  /**
   * Those that need not be paid again.
   */
  known_symbols: number
  offline_symbols: number
  left_out_symbols: number
  large_symbols: number
  medium_symbols: number
  small_symbols: number
  estimated_input_tokens: number
  estimated_output_tokens: number
  /**
   * US dollars, to a millionth.
   */
  estimated_cost: number
}
/**
 * What a dry run returns.
 */
export interface PlannedOutput {
  /**
   * The job, by its own id.
   */
  job_id: string
  status: 'planned'
  model: string
  plan: Plan
  failed_symbols: FailedSymbol[]
  pricing: TokenPricing
  /**
   * What is worth knowing and stopped nothing; a sentence each.
   */
  warnings: string[]
}
/**
 * A repository. What is missing is not known: it has no pack yet, or was never looked at.
 */
export interface IndexEntry {
  url: string
  /**
   * The ref that was asked for; null for the repository's own branch.
   */
  ref: string | null
  subdir: string | null
  /**
   * Of the job that made the pack.
   */
  status?: 'success' | 'partial' | 'failed'
  /**
   * The commit that the pack documents.
   */
  commit?: string | null
  /**
   * The commit at the ref when last looked at.
   */
  newest_commit?: string | null
  /**
   * Whether the repository has moved on since the pack, or has none.
   */
  is_stale: boolean
  docpack?: ResultsPointer
  embeddings?: ResultsPointer | null
  counts?: Counts
  model?: string
  /**
   * Of the job that made the pack.
   */
  total_cost?: number
  /**
   * Of all jobs of this repository.
   */
  total_cost_so_far?: number
  /**
   * UTC, in RFC 3339.
   */
  built_at?: string
  /**
   * UTC, in RFC 3339.
   */
  checked_at?: string
  /**
   * Of the options of the job.
   */
  options_digest?: string
  /**
   * Symbols without a summary, by failure code.
   */
  failures?: {
    [k: string]: number | undefined
  }
  /**
   * Code of why the last job had no pack.
   */
  failure?: string | null
  message?: string | null
}
/**
 * All packs of a bucket; `packs` are by the folder of the pack.
 */
export interface PackIndex {
  version: 1
  /**
   * UTC, in RFC 3339.
   */
  updated_at: string
  packs: {
    [k: string]: IndexEntry | undefined
  }
}
/**
 * Where a job stands: cumulative, so that the newest tells all.
 */
export interface ProgressPayload {
  completed: number
  failed: number
  total: number
  total_tokens: number
  /**
   * US dollars, to a millionth.
   */
  total_cost: number
  elapsed_ms: number
  /**
   * Those documented since the last snapshot, the newest of them.
   *
   * @maxItems 50
   */
  symbols: DocumentedSymbol[]
}
/**
 * The `output` of RunPod's status while a job is in progress.
 */
export interface ProgressSnapshot {
  type: 'generation.progress.v1'
  /**
   * The job, by its own id.
   */
  job_id: string
  payload: ProgressPayload
}
/**
 * What can be chosen of a build, beside what can be chosen of a job's summaries.
 */
export interface RepositoryOptions {
  /**
   * Model to use; `offline` writes summaries without a model. The default gives way to its replacement on the day that OpenAI shuts it down
   */
  model?: string | null
  /**
   * Maximum number of requests in flight at once
   */
  max_concurrent_requests?: number | null
  /**
   * Maximum number of symbols to document in a job, most central first
   */
  max_symbols?: number | null
  /**
   * Document several symbols in one request
   */
  batch_mode?: boolean | null
  /**
   * Maximum number of symbols in one batch-mode request
   */
  batch_size?: number | null
  /**
   * Maximum number of input tokens in one batch-mode request
   */
  max_batch_tokens?: number | null
  /**
   * Add nearest neighbours, symbols of the same file and imports to prompts
   */
  include_semantic_context?: boolean | null
  /**
   * Document callees before their callers and add their summaries to the callers' prompts
   */
  callees_first?: boolean | null
  /**
   * Language of the summaries: its English name or its code
   */
  output_language?: string | null
  /**
   * Symbols with a lower centrality get an offline summary, at no cost
   */
  min_centrality?: number | null
  /**
   * Spending limit of a job in USD; a job with a higher estimate is refused
   */
  max_cost_usd?: number | null
  /**
   * Seconds after which a job ends with what is done; keep it below RunPod's 600 s execution timeout
   */
  deadline_s?: number | null
  /**
   * Write every summary anew, also of symbols that have not changed.
   */
  renew?: boolean
  /**
   * Answer with the plan and its price; nothing is asked and nothing stored.
   */
  dry_run?: boolean
  /**
   * Take only the files that match these patterns.
   *
   * @maxItems 1000
   */
  include?: string[]
  /**
   * Leave the files out that match these patterns.
   *
   * @maxItems 1000
   */
  exclude?: string[]
  /**
   * Take the symbols of tests too.
   */
  include_tests?: boolean
  /**
   * Document only symbols of these kinds.
   */
  kinds?:
    | (
        | 'function'
        | 'method'
        | 'class'
        | 'struct'
        | 'enum'
        | 'trait'
        | 'interface'
        | 'type'
        | 'constant'
        | 'macro'
        | 'property'
      )[]
    | null
  /**
   * What symbols are compared by.
   */
  embeddings?: 'minilm' | 'words' | 'none'
  /**
   * The number of clusters; default: a good one.
   */
  clusters?: number | null
}
/**
 * A git repository on the web.
 */
export interface RepositorySource {
  /**
   * Its address: https://host/owner/repo.
   */
  url: string
  /**
   * Branch, tag or full commit ID; default: the repository's own branch.
   */
  ref?: string | null
  /**
   * Document only this folder of it.
   */
  subdir?: string | null
}
/**
 * What to document: a repository or an archive, exactly one of them; and how.
 */
export interface RepositoryInput {
  /**
   * 1 to 128 letters, digits, dots, underscores or hyphens, not only dots; default: the caller's ID.
   */
  job_id?: string | null
  /**
   * The repository to document.
   */
  repository?: RepositorySource | null
  /**
   * Instead of `repository`: key of a .zip, .tar.gz or .tgz archive in the bucket.
   */
  archive_key?: string | null
  /**
   * Key of an earlier pack of it, whose unchanged summaries are taken over; default: its last pack.
   */
  previous_docpack_key?: string | null
  options?: RepositoryOptions
}
/**
 * The `output` of RunPod's status while a repository job is in progress.
 */
export interface RepositorySnapshot {
  type: 'doctown.progress.v1'
  /**
   * The job, by its own id.
   */
  job_id: string
  payload: RepositoryProgressPayload
}
/**
 * What a check found fault with.
 */
export interface CheckFinding {
  /**
   * The check, by its name in the documentation.
   */
  check: string
  /**
   * Whether it is worth asking again.
   */
  hard: boolean
  /**
   * A sentence for people; never a text of the payload.
   */
  reason: string
}
/**
 * A failed symbol of the results document.
 */
export interface StoredFailure {
  /**
   * The symbol, by the id under which it came.
   */
  symbol_id: string
  file_path: string | null
  /**
   * Why, as a code of the documented table of failures. New ones may come.
   */
  failure: string
  /**
   * A sentence for people; never a text of the payload.
   */
  message: string
  usage?: SymbolUsage
  /**
   * Changes with whatever of the context the summary rests on.
   */
  content_hash?: string
}
/**
 * What one symbol was billed; what is not named is 0.
 */
export interface SymbolUsage {
  input_tokens?: number
  cached_input_tokens?: number
  output_tokens?: number
  reasoning_tokens?: number
  requests?: number
  retries?: number
  timeouts?: number
}
/**
 * A documented symbol of the results document.
 */
export interface StoredSymbol {
  /**
   * The symbol, by the id under which it came.
   */
  symbol_id: string
  /**
   * One or two sentences.
   */
  summary: string
  /**
   * Input and output tokens billed for it, failed attempts included.
   */
  tokens_used: number
  /**
   * A model, no model at all, or the earlier results that the input named.
   */
  source: 'model' | 'offline' | 'previous'
  /**
   * Changes with whatever of the context the summary rests on.
   */
  content_hash: string
  usage?: SymbolUsage
  checks?: SymbolChecks
  origin?: SummaryOrigin
  /**
   * What was changed in what the model wrote, by the names of the documentation.
   */
  repairs?: string[]
  /**
   * How long the request was in flight whose answer this is; where measured.
   */
  latency_ms?: number
}
/**
 * The checks of one summary; one that does not apply is in neither list.
 */
export interface SymbolChecks {
  passed: string[]
  findings: CheckFinding[]
}
/**
 * What a summary was written by. Its wording depends on it; whether it can be taken over does not.
 */
export interface SummaryOrigin {
  /**
   * Version of the prompt; it rises with each new wording.
   */
  prompt_version: number
  /**
   * The model.
   */
  model: string
  /**
   * The language that was asked for.
   */
  language: string
  /**
   * The reasoning effort; null where the model takes none.
   */
  effort: string | null
}
/**
 * What is stored: every symbol of the input in its order, with what it cost and how its checks went.
 */
export interface ResultsDocument {
  /**
   * The job, by its own id.
   */
  job_id: string
  /**
   * Whether all, some or none of the symbols have a summary.
   */
  status: 'success' | 'partial' | 'failed'
  /**
   * The model, or `offline`.
   */
  model: string
  documented_count: number
  failed_count: number
  total_tokens: number
  /**
   * US dollars, to a millionth.
   */
  total_cost: number
  usage: TokenUsage
  pricing: TokenPricing
  paid_before: PaidBefore
  checks: CheckCounts
  duration_ms: number
  /**
   * What is worth knowing and stopped nothing; a sentence each.
   */
  warnings: string[]
  documented_symbols: StoredSymbol[]
  failed_symbols: StoredFailure[]
  /**
   * Symbols of the earlier results that this job no longer has.
   *
   * Items: The symbol, by the id under which it came.
   */
  removed?: string[]
  /**
   * Always null: this is the document that others point to.
   */
  results: null
  /**
   * Present in a document that a job under way has left; for the worker only.
   */
  checkpoint?: {
    [k: string]: number | undefined
  }
}
/**
 * Values that were counted: how many, their sum and their average.
 */
export interface Distribution {
  count: number
  sum: number
  average: number
}
/**
 * The figures of a process since its start: what `GET /stats` returns.
 */
export interface Stats {
  /**
   * Jobs that have ended, by status.
   */
  jobs: {
    [k: string]: number | undefined
  }
  /**
   * Of those that ended by themselves, the share without a failure.
   */
  success_rate: number | null
  jobs_running: number
  jobs_queued: number
  /**
   * By kind of job.
   */
  job_seconds: {
    [k: string]: Distribution | undefined
  }
  /**
   * By step.
   */
  step_seconds: {
    [k: string]: Distribution | undefined
  }
  /**
   * Cached tokens are a part of the input, those of reasoning a part of the output.
   */
  tokens: {
    [k: string]: number | undefined
  }
  /**
   * US dollars, to a millionth.
   */
  cost_usd: number
  job_usd: Distribution
  /**
   * Failed symbols and jobs, by step and then by failure code.
   */
  errors: {
    [k: string]:
      | {
          [k: string]: number | undefined
        }
      | undefined
  }
  /**
   * Requests to the model that have ended; 429 is rate_limited, 5xx is server_error.
   */
  requests: {
    [k: string]: number | undefined
  }
  requests_in_flight: number
  /**
   * New summaries by the verdict of their checks.
   */
  summaries: {
    [k: string]: number | undefined
  }
  /**
   * What was found and not bought or made again.
   */
  cache_hits: {
    [k: string]: number | undefined
  }
}
