/** How names, paths and texts are cut into words, and where words are marked in them. Pure. */

const WORD_OF_NAME = /\p{Lu}+(?!\p{Ll})|\p{Lu}?[\p{Ll}\p{Lo}\p{Lm}\p{M}]+|\p{N}+/gu
const SEPARATORS = /[^\p{L}\p{M}\p{N}]+/u
const WORDS_OF_TEXT = /[\p{L}\p{M}\p{N}]{2,}/gu
// What a question has beside the words that are looked for.
const STOP_WORDS = new Set(
  (
    'a an and are as at be by class do does for from function has have how in into is it its method of on or that the ' +
    'their this to what when where which who with'
  ).split(' '),
)

/** The parts of a name in lower case: "HTTPAdapter_get2" gives http, adapter, get, 2. */
export function partsOfName(name: string): string[] {
  return name.match(WORD_OF_NAME)?.map((part) => part.toLowerCase()) ?? []
}

/** The name in lower case without `_`, `$` and the like, so that get_adapter and getAdapter are the same. */
export function squash(name: string): string {
  return name.split(SEPARATORS).join('').toLowerCase()
}

/** The beginning of a word that its other forms have too: parse, parses, parsed and parsing give "pars". */
export function stem(word: string): string {
  if (word.length < 5) return word
  const base = word.replace(/(?:ing|ies|ed|es|s|e|y)$/, '')
  return base === word ? word : base.replace(/([bdgmnprt])\1$/, '$1') // splitting: split
}

/** The names of folders and of the file, and their parts. */
export function wordsOfPath(path: string): Set<string> {
  const words = new Set<string>()
  for (const part of path.slice(0, 2_000).split(/[^\p{L}\p{M}\p{N}_]+/u)) {
    words.add(squash(part))
    for (const word of partsOfName(part)) words.add(word)
  }
  return words
}

/** The words of a text that say something, each once, in lower case. */
export function wordsOfText(text: string): Set<string> {
  const words = text.toLowerCase().match(WORDS_OF_TEXT) ?? []
  return new Set(words.filter((word) => !STOP_WORDS.has(word)))
}

export function isStopWord(word: string): boolean {
  return STOP_WORDS.has(word.toLowerCase())
}

/** Cut a text where the marked words stand in it: `[text, isMarked]`. Words may be spread over `_` and the like. */
export function marks(text: string, words: readonly string[]): [string, boolean][] {
  const lower = text.toLowerCase()
  // A letter whose lower case has another length would move all that follows.
  if (lower.length !== text.length) return [[text, false]]
  const squashed = squash(text)
  const there = words.filter((word) => word !== '' && squashed.includes(word))
  if (there.length === 0) return text === '' ? [] : [[text, false]]
  const letters: number[] = []
  let place = 0
  for (const character of lower) {
    for (let unit = 0; unit < character.length; unit += 1) if (!SEPARATORS.test(character)) letters.push(place + unit)
    place += character.length
  }
  const isMarked = new Uint8Array(text.length)
  for (const word of there) {
    for (let at = squashed.indexOf(word); at >= 0; at = squashed.indexOf(word, at + word.length)) {
      isMarked.fill(1, letters[at]!, letters[at + word.length - 1]! + 1)
    }
  }
  const cut: [string, boolean][] = []
  for (let from = 0, at = 1; at <= text.length; at += 1) {
    if (at < text.length && isMarked[at] === isMarked[from]) continue
    cut.push([text.slice(from, at), isMarked[from] === 1])
    from = at
  }
  return cut
}
