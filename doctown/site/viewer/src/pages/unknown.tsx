/** What is shown for an address that no page has, and for a symbol or a file that the pack does not have. */
import { useShown } from '../parts/context.js'
import { hrefOf } from '../routes.js'
import { shownName } from '../text.js'

export function UnknownPage({ what = 'page', id }: { what?: string; id?: string }) {
  useShown('Not found')
  // What was looked for may have moved: its last name is what is worth a search.
  const name =
    id
      ?.split(/::|[/.]/)
      .at(-1)
      ?.replace(/#\d+$/, '') || id
  return (
    <>
      <h1 tabIndex={-1}>Not found</h1>
      <p>
        This documentation has no such {what}
        {id !== undefined && (
          <>
            : <code>{shownName(id)}</code>
          </>
        )}
        .
      </p>
      <p>
        {name !== undefined && (
          <>
            <a href={hrefOf({ page: 'search', query: name.slice(0, 100) })}>Search for {shownName(name)}</a>, or begin
          </>
        )}
        {name === undefined && 'Search for a name above, or begin'} at the{' '}
        <a href={hrefOf({ page: 'overview' })}>overview</a>.
      </p>
    </>
  )
}
