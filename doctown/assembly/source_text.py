"""What a prompt gets of a symbol's source: definitions inside of it reduced to outlines, long literals shortened.

Both are cuts at borders that the syntax has, made before any cut by tokens, which falls anywhere. A class is left with
its fields, and of each member the signature and the first sentence of its documentation. Pure. Leaves out cuts by
tokens, which are the worker's.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence

from doctown.embedding.text import first_paragraph
from doctown.parsing.records import FileRecord, Symbol

CUT = "[...]"
# Members of a class beyond these are only counted: a prompt of 2,000 tokens has room for no more.
MAX_OUTLINED = 60
MAX_SENTENCE_CHARS = 200
MAX_BLOCK_CHARS = 400
MAX_STRING_CHARS = 160
KEPT_STRING_CHARS = 60
MIN_DATA_LINES = 12
KEPT_DATA_LINES = 4

# Definitions with a body, which a prompt of what is around them can do without.
_OUTLINED_KINDS = frozenset({"function", "method", "property", "class", "struct", "enum", "trait", "interface"})
# In other languages a backtick is no quotation mark: it stands in comments, alone or in pairs.
_BACKTICK_LANGUAGES = frozenset({"go", "javascript", "typescript", "svelte", "vue"})

_STRING_PATTERN = r""""(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'"""
_BLOCK_PATTERN = r'(?P<mark>"""|\'\'\').*?(?P=mark)'
_BACKTICK_PATTERN = r"`(?:[^`\\]|\\.)*`"
_STRING = re.compile(_STRING_PATTERN)
_LITERAL = re.compile(f"{_BLOCK_PATTERN}|{_STRING_PATTERN}", re.DOTALL)
_LITERAL_OR_BACKTICKS = re.compile(f"{_BLOCK_PATTERN}|{_BACKTICK_PATTERN}|{_STRING_PATTERN}", re.DOTALL)
_NUMBER = re.compile(r"(?<![\w.])[\d.][\w.]*")
_WORD_LITERAL = re.compile(r"\b(?:true|false|null|nil|None|True|False)\b")
_ONLY_PUNCTUATION = re.compile(r"[\s\[\](){},:;=>+-]*\Z")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s")


class Nesting:
    """The definitions of a file by their places, to find those inside of another."""

    def __init__(self, file: FileRecord) -> None:
        self._symbols = sorted(file.symbols, key=lambda symbol: (symbol.start_byte, -symbol.end_byte))
        self._starts = [symbol.start_byte for symbol in self._symbols]

    def inside(self, outer: Symbol) -> Iterator[Symbol]:
        """Yield the outermost definitions with a body that lie inside of a symbol, in their order."""
        end = outer.start_byte
        for place in range(bisect_left(self._starts, outer.start_byte), len(self._symbols)):
            symbol = self._symbols[place]
            if symbol.start_byte >= outer.end_byte:
                return
            is_inside = symbol.end_byte <= outer.end_byte and symbol.end_byte - symbol.start_byte < _length(outer)
            if is_inside and symbol.start_byte >= end and symbol.kind in _OUTLINED_KINDS:
                yield symbol
                end = symbol.end_byte


def prompt_source(text: bytes, symbol: Symbol, nesting: Nesting, language: str) -> str:
    """Return the source of a symbol as a prompt shows it. `text` is the file as UTF-8, as it was parsed."""
    return shorten_literals(outline(text, symbol, list(nesting.inside(symbol))), language)


def outline(text: bytes, outer: Symbol, inside: Sequence[Symbol]) -> str:
    """Return the source of a symbol with each of the definitions inside of it as one line."""
    pieces, at = [], outer.start_byte
    for number, symbol in enumerate(inside):
        pieces.append(text[at : symbol.start_byte].decode("utf-8", "replace"))
        pieces.append(outline_line(symbol) if number < MAX_OUTLINED else CUT)
        at = symbol.end_byte
    pieces.append(text[at : outer.end_byte].decode("utf-8", "replace"))
    return "".join(pieces)


def outline_line(symbol: Symbol) -> str:
    """Return a definition as one line: its signature and the first sentence of its documentation."""
    return f"{symbol.signature or symbol.name} {CUT} {first_sentence(symbol.docstring or '')}".rstrip()


def first_sentence(docstring: str) -> str:
    """Return the first sentence of a docstring, on one line.

    >>> first_sentence("Return an item. Or fail.")
    'Return an item.'
    """
    return _SENTENCE_END.split(first_paragraph(docstring), maxsplit=1)[0][:MAX_SENTENCE_CHARS]


def shorten_literals(source: str, language: str) -> str:
    """Return a source with the ends of long texts in quotation marks, and the middle of long tables of data, cut off.

    >>> shorten_literals("x = '" + 300 * "a" + "'", "python")
    "x = 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa[...]'"
    """
    if len(source) <= MAX_STRING_CHARS:
        return source
    literal = _LITERAL_OR_BACKTICKS if language in _BACKTICK_LANGUAGES else _LITERAL
    return _without_data(literal.sub(_shorten, source))


def _length(symbol: Symbol) -> int:
    return symbol.end_byte - symbol.start_byte


def _shorten(found: re.Match[str]) -> str:
    text = found[0]
    mark = found["mark"] or text[0]
    is_block = found["mark"] is not None or mark == "`"
    if len(text) - 2 * len(mark) <= (MAX_BLOCK_CHARS if is_block else MAX_STRING_CHARS):
        return text
    kept = MAX_BLOCK_CHARS if is_block else KEPT_STRING_CHARS
    return f"{text[: len(mark) + kept]}{CUT}{mark}"


def _without_data(source: str) -> str:
    """Return a source in which long runs of lines with literals alone are reduced to their beginnings."""
    kept: list[str] = []
    run: list[str] = []
    for line in source.split("\n"):
        if _is_data(line):
            run.append(line)
        else:
            kept += [*_reduced(run), line]
            run = []
    return "\n".join([*kept, *_reduced(run)])


def _reduced(run: list[str]) -> list[str]:
    if len(run) < MIN_DATA_LINES:
        return run
    return [*run[:KEPT_DATA_LINES], f"[... {len(run) - KEPT_DATA_LINES - 1} lines of data ...]", run[-1]]


def _is_data(line: str) -> bool:
    rest = _STRING.sub("", line)
    rest = _WORD_LITERAL.sub("", _NUMBER.sub("", rest))
    return len(rest) < len(line) and _ONLY_PUNCTUATION.match(rest) is not None
