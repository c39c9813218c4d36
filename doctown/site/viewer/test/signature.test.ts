import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ComponentChildren, VNode } from 'preact'

import { MAX_HIGHLIGHTED, highlighted } from '../src/parts/signature.js'

/** The texts of the elements, each after its class. */
function flat(children: ComponentChildren, className = ''): [className: string, text: string][] {
  if (Array.isArray(children)) return children.flatMap((child) => flat(child as ComponentChildren, className))
  if (typeof children === 'string') return [[className, children]]
  const { props } = children as VNode<{ class?: string; children?: ComponentChildren }>
  return flat(props.children, props.class)
}

const SIGNATURES: Record<string, string> = {
  bash: 'function greet() {',
  c: 'static int add(const char *name, int count)',
  cpp: 'template <typename T> class Box',
  csharp: 'public async Task<int> Run(string name = "x")',
  go: 'func (s *Store) Load(path string) ([]byte, error)',
  java: 'public static <T> List<T> of(T first)',
  javascript: 'export async function load(path = "x")',
  kotlin: 'fun greet(name: String): Int',
  lua: 'local function greet(name)',
  php: 'public function greet(string $name): int',
  python: 'async def load(path: str = "x", *, limit: int = 10) -> list[str]',
  ruby: 'def greet(name = "x")',
  rust: 'pub fn load<T>(path: &str) -> Result<T>',
  scala: 'def greet(name: String): Int',
  svelte: 'export function load(path: string): number',
  swift: 'func greet(name: String) -> Int',
  typescript: 'export function load(path: string): number',
  vue: 'const load = (path: string): number',
}

test('signatures of all languages that are parsed are highlighted, and keep their text', () => {
  for (const [language, text] of Object.entries(SIGNATURES)) {
    const parts = flat(highlighted(text, language))
    assert.equal(parts.map(([, part]) => part).join(''), text, language)
    assert.ok(
      parts.some(([className]) => /hljs-(keyword|type)/.test(className)),
      language,
    )
  }
})

test('other languages, no language and long texts are shown as they are', () => {
  assert.equal(highlighted('def f()', null), 'def f()')
  assert.equal(highlighted('def f()', 'toString'), 'def f()')
  const long = `def f(${'x'.repeat(MAX_HIGHLIGHTED)})`
  assert.equal(highlighted(long, 'python'), long)
})

test('markup in a signature is text', () => {
  const text = 'def f(x="<script>alert(1)</script>")'
  assert.equal(
    flat(highlighted(text, 'python'))
      .map(([, part]) => part)
      .join(''),
    text,
  )
})
