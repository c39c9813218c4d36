"""The checks that a summary says more than the symbol's name, copies no docstring and does not repeat itself."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
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


# Words that are repeated one after the other; a lone word three times, as "that that" is English.
_MAX_REPEATED_WORDS = 12
# Human docstrings of that length have at least half as many different words.
_MIN_LOOP_WORDS = 12
_MIN_DIFFERENT_SHARE = 0.4
_MARKS = "\"'`.,;:()[]!?*-"
_MIN_CHARS_OF_LETTER_LOOP = 16
_REPEATED_LETTERS = re.compile(r"([^\W\d_])\1{5}|([^\W\d_]{2,12}?)\2{3}")


def check_repetition(summary: str, sentences: Sequence[str]) -> str | None:
    """Return why the summary repeats itself, or None: a sentence, words in a row, or the same words again and again."""
    loops = any(_is_loop([word.strip(_MARKS) for word in sentence.lower().split()]) for sentence in sentences)
    long = any(len(word) >= _MIN_CHARS_OF_LETTER_LOOP for word in summary.split())
    if loops or (long and _REPEATED_LETTERS.search(summary)) or len(distinct_sentences(sentences)) < len(sentences):
        return "The summary repeats itself; say each thing once."
    return None


def _is_loop(words: Sequence[str]) -> bool:
    """Return whether words are repeated one after the other, or make up most of a longer text."""
    different = len(set(words))
    if different == len(words):
        return False
    if len(words) >= _MIN_LOOP_WORDS and different < _MIN_DIFFERENT_SHARE * len(words):
        return True
    if any(one == other == third for one, other, third in zip(words, words[1:], words[2:], strict=False)):
        return True
    if len(set(pairwise(words))) == len(words) - 1:
        return False
    sizes = range(2, min(_MAX_REPEATED_WORDS, len(words) // 2) + 1)
    return any(
        words[start : start + size] == words[start + size : start + 2 * size]
        for size in sizes
        for start in range(len(words) - 2 * size + 1)
    )


def distinct_sentences(sentences: Sequence[str]) -> list[str]:
    """Return the sentences without those that have the content words of an earlier one."""
    if len(sentences) == 1:
        return list(sentences)
    kept: dict[frozenset[str], str] = {}
    for sentence in sentences:
        kept.setdefault(frozenset(stems(sentence)) or frozenset((sentence,)), sentence)
    return list(kept.values())
