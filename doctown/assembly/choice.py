"""Which symbols get a summary, and in which order money is spent on them. Pure.

Left out by default are tests, constants and types that nobody outside can see, and what is no definition of its own.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from doctown.assembly.symbols import ProgramSymbol

DEFAULT_KINDS = frozenset(
    {"function", "method", "class", "struct", "enum", "trait", "interface", "macro", "constant", "type", "property"}
)
# Of these only those that are part of an API; functions and classes are read by who works on the code, too.
EXPORTED_ONLY_KINDS = frozenset({"constant", "type", "property"})
TRIVIAL_LINES = 3

_ACCESSOR = re.compile(r"(?:get|set|is|has)(?:_|[A-Z])")


def is_documented(symbol: ProgramSymbol, kinds: Collection[str] | None, *, include_tests: bool) -> bool:
    """Return whether a symbol gets a summary; `kinds` are those that were asked for, None by default."""
    if symbol.is_test and not include_tests:
        return False
    kind = symbol.symbol.kind
    if kinds is not None:
        return kind in kinds
    return kind in DEFAULT_KINDS and (symbol.symbol.exported or kind not in EXPORTED_ONLY_KINDS)


def is_minor(symbol: ProgramSymbol, call_sites: int) -> bool:
    """Return whether a symbol comes last: a test, an accessor that is private, or one that only hands out a value."""
    if symbol.is_test:
        return True
    found = symbol.symbol
    is_accessor = found.kind == "property" or "property" in found.flags or _ACCESSOR.match(found.name) is not None
    is_trivial = found.end_line - found.start_line < TRIVIAL_LINES and not call_sites
    return is_accessor and (is_trivial or not found.exported)


def spending_centrality(symbol: ProgramSymbol, centrality: float, call_sites: int) -> float:
    """Return the centrality by which the worker orders, selects and groups: 0 for what comes last.

    Of equally central symbols the worker takes the first given: those that are exported are given first.
    """
    return 0.0 if is_minor(symbol, call_sites) else centrality
