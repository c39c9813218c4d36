/**
 * Search by names and by words of summaries. Pure: takes a model and summaries, returns nodes.
 *
 * Names, their camelCase and snake_case parts, what they stand in, paths and summaries are cut into words; an index leads
 * from each word to nodes. A term of a query matches words that equal it, begin with it, hold it, or, where there is
 * little else, differ from it by one error (uFuzzy looks for these among the words). Every term has to match; where no
 * node has them all, those that have most are found. Leaves out the markup of results (`pages/search.tsx`).
 */
import uFuzzy from '@leeoniya/ufuzzy'
import { isStopWord, partsOfName, squash, stem, wordsOfPath, wordsOfText } from '../words.js'
import type { Model } from './model.js'

/** How well a term matches: by the place of the word (a row) and by how the word is matched (a column). */
const QUALITY = {
  //            exact, prefix, stem, inside, typo
  name: [100, 70, 45, 35, 28],
  part: [60, 45, 35, 0, 22],
  around: [40, 30, 20, 0, 12],
  aroundPart: [34, 26, 16, 0, 10],
  path: [25, 18, 10, 0, 8],
  summary: [14, 10, 10, 0, 4],
} as const
type Place = keyof typeof QUALITY
const PLACES = Object.keys(QUALITY) as Place[]
const PLACE_BITS = 3
const PLACE_MASK = (1 << PLACE_BITS) - 1

const EXACT = 0
const PREFIX = 1
const STEM = 2
const INSIDE = 3
const TYPO = 4

/** A longer part of the word in a prefix is better: up to this much. */
const PREFIX_BONUS = 15
const MAX_TERMS = 8
const MAX_KEPT_MATCHES = 24
const MAX_SCORE = 1_200
const MAX_TERM_CHARACTERS = 64
const MAX_WORD_CHARACTERS = 100
const MAX_SUMMARY_CHARACTERS = 5_000
const MIN_INSIDE_CHARACTERS = 3
const MIN_TYPO_CHARACTERS = 4
/** Looking for errors in longer words could take seconds where a pack has many of them. */
const MAX_TYPO_CHARACTERS = 30
/** With fewer results, words with an error are looked at too. */
const FEW = 10
const MAX_CENTRALITY_BONUS = 90
const TEST_PENALTY = 150
const MODULE_PENALTY = 20
const LITERAL_BONUS = 60
/** Of the best, so many more than asked for are looked at for their literal names. */
const LOOKED_AT = 200

/** Words, each with the rows it leads to. A row is a node and the place of the word there. */
class Words {
  readonly list: string[] = []
  readonly rows: number[][] = []
  private readonly places = new Map<string, number>()

  add(word: string, node: number, place: Place): void {
    if (word === '' || word.length > MAX_WORD_CHARACTERS) return
    let at = this.places.get(word)
    if (at === undefined) {
      at = this.list.length
      this.places.set(word, at)
      this.list.push(word)
      this.rows.push([])
    }
    this.rows[at]!.push((node << PLACE_BITS) | PLACES.indexOf(place))
  }

  /**
   * The places in `list` of the words that differ from `wanted` by one error, or begin with what does. uFuzzy has the
   * first letter right always, so that only words that begin with it are given to it.
   */
  withOneError(wanted: string): number[] {
    const isFit = wanted.length >= MIN_TYPO_CHARACTERS && wanted.length <= MAX_TYPO_CHARACTERS
    if (!isFit || !/^[a-z]+$/.test(wanted)) return []
    const candidates: number[] = []
    this.list.forEach((word, at) => {
      if (word[0] === wanted[0] && word.length >= wanted.length - 1) candidates.push(at)
    })
    const found = FUZZY.filter(this.list, wanted, candidates)
    return found === null || found.length === 0 ? [] : FUZZY.info(found, this.list, wanted).idx
  }
}

/** One term of a query: as it is, and its parts where it has several. */
interface Term {
  whole: string
  parts: string[]
}

export interface Query {
  text: string
  terms: Term[]
  /** All of it as one name: "get adapter" may mean get_adapter. */
  joined: string
}

export function readQuery(text: string): Query {
  const raw = text
    .slice(0, 1_000)
    .split(/[^\p{L}\p{M}\p{N}_$]+/u)
    .map((term) => term.slice(0, MAX_TERM_CHARACTERS))
    .filter((term) => squash(term) !== '')
  const meaningful = raw.length > 2 ? raw.filter((term) => !isStopWord(term)) : raw
  const terms = (meaningful.length > 0 ? meaningful : raw).slice(0, MAX_TERMS).map((term) => {
    const parts = partsOfName(term)
    return { whole: squash(term), parts: parts.length > 1 ? parts : [] }
  })
  return { text: text.trim(), terms, joined: terms.length > 1 ? terms.map((term) => term.whole).join('') : '' }
}

