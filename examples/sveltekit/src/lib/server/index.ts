// Where jobs run: on RunPod, or in the HTTP service for repositories where DOCTOWN_URL names one.

import { env } from '$env/dynamic/private'
import type { Backend } from './backend'
import { runpodBackend } from './runpod'
import { serviceBackend } from './service'

let made: Backend | undefined

/** Made when it is first needed: while a site is built there are no keys. */
export function backend(): Backend {
  made ??= env.DOCTOWN_URL ? serviceBackend(env.DOCTOWN_URL, env.DOCTOWN_TOKEN) : runpodBackend(env)
  return made
}
