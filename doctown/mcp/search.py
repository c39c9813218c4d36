"""Search over the symbols of a pack: by the words of their names, prefixes, typing errors, and words of summaries."""

from __future__ import annotations

import bisect
import difflib
from collections import defaultdict
from collections.abc import Mapping, Sequence

from doctown.docpack.schema import Node, is_module
from doctown.embedding.text import split_words

# What a word of the query counts for where a symbol has it: in its name, in its summary. A prefix counts half.
IN_NAME, IN_SUMMARY = 10.0, 3.0
WHOLE_NAME = 100.0
# A word is read as a prefix from so many letters on, and a word that is nowhere as one that is as similar as this.
MIN_PREFIX = 2
MIN_SIMILARITY = 0.75
# A word that is nowhere is compared with all words of the pack: some 0.2 s in a large one.
MAX_QUERY_WORDS = 20


class SearchIndex:
    """The words of a pack's symbols, each with the symbols that have it."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._nodes = [node for node in nodes if not is_module(node)]
        weights: defaultdict[str, dict[int, float]] = defaultdict(dict)
        for place, node in enumerate(self._nodes):
            documentation = node["documentation"]
            text = documentation["summary"] if documentation is not None else node["docstring"] or ""
            for word in split_words(text):
                weights[word][place] = IN_SUMMARY
            for word in split_words(node["qualified_name"]):
                weights[word][place] = IN_NAME
        self._weights: Mapping[str, Mapping[int, float]] = weights
        self._words = sorted(weights)

    def find(self, query: str) -> list[Node]:
        """Return the symbols that have words of the query: most words first, tests last, then by weight.

        Of a long query the first MAX_QUERY_WORDS words count.
        """
        words = list(dict.fromkeys(split_words(query)))[:MAX_QUERY_WORDS]
        found = [self._found(word) for word in words]
        places = {place for one in found for place in one}
        wanted = query.strip().lower()

        def rank(place: int) -> tuple[int, bool, float, int, float, str]:
            node = self._nodes[place]
            weights = [one[place] for one in found if place in one]
            is_named = wanted in {node["name"].lower(), node["qualified_name"].lower()}
            weight = sum(weights) + WHOLE_NAME * is_named
            dots = node["qualified_name"].count(".")
            return -len(weights), node["is_test"], -weight, dots, -node["centrality"], node["id"]

        return [self._nodes[place] for place in sorted(places, key=rank)]

    def _found(self, word: str) -> Mapping[int, float]:
        """Return the weight of each symbol that has a word, or one that begins with it, else one that is similar."""
        found: dict[int, float] = {}
        for similar in [*self._with_prefix(word), word]:
            share = 1.0 if similar == word else 0.5
            for place, weight in self._weights.get(similar, {}).items():
                found[place] = max(found.get(place, 0.0), weight * share)
        if found:
            return found
        for similar in difflib.get_close_matches(word, self._words, 3, MIN_SIMILARITY):
            for place, weight in self._weights[similar].items():
                found[place] = max(found.get(place, 0.0), weight / 4)
        return found

    def _with_prefix(self, word: str) -> Sequence[str]:
        if len(word) < MIN_PREFIX:
            return ()
        start = bisect.bisect_left(self._words, word)
        return self._words[start : bisect.bisect_left(self._words, f"{word}\U0010ffff")]
