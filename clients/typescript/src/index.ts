/**
 * For websites around Doctown: `RunPodClient` for its worker on RunPod, `IngestClient` and `GenerationClient` for its HTTP
 * services, `DocpackReader` for what comes of a repository. The types are made from Doctown's own JSON Schemas.
 */

export { GenerationError } from './errors.js'
export { DocpackReader } from './docpack.js'
export type { DocpackLimits, DocpackMember, DocpackReaderOptions } from './docpack.js'
export type { DocpackSource } from './bytes.js'
export type { Docpack } from './rules.js'
export { IngestClient } from './ingest.js'
export type { IngestClientOptions, IngestHealth, PageOptions } from './ingest.js'
export { GenerationClient } from './service.js'
export type { CallOptions, GenerationClientOptions, Health, StreamMessage } from './service.js'
export type { CompleteOutput } from './output.js'
export { RunPodClient } from './runpod.js'
export type {
  FetchDocument,
  JobStatus,
  PollOptions,
  RunPodClientOptions,
  RunPodPolicy,
  RunPodState,
  SubmitOptions,
} from './runpod.js'
export type { Fetch, JobRequest, RetryOptions } from './http.js'
export type * from './docpack-types.js'
export type * from './types.js'