export interface Results {
  /** The best nodes, the best first. */
  nodes: number[]
  /** How many there are in all. */
  total: number
  /** Words to mark in what is shown, in lower case. */
  words: string[]
}

/** What a word of a query matches. */
interface Match {
  /** The quality for each node; 0 where it does not match. */
  best: Uint8Array
  /** Words to mark. */
  marked: string[]
  /** Whether the word itself is in the index. */
  isThere: boolean
}

const NOTHING: Results = { nodes: [], total: 0, words: [] }

// One error in a word: a letter too many, too few, another, or two in the wrong order; words are matched from their start.
const FUZZY = new uFuzzy({ intraMode: 1, interLft: 2 })

export class SearchIndex {
  private readonly names = new Words()
  private readonly summaries = new Words()
  private readonly paths: Words = new Words()

  private readonly matches = new Map<string, Match>()
  /** What has been cut into words before: many names are those of others, or stand around others. */
  private readonly cutNames = new Map<string, Term>()

  constructor(private readonly model: Model) {
    for (let node = 0; node < model.size; node += 1) this.addName(node)
    model.names.files.forEach((file, place) => {
      for (const word of wordsOfPath(file.path)) this.paths.add(word, place, 'path')
    })
    this.cutNames.clear()
  }

  private addName(node: number): void {
    const local = this.model.name(node).slice(0, 1_000).replace(/#\d+$/, '')
    const around = local.split('.')
    const name = this.model.isModule(node) ? (around.shift() ?? '') : (around.pop() ?? '')
    this.addWords(name, node, 'name', 'part')
    if (!this.model.isModule(node)) for (const outer of around) this.addWords(outer, node, 'around', 'aroundPart')
  }

  private addWords(name: string, node: number, whole: Place, part: Place): void {
    let cut = this.cutNames.get(name)
    if (cut === undefined) {
      const parts = new Set(partsOfName(name))
      cut = { whole: squash(name), parts: parts.size > 1 ? [...parts] : [] }
      this.cutNames.set(name, cut)
    }
    this.names.add(cut.whole, node, whole)
    for (const word of cut.parts) this.names.add(word, node, part)
  }

  /** Add the summaries of the nodes from `first` to before `last`; in pieces, so that a page can breathe between them. */
  addSummaries(summaries: readonly (string | null)[], first: number, last: number): void {
    this.matches.clear()
    for (let node = first; node < Math.min(last, summaries.length); node += 1) {
      const summary = summaries[node]?.slice(0, MAX_SUMMARY_CHARACTERS) ?? ''
      for (const word of wordsOfText(summary)) this.summaries.add(word, node, 'summary')
    }
  }

  search(text: string, max: number): Results {
    const query = readQuery(text)
    if (query.terms.length === 0) return NOTHING
    const exact = this.evaluate(query, max, false)
    return exact.total < FEW ? this.evaluate(query, max, true) : exact
  }

  private evaluate(query: Query, max: number, withTypos: boolean): Results {
    const { size } = this.model
    const marked = new Set<string>()
    const sums = new Uint16Array(size)
    const matched = new Uint8Array(size)
    for (const term of query.terms) {
      const best = this.matchTerm(term, withTypos, marked)
      for (let node = 0; node < size; node += 1) {
        if (best[node] === 0) continue
        sums[node]! += best[node]!
        matched[node]! += 1
      }
    }
    const terms = query.terms.length
    if (query.joined !== '') {
      const joined = this.matchWord(query.joined, false).best
      marked.add(query.joined)
      for (let node = 0; node < size; node += 1) {
        // Only as a name of its own, not as the name of something around it.
        if (joined[node]! < QUALITY.name[PREFIX]) continue
        matched[node] = terms
        sums[node] = Math.max(sums[node]!, joined[node]! * terms)
      }
    }
    const { keys, total } = this.best(terms, sums, matched, max + LOOKED_AT)
    return { nodes: this.literalFirst(keys, query.text).slice(0, max), total, words: [...marked] }
  }

  /** The best nodes that have all terms, or, where none has, most of them; as [score, node], the best first. */
  private best(
    terms: number,
    sums: Uint16Array,
    matched: Uint8Array,
    max: number,
  ): { keys: [number, number][]; total: number } {
    const { size } = this.model
    let most = 0
    for (let node = 0; node < size; node += 1) most = Math.max(most, matched[node]!)
    if (most * 2 < terms || most === 0) return { keys: [], total: 0 }
    const scores = new Int32Array(size).fill(-1)
    const counts = new Uint32Array(MAX_SCORE + 1)
    let total = 0
    for (let node = 0; node < size; node += 1) {
      if (matched[node] !== most) continue
      const score = Math.round((sums[node]! * 10) / terms + this.bonus(node))
      scores[node] = Math.max(0, Math.min(MAX_SCORE, score))
      counts[scores[node]!]! += 1
      total += 1
    }
    // The lowest score among the best: so only these are sorted, not all that begin with "s".
    let lowest = MAX_SCORE
    for (let above = counts[lowest]!; lowest > 0 && above < max; above += counts[lowest]!) lowest -= 1
    const keys: [number, number][] = []
    for (let node = 0; node < size; node += 1) if (scores[node]! >= lowest) keys.push([scores[node]!, node])
    return { keys: keys.sort(bestFirst).slice(0, max), total }
  }

  /** The nodes, those first that are named by the very letters of the query. */
  private literalFirst(keys: [number, number][], text: string): number[] {
    const lower = text.toLowerCase()
    const raised = keys.map(([score, node]): [number, number] => {
      const name = this.model.shortName(node).replace(/#\d+$/, '')
      const bonus = name === text ? LITERAL_BONUS : name.toLowerCase() === lower ? LITERAL_BONUS / 2 : 0
      return [score + bonus, node]
    })
    return raised.sort(bestFirst).map(([, node]) => node)
  }

  private bonus(node: number): number {
    return (
      MAX_CENTRALITY_BONUS * Math.sqrt(this.model.centrality(node) / 1000) -
      (this.model.isTest(node) ? TEST_PENALTY : 0) -
      (this.model.isModule(node) ? MODULE_PENALTY : 0)
    )
  }

  /** How well a term matches each node: as a whole, or by the worst of its parts. */
  private matchTerm(term: Term, withTypos: boolean, marked: Set<string>): Uint8Array {
    const matches = [term.whole, ...term.parts].map((word) => this.matchWord(word, withTypos))
    for (const match of matches) for (const word of match.marked) marked.add(word)
    const [whole, ...parts] = matches.map((match) => match.best)
    if (parts.length === 0) return whole!
    return whole!.map((quality, node) => {
      let worst = 255
      for (const part of parts) if (part[node]! < worst) worst = part[node]!
      return Math.max(quality, worst)
    })
  }

  /** How well a word matches each node. What was found for the words of the last queries is kept: a query grows. */
  private matchWord(wanted: string, withTypos: boolean): Match {
    const key = withTypos ? `${wanted}~` : wanted
    let match = this.matches.get(key)
    if (match === undefined) {
      match = withTypos ? this.withTypos(wanted, this.matchWord(wanted, false)) : this.withoutTypos(wanted)
      if (this.matches.size >= MAX_KEPT_MATCHES) this.matches.delete(this.matches.keys().next().value!)
      this.matches.set(key, match)
    }
    return match
  }

  private withoutTypos(wanted: string): Match {
    const match: Match = { best: new Uint8Array(this.model.size), marked: [wanted], isThere: false }
    // One letter begins too many words to say anything.
    const everywhere = wanted.length > 1 ? [this.names, this.paths, this.summaries] : [this.names]
    const beginning = stem(wanted)
    for (const words of everywhere) {
      const isName = words === this.names
      for (let at = 0; at < words.list.length; at += 1) {
        const word = words.list[at]!
        if (word.startsWith(wanted)) {
          if (word.length === wanted.length) {
            match.isThere = true
            this.follow(words, at, EXACT, 0, match.best)
          } else {
            const bonus = isName ? Math.round((PREFIX_BONUS * wanted.length) / word.length) : 0
            this.follow(words, at, PREFIX, bonus, match.best)
          }
        } else if (word.startsWith(beginning) && word.length <= wanted.length + 3) {
          this.follow(words, at, STEM, 0, match.best)
          match.marked.push(word)
        } else if (isName && wanted.length >= MIN_INSIDE_CHARACTERS && word.includes(wanted)) {
          this.follow(words, at, INSIDE, 0, match.best)
        }
      }
    }
    return match
  }

  /** Add the words with one error, unless the word is there as it was typed. */
  private withTypos(wanted: string, exact: Match): Match {
    if (exact.isThere) return exact
    const match: Match = { best: exact.best.slice(), marked: [...exact.marked], isThere: false }
    for (const words of [this.names, this.paths, this.summaries]) {
      for (const at of words.withOneError(wanted)) {
        this.follow(words, at, TYPO, 0, match.best)
        match.marked.push(words.list[at]!)
      }
    }
    return match
  }

  /** Note the quality of a match with a word for all nodes that the word leads to. */
  private follow(words: Words, at: number, how: number, bonus: number, best: Uint8Array): void {
    for (const row of words.rows[at]!) {
      const quality = QUALITY[PLACES[row & PLACE_MASK]!][how]! + bonus
      if (quality === bonus) continue
      const target = row >> PLACE_BITS
      if (words !== this.paths) {
        if (quality > best[target]!) best[target] = quality
        continue
      }
      this.model.forNodesOfFile(target, (node) => {
        if (quality > best[node]!) best[node] = quality
      })
    }
  }
}

function bestFirst(left: [number, number], right: [number, number]): number {
  return right[0] - left[0] || left[1] - right[1]
}
