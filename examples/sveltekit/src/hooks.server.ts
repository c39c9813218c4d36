import type { Handle } from '@sveltejs/kit'

export const handle: Handle = async ({ event, resolve }) => {
  // The login belongs here: read the session, send strangers to the login page, and set the user's id as the visitor.
  // Whoever gets past this line can start jobs that cost money, cancel each job whose address they know, and read each
  // pack in the bucket: with private repositories, keep the user's id with each job and compare it in the routes too.
  event.locals.visitor = event.getClientAddress()
  return resolve(event)
}
