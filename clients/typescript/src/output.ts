/** A job's output with all of its symbols, which may be in the output or in the results document. */

import type { JobOutput, ResultsDocument } from './types.js'

/** A job's output with its symbols, wherever they were. */
export type CompleteOutput = JobOutput & Required<Pick<JobOutput, 'documented_symbols' | 'failed_symbols'>>

export function hasSymbols(output: JobOutput): output is CompleteOutput {
  return output.documented_symbols !== undefined && output.failed_symbols !== undefined
}

/** The output with the symbols of its results document. */
export function withSymbols(output: JobOutput, document: ResultsDocument): CompleteOutput {
  const { documented_symbols, failed_symbols, removed } = document
  return { ...output, documented_symbols, failed_symbols, ...(removed ? { removed } : {}) }
}
