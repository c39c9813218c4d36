"""Find the answers of a request that are under another symbol's key, by log-odds over word stems."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import log

from generation.checks.languages import stems
from generation.domain.context import SymbolContext

# The words of a symbol and their weights, which add up to 1.
Fingerprint = Mapping[str, float]

_FINGERPRINT_SOURCE_CHARS = 20_000
# Mixture weights: nine in ten words of a summary are its symbol's, the others the request's; half or twice did as well.
_OWN_TO_COMMON = 9.0
_COMMON = 0.1
# Minimum evidence for a swap, as log-odds: 2.7 is fifteen to one. Of right answers 2 % (requests) and 4 % (standard
# library) have more, of swapped ones 91 and 80 %.
_MISPLACED_FROM = 2.7
# If one answer was given twice, the other symbol has its right answer: that is weak evidence against a swap.
_MAX_COUNTER_EVIDENCE = 0.5


def fingerprint(context: SymbolContext) -> Fingerprint:
    """Return a symbol's words and their weights, which add up to 1, to compare summaries with.

    The words are stems of its name, id, signature, calls, docstring and source. Each of these parts weighs the same and
    divides its weight equally among its words: no other weights did better when measured.
    """
    texts = (context.name, context.symbol_id, context.signature, " ".join(context.calls), context.docstring)
    parts = [stems(text[:_FINGERPRINT_SOURCE_CHARS]) for text in (*texts, context.source_code) if text]
    parts = [words for words in parts if words]
    weights: dict[str, float] = defaultdict(float)
    for words in parts:
        share = 1 / (len(words) * len(parts))
        for word in words:
            weights[word] += share
    return dict(weights)


def find_misplaced(answers: Sequence[tuple[Fingerprint, str]]) -> tuple[bool, ...]:
    """Return for each answer of a request whether its summary belongs to another symbol of the request.

    An answer is a symbol's fingerprint and its summary. A summary is misplaced if swapping it with that of another
    symbol makes the two summaries fit much better together.
    """
    fits = _fits(answers)
    return tuple(_is_misplaced(place, fits) for place in range(len(answers)))


def _fits(answers: Sequence[tuple[Fingerprint, str]]) -> list[list[float]]:
    """Return how well each summary (row) fits each symbol (column), as log-odds in which rare words count most."""
    usual: dict[str, float] = defaultdict(float)
    for weights, _ in answers:
        for word, weight in weights.items():
            usual[word] += weight / len(answers)
    return [[_fit(words, weights, usual) for weights, _ in answers] for words in (stems(text) for _, text in answers)]


def _fit(words: set[str], weights: Fingerprint, usual: Fingerprint) -> float:
    return sum(log(1 + _OWN_TO_COMMON * weights[word] / (usual[word] + _COMMON)) for word in words if word in weights)


def _is_misplaced(place: int, fits: Sequence[Sequence[float]]) -> bool:
    own = fits[place]
    for other, theirs in enumerate(fits):
        gain = own[other] - own[place]
        gain_of_other = theirs[place] - theirs[other]
        if other != place and gain + max(gain_of_other, -_MAX_COUNTER_EVIDENCE) > _MISPLACED_FROM:
            return True
    return False
