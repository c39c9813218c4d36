import assert from 'node:assert/strict'
import { test } from 'node:test'
import { dollars, shown, shownName, sourceAddress, webAddress } from '../src/text.js'

test('a long text is cut, never in the middle of a character', () => {
  assert.equal(shown('x'.repeat(1_000_000), 10), `${'x'.repeat(9)}…`)
  assert.equal(shown(`${'x'.repeat(8)}😀yy`, 10), `${'x'.repeat(8)}…`)
})

test('characters that change what is seen are replaced', () => {
  assert.equal(shown('a\u202eb\u2066c\u0000d\u200fe\tf\ng'), 'a\ufffdb\ufffdc\ufffdd\ufffde\tf\ng')
  assert.equal(shownName('a\nb'), 'a\ufffdb')
})

test('only addresses of the web are linked', () => {
  assert.equal(webAddress('https://example.org/a?b#c'), 'https://example.org/a?b#c')
  for (const address of [
    'javascript:alert(1)',
    'javascript://x.org/%0aalert(1)',
    ' https://x.org',
    'data:text/html,x',
    '//x.org',
    'https://x.org/"><script>',
    null,
  ]) {
    assert.equal(webAddress(address), null)
  }
})

test('the address of lines has the path percent-encoded, and braces in a path stay', () => {
  const template = 'https://x.org/{path}#L{start_line}-L{end_line}'
  assert.equal(
    sourceAddress(template, "a b/(c)'{start_line}.py", 1, 2),
    'https://x.org/a%20b/%28c%29%27%7Bstart_line%7D.py#L1-L2',
  )
  assert.equal(sourceAddress('javascript:{path}', 'a', 1, 2), null)
  assert.equal(sourceAddress(null, 'a', 1, 2), null)
})

test('a template that names a long path a million times makes no address', () => {
  assert.equal(sourceAddress(`https://x.org/${'{path}'.repeat(1_000_000)}`, 'x'.repeat(1_000), 1, 2), null)
  assert.equal(sourceAddress(`https://x.org/${'{path}'.repeat(100)}`, 'x'.repeat(1_000_000), 1, 2), null)
})

test('small amounts keep their digits', () => {
  assert.deepEqual([0, 0.00042, 0.5, 12].map(dollars), ['$0', '$0.00042', '$0.50', '$12.00'])
})
