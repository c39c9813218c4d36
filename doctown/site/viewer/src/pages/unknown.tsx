/** What is shown for an address that no page has. */
import { useShown } from '../parts/context.js'
import { hrefOf } from '../routes.js'

export function UnknownPage({ what = 'page' }: { what?: string }) {
  useShown('Not found')
  return (
    <>
      <h1 tabIndex={-1}>Not found</h1>
      <p>
        This documentation has no such {what}. Search for its name above, or begin at the{' '}
        <a href={hrefOf({ page: 'overview' })}>overview</a>.
      </p>
    </>
  )
}
