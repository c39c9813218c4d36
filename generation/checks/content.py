"""The checks that a summary says more than the symbol's name, and does not copy its docstring."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from generation.checks.languages import STEM_LETTERS, stems
from generation.checks.words import WORD
from generation.domain.context import SymbolContext

_MIN_CONTENT_WORDS = 2
# Chinese and Japanese words, which no space divides.
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
LETTERS_OF_UNSPACED_WORD = 2
_SAYS_LITTLE = stems(
    "function method class module object symbol value type get gets set sets use used uses using return"
)


def check_says_more_than_name(summary: str, name: str) -> str | None:
    """At least two content words beyond those of the name; every tenth human docstring has less, so this is soft."""
    beyond = stems(summary) - stems(name) - _SAYS_LITTLE
    unspaced = len(_UNSPACED.findall(summary)) // LETTERS_OF_UNSPACED_WORD
    if max(len(beyond), unspaced) >= _MIN_CONTENT_WORDS:
        return None
    return "The summary says no more than the symbol's name; say what it is for."


_LOOK_FOR_DOCSTRING_CHARS = 20_000
_DOCSTRING_CHARS = 2_000
_STRING_THAT_OPENS_A_BODY = re.compile(
    r"[:{][ \t]*(?:#[^\n]*)?\n\s*[rRuUbB]{0,2}(?:\"\"\"(.*?)\"\"\"|'''(.*?)'''|\"([^\"\n]+)\"|'([^'\n]+)')", re.DOTALL
)
_COMMENT_BLOCK = re.compile(r"/\*\*(.{,2000}?)\*/", re.DOTALL)
_COMMENT_LINES = re.compile(r"\A((?:[ \t]*(?://[/!]?|#)[^\n]*\n)+)")
_ROLE = re.compile(r":[a-z:]+:`([^`<]*)[^`]*`")
# A copy: of the summary's pairs of words, this share stands in the docstring too. Of 3,623 pairs of docstrings that
# people wrote for things of one name in different modules, 8 are so alike, all by the same hand.
_COPIED_SHARE = 0.8
# "Closes the session." has no other wording.
_MIN_COPY_WORDS = 4


def check_not_docstring(summary: str, context: SymbolContext) -> str | None:
    """Not the docstring's words in its order, whole or in part, wherever the docstring stands."""
    for docstring in _docstrings(context):
        words = _plain_words(summary)
        pairs = set(pairwise(words))
        copied = pairs.intersection(pairwise(_plain_words(_ROLE.sub(r"\1", docstring[:_DOCSTRING_CHARS]))))
        if len(words) >= _MIN_COPY_WORDS and len(copied) >= _COPIED_SHARE * len(pairs):
            return "The summary copies the docstring; say it in words of your own."
    return None


def _plain_words(text: str) -> list[str]:
    """The words of a text by their first letters, so that "Returns" copies "Return"."""
    return [word[:STEM_LETTERS] for word in WORD.findall(text.lower())]


def _docstrings(context: SymbolContext) -> Iterator[str]:
    """The docstring, and those that stand in the source: the string that opens a body, and comments before a symbol."""
    if context.docstring:
        yield context.docstring
    source = (context.source_code or "")[:_LOOK_FOR_DOCSTRING_CHARS]
    for pattern in (_STRING_THAT_OPENS_A_BODY, _COMMENT_BLOCK, _COMMENT_LINES):
        if found := pattern.search(source):
            yield found[found.lastindex or 0]
