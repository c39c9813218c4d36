"""Find the known name that a misspelt one may stand for."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

# As difflib's ratio: "rum" for "run" is 0.67.
MIN_SIMILARITY = 0.6


def nearest(name: str, known: Iterable[str], min_similarity: float = MIN_SIMILARITY) -> str | None:
    """Return the known name that is most like this one, or None if none is alike.

    >>> nearest("max_symbol", ["max_symbols", "model"])
    'max_symbols'
    """
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=min_similarity)
    return found[0] if found else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the question that completes the sentence about an unknown name; empty if no known name is alike."""
    near = nearest(name, known)
    return f": did you mean {near}?" if near else ""
