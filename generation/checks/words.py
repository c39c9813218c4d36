"""Words and identifiers as the checks tell them apart."""

from __future__ import annotations

import re

IDENTIFIER = re.compile(r"[A-Za-z_$][\w$]*")
WORD = re.compile(r"[^\W\d_]+")
WHOLE_WORD = re.compile(r"(?<!\w)[^\W\d_]+(?:'(?=\w)|(?!\w))")
WORD_IN_NAME = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_A-Za-z]+")
CODE = re.compile(
    r"""(?<![\w$/@.-])(?:
        [A-Za-z_$][\w$]*(?:(?:\.|::|->)[A-Za-z_][\w$]*)+    # dotted.name
        |[A-Za-z_$][\w$]*(?=\(\))                           # call()
        |\$?\w*[A-Za-z]\w*_\w*|_\w*[A-Za-z]\w*              # snake_case
        |[a-z]+[A-Z]\w*|[A-Z]+[a-z0-9]+[A-Z]\w*|[A-Z]{2,}[a-z]{2,}\w*  # camelCase, PascalCase, HTTPError
    )""",
    re.VERBOSE,
)
DOTTED_ABBREVIATION = re.compile(r"(?:[^\W\d_]\.)+[^\W\d_]")
QUOTED_CODE = re.compile(r"(?<!`)`+([^`]+)`+")


def word_set(text: str) -> frozenset[str]:
    """Return the words of a text, which white space separates, as a set."""
    return frozenset(text.split())


def is_code(word: str) -> bool:
    """Return whether a name looks like code and not like a word."""
    return word.startswith("`") or CODE.match(word) is not None
