/**
 * A signature with its syntax highlighted, for the languages that are parsed. lowlight gives a tree of plain nodes, which
 * become elements here: no HTML is made of a pack's text.
 */
import type { ElementContent, RootContent } from 'hast'
import bash from 'highlight.js/lib/languages/bash'
import c from 'highlight.js/lib/languages/c'
import cpp from 'highlight.js/lib/languages/cpp'
import csharp from 'highlight.js/lib/languages/csharp'
import go from 'highlight.js/lib/languages/go'
import java from 'highlight.js/lib/languages/java'
import javascript from 'highlight.js/lib/languages/javascript'
import kotlin from 'highlight.js/lib/languages/kotlin'
import lua from 'highlight.js/lib/languages/lua'
import php from 'highlight.js/lib/languages/php'
import python from 'highlight.js/lib/languages/python'
import ruby from 'highlight.js/lib/languages/ruby'
import rust from 'highlight.js/lib/languages/rust'
import scala from 'highlight.js/lib/languages/scala'
import swift from 'highlight.js/lib/languages/swift'
import typescript from 'highlight.js/lib/languages/typescript'
import { createLowlight } from 'lowlight'
import type { ComponentChildren } from 'preact'
import { useMemo } from 'preact/hooks'
import { shown } from '../text.js'

/** Longer texts are shown as they are: what highlights them looks at them again and again. */
export const MAX_HIGHLIGHTED = 2_000

const GRAMMARS = {
  bash,
  c,
  cpp,
  csharp,
  go,
  java,
  javascript,
  kotlin,
  lua,
  php,
  python,
  ruby,
  rust,
  scala,
  swift,
  typescript,
}
/** The scripts in these files are highlighted as TypeScript. */
const WITH_SCRIPTS: readonly string[] = ['svelte', 'vue']

let lowlight: ReturnType<typeof createLowlight> | null = null

/** The signature of a symbol; `language` is the one of its file. */
export function Signature({ text, language }: { text: string; language: string | null }) {
  const children = useMemo(() => highlighted(shown(text), language), [text, language])
  return (
    <pre class="signature">
      <code>{children}</code>
    </pre>
  )
}

/** The text as elements with the classes of highlight.js; as it is where its language is not known or it is too long. */
export function highlighted(text: string, language: string | null): ComponentChildren {
  const name = language !== null && WITH_SCRIPTS.includes(language) ? 'typescript' : language
  if (name === null || !Object.hasOwn(GRAMMARS, name) || text.length > MAX_HIGHLIGHTED) return text
  lowlight ??= createLowlight(GRAMMARS)
  return lowlight.highlight(name, text).children.map(shownNode)
}

function shownNode(node: RootContent | ElementContent, key: number): ComponentChildren {
  if (node.type === 'text') return node.value
  if (node.type !== 'element') return null
  const { className } = node.properties
  return (
    <span key={key} class={Array.isArray(className) ? className.join(' ') : undefined}>
      {node.children.map(shownNode)}
    </span>
  )
}
