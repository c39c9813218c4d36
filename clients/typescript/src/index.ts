/**
 * Clients of Doctown's generation worker: `RunPodClient` where it runs on RunPod, `GenerationClient` where it runs as
 * an HTTP service. What they send and receive is in `types.ts`, which is made from the worker's own JSON Schemas.
 */

export { GenerationError } from './errors.js'
export { DocpackReader } from './docpack.js'
export type { DocpackLimits, DocpackMember, DocpackReaderOptions } from './docpack.js'
export type { DocpackSource } from './bytes.js'
export type { Docpack } from './rules.js'
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
