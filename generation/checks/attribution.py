"""Finds, among all answers of a request, those that stand under another symbol's key."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import log

from generation.checks.languages import stems
from generation.domain.context import SymbolContext

Fingerprint = Mapping[str, float]

_FINGERPRINT_SOURCE_CHARS = 20_000
# A symbol speaks its own words nine times in ten and the request's tenth; half or twice that did as well.
_OWN_TO_COMMON = 9.0
_COMMON = 0.1
# The evidence for a swap, in logarithms of odds: 2.7 is fifteen to one. Of right answers 2 % (requests) and 4 %
# (standard library) have more, of swapped ones 91 and 80 %.
_MISPLACED_FROM = 2.7
# The other symbol may have its right answer, where one answer was given twice: that speaks against a swap, but little.
_MAX_COUNTER_EVIDENCE = 0.5


def fingerprint(context: SymbolContext) -> Fingerprint:
    """What a symbol's summary is compared with: words of its name, id, signature, calls, docstring and source.

    Each part weighs the same and shares its weight out among its words: measured, no other weights did better.
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
    """For each answer of a request, a symbol and its summary, whether the summary belongs to another of the symbols.

    A summary is misplaced where another symbol fits it better, and fits its own summary worse, than this one does.
    """
    fits = _fits(answers)
    return tuple(_is_misplaced(place, fits) for place in range(len(answers)))


def _fits(answers: Sequence[tuple[Fingerprint, str]]) -> list[list[float]]:
    """How well each summary (row) fits each symbol (column): logarithms of odds, in which rare words count most."""
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
