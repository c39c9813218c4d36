"""The checks that a summary says more than the symbol's name, and does not copy its docstring."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from generation.checks.languages import STEM_LETTERS, stems
from generation.checks.words import WORD
from generation.domain.context import SymbolContext

_MIN_CONTENT_WORDS = 2
# Characters of Chinese and Japanese, which have no spaces between words.
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
LETTERS_OF_UNSPACED_WORD = 2
_SAYS_LITTLE = stems(
    "function method class module object symbol value type get gets set sets use used uses using return"
)


def check_says_more_than_name(summary: str, name: str) -> str | None:
    """Return why the summary says no more than the name, or None.

    It needs two content words beyond those of the name. One in ten human docstrings has fewer, so the finding is soft.
    """
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
# Minimum share of the summary's pairs of words that a copied docstring also has. Of 3,623 pairs of human docstrings for
# things of the same name in different modules, 8 are so similar, all by the same author.
_COPIED_SHARE = 0.8
# Shorter summaries, such as "Closes the session.", have hardly any other wording.
_MIN_COPY_WORDS = 4


def check_not_docstring(summary: str, context: SymbolContext) -> str | None:
    """Return why the summary is a copy of the docstring, whole or in part, or None.

    A copy has the docstring's words in its order; the docstring may be in the context or in the source.
    """
    for docstring in _docstrings(context):
        words = _plain_words(summary)
        pairs = set(pairwise(words))
        copied = pairs.intersection(pairwise(_plain_words(_ROLE.sub(r"\1", docstring[:_DOCSTRING_CHARS]))))
        if len(words) >= _MIN_COPY_WORDS and len(copied) >= _COPIED_SHARE * len(pairs):
            return "The summary copies the docstring; say it in words of your own."
    return None


def _plain_words(text: str) -> list[str]:
    """Return the words of a text, cut to their first letters so that "Returns" matches "Return"."""
    return [word[:STEM_LETTERS] for word in WORD.findall(text.lower())]


def _docstrings(context: SymbolContext) -> Iterator[str]:
    """Yield the docstring and those in the source: the string that opens a body, and leading comments."""
    if context.docstring:
        yield context.docstring
    source = (context.source_code or "")[:_LOOK_FOR_DOCSTRING_CHARS]
    for pattern in (_STRING_THAT_OPENS_A_BODY, _COMMENT_BLOCK, _COMMENT_LINES):
        if found := pattern.search(source):
            yield found[found.lastindex or 0]
