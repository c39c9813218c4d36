/** The addresses of the pages: what stands after `#`. Pure; `app.tsx` reads and changes the address. */

export type ListName = 'failed' | 'stale' | 'warnings'
const LISTS: readonly string[] = ['failed', 'stale', 'warnings']

export type Route =
  | { page: 'overview' }
  | { page: 'search'; query: string }
  /** `id` is the symbol's id, or its number where the id is too long for an address. */
  | { page: 'symbol'; id: string }
  | { page: 'file'; path: string }
  | { page: 'files' }
  | { page: 'cluster'; id: number }
  | { page: 'map'; by: 'clusters' | 'folders'; folder: string }
  | { page: 'graph'; id: string; hops: 1 | 2; guesses: boolean }
  | { page: 'list'; list: ListName }
  | { page: 'unknown'; address: string }

/** Percent-encode, but keep `/` and `:` readable; half a surrogate pair, which cannot be encoded, becomes U+FFFD. */
function encode(text: string): string {
  const wellFormed = text.replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, '\ufffd')
  return encodeURIComponent(wellFormed).replaceAll('%2F', '/').replaceAll('%3A', ':')
}

/** The address of a page, for the `href` of a link. */
export function hrefOf(route: Route): string {
  switch (route.page) {
    case 'overview':
      return '#/'
    case 'search':
      return `#/search?q=${encode(route.query)}`
    case 'symbol':
      return `#/symbol/${encode(route.id)}`
    case 'file':
      return `#/file/${encode(route.path)}`
    case 'files':
      return '#/files'
    case 'cluster':
      return `#/cluster/${route.id}`
    case 'map':
      return `#/map?by=${route.by}${route.folder === '' ? '' : `&folder=${encode(route.folder)}`}`
    case 'graph':
      return `#/graph/${encode(route.id)}?hops=${route.hops}&guesses=${route.guesses ? 1 : 0}`
    case 'list':
      return `#/list/${route.list}`
    case 'unknown':
      return `#${route.address}`
  }
}

/** The page that an address asks for; `hash` is `location.hash`. */
export function routeOf(hash: string): Route {
  const address = hash.replace(/^#/, '')
  if (address === '' || address === '/') return { page: 'overview' }
  const unknown: Route = { page: 'unknown', address }
  const at = address.indexOf('?')
  const [rawPath, query] = at < 0 ? [address, ''] : [address.slice(0, at), address.slice(at + 1)]
  const parameters = new URLSearchParams(query)
  let path: string
  try {
    path = decodeURIComponent(rawPath)
  } catch {
    return unknown
  }
  const [, name, rest] = /^\/([a-z]+)(?:\/([^]*))?$/.exec(path) ?? []
  switch (name) {
    case 'search':
      return rest === undefined ? { page: 'search', query: parameters.get('q') ?? '' } : unknown
    case 'symbol':
      return rest ? { page: 'symbol', id: rest } : unknown
    case 'file':
      return rest ? { page: 'file', path: rest } : unknown
    case 'files':
      return rest === undefined ? { page: 'files' } : unknown
    case 'cluster':
      return rest !== undefined && /^\d{1,9}$/.test(rest) ? { page: 'cluster', id: Number(rest) } : unknown
    case 'map':
      if (rest !== undefined) return unknown
      return {
        page: 'map',
        by: parameters.get('by') === 'folders' ? 'folders' : 'clusters',
        folder: parameters.get('folder') ?? '',
      }
    case 'graph':
      if (!rest) return unknown
      return {
        page: 'graph',
        id: rest,
        hops: parameters.get('hops') === '2' ? 2 : 1,
        guesses: parameters.get('guesses') === '1',
      }
    case 'list':
      return rest !== undefined && LISTS.includes(rest) ? { page: 'list', list: rest as ListName } : unknown
    default:
      return unknown
  }
}
