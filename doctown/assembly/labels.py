"""Names for clusters: the words that many of their symbols have and few others, by TF-IDF.

A symbol counts once for a word, however often it has it. Raw code is left out: it gives "str def return" where names
and docstrings give "markdown text pretty"; summaries, where there are any, add to them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Sequence

from doctown.embedding.text import first_paragraph, split_words

TERMS = 8
WORDS_IN_LABEL = 3
MIN_WORD_CHARS = 3


def label_words(qualified_name: str, docstring: str | None, summary: str | None = None) -> frozenset[str]:
    """Return the words of a symbol that can name its cluster."""
    return frozenset(split_words(f"{qualified_name}\n{first_paragraph(docstring or '')}\n{summary or ''}"))


def cluster_terms(
    words: Sequence[Collection[str]], clusters: Sequence[int], stop_words: Collection[str], count: int = TERMS
) -> list[tuple[str, ...]]:
    """Return the terms of each cluster (0, 1, ...), the most telling first.

    `words` are distinct words of each symbol, `clusters` the cluster of each, -1 for none. A word's weight in a cluster
    is the share of the cluster's symbols that have it, times ln(1 + symbols / symbols that have it). Short words, words
    with no letters, and the plural of a word that is there already are left out.
    """
    sizes = Counter(clusters)
    with_word = Counter(word for of_symbol in words for word in of_symbol)
    in_cluster: list[Counter[str]] = [Counter() for _ in range(max(clusters, default=-1) + 1)]
    for of_symbol, cluster in zip(words, clusters, strict=True):
        if cluster >= 0:
            in_cluster[cluster].update(of_symbol)
    terms = []
    for cluster, counts in enumerate(in_cluster):
        weights = {
            word: symbols / sizes[cluster] * math.log(1 + len(words) / with_word[word])
            for word, symbols in counts.items()
            if len(word) >= MIN_WORD_CHARS and not word.isdigit() and word not in stop_words
        }
        terms.append(_without_plurals(sorted(weights, key=lambda word: (-weights[word], word)), count))
    return terms


def cluster_labels(terms: Sequence[Sequence[str]]) -> list[str]:
    """Return a label for each cluster: its first three terms, more where another has the same, or its number."""
    labels: list[str] = []
    for number, of_cluster in enumerate(terms):
        candidates = [" ".join(of_cluster[:length]) for length in range(WORDS_IN_LABEL, len(of_cluster) + 1)]
        candidates += [" ".join(of_cluster)] if of_cluster else []
        labels.append(next((label for label in candidates if label not in labels), f"cluster {number}"))
    return labels


def _without_plurals(ranked: Sequence[str], count: int) -> tuple[str, ...]:
    """Return the first words, without those that differ from one before by an s at the end."""
    chosen: dict[str, str] = {}
    for word in ranked:
        chosen.setdefault(word.removesuffix("s"), word)
        if len(chosen) == count:
            break
    return tuple(chosen.values())
