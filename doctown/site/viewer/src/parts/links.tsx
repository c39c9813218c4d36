/** How symbols, files and lines are named and linked everywhere. */
import type { ComponentChildren } from 'preact'
import type { Model } from '../data/model.js'
import type { Kind as KindName } from '../data/shards.js'
import { hrefOf } from '../routes.js'
import { shown, shownName, webAddress } from '../text.js'
import { marks } from '../words.js'
import { useSite } from './context.js'

export const MAX_SUMMARY_IN_LIST = 300

/** A text with the words in it marked. */
export function Marked({ text, words }: { text: string; words: readonly string[] | undefined }) {
  if (words === undefined || words.length === 0) return <>{text}</>
  return <>{marks(text, words).map(([part, isMarked], place) => (isMarked ? <mark key={place}>{part}</mark> : part))}</>
}

/** A name that may be broken over lines where its parts meet, so that long ones fit a phone. */
export function Name({ name, words }: { name: string; words?: readonly string[] }) {
  const parts = shownName(name).split(/(?<=[./_])(?=[^./_])/)
  return (
    <code class="name">
      {words === undefined ? (
        parts.map((part, place) => [place > 0 && <wbr />, part])
      ) : (
        <Marked text={shownName(name)} words={words} />
      )}
    </code>
  )
}

export function Kind({ kind }: { kind: KindName }) {
  return <span class={`kind kind-${kind}`}>{kind}</span>
}

export function symbolHref(model: Model, node: number): string {
  return hrefOf({ page: 'symbol', id: model.idInAddress(node) })
}

export function SymbolLink(props: { model: Model; node: number; name?: string; words?: readonly string[] }) {
  const { model, node, name = model.name(node), words } = props
  return (
    <a href={symbolHref(model, node)}>
      <Name name={name} {...(words ? { words } : {})} />
    </a>
  )
}

export function FileLink({ path, words }: { path: string; words?: readonly string[] }) {
  return (
    <a class="file" href={hrefOf({ page: 'file', path })}>
      <Name name={path} {...(words ? { words } : {})} />
    </a>
  )
}

/** A link out of the site, or its text alone where the address is not one of the web. */
export function WebLink({ address, children }: { address: string | null; children: ComponentChildren }) {
  const href = webAddress(address)
  return href === null ? (
    <>{children}</>
  ) : (
    <a class="web" href={href} rel="noreferrer noopener">
      {children}
    </a>
  )
}

/** "lines 3–9" of a file, linked to the commit where there is an address. */
export function Lines({ model, file, start, end }: { model: Model; file: number; start: number; end: number }) {
  return (
    <WebLink address={model.sourceAddress(file, start, end)}>
      {start === end ? `line ${start}` : `lines ${start}–${end}`}
    </WebLink>
  )
}

/** What is said of a symbol beside its name. */
export function Flags({ model, node }: { model: Model; node: number }) {
  return (
    <>
      {model.isTest(node) && <span class="flag">test</span>}
      {model.isFailed(node) && <span class="flag flag-bad">failed</span>}
      {model.isStale(node) && <span class="flag flag-bad">stale</span>}
    </>
  )
}

/** A symbol in a list: kind, name, file, and the summary where it is there already. */
export function SymbolLine(props: {
  model: Model
  node: number
  name?: string
  withFile?: boolean
  words?: readonly string[]
  children?: ComponentChildren
}) {
  const { model, node, withFile = true, words, children } = props
  const { summaries } = useSite()
  const summary = summaries?.summaries[node]
  return (
    <div class="row">
      <div class="row-head">
        <Kind kind={model.kind(node)} />
        <SymbolLink
          model={model}
          node={node}
          {...(props.name === undefined ? {} : { name: props.name })}
          {...(words ? { words } : {})}
        />
        <Flags model={model} node={node} />
        {withFile && (
          <span class="where">
            <Name name={model.path(node)} {...(words ? { words } : {})} />
          </span>
        )}
        {children}
      </div>
      {typeof summary === 'string' && (
        <p class="summary">
          <Marked text={shown(summary, MAX_SUMMARY_IN_LIST)} words={words} />
        </p>
      )}
    </div>
  )
}
