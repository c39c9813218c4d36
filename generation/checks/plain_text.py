"""The check that a summary is plain text: no markup, links or invisible characters."""

from __future__ import annotations

import re

# Most summaries have nothing of this and need not be searched with the patterns below, which take ten times as long.
_MAY_NOT_BE_PLAIN = re.compile(r"[^\w ,.;()'\"`/=%?!+&$@-]|```|(?<!\w)__|\A\W*[-+\d]|www\.", re.ASCII)
_INVISIBLE = re.compile(r"[\x00-\x1f\x7f-\x9f\xad\u200b\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_LINK = re.compile(r"\b(?:https?|ftp)://[\w\[]|\bwww\.\w|\bmailto:\S|\]\(\S+\)|\]\[\w+\]")
_MARKUP = re.compile(
    r"""```|~~~                                                         # a fence
    |\A\s*(?:\#{1,6}|>|[-*+•]|\d+[.)])\s                                # a heading, a quotation, a list
    |(?<![\w*\\])\*{1,3}(?=[^\s*])[^*]*[^\s*]\*{1,3}(?![\w*])           # emphasis
    |(?<!\w)__(?=[^\s_])[^_]*\s[^_]*[^\s_]__(?!\w)
    |</[a-z][\w-]*>|<(?:br|hr|p|b|i|em|strong|code|pre|ul|ol|li|tt|kbd|sub|sup|span|div|h[1-6])\s*/?>
    |:[a-z]+(?::[a-z]+)?:`                                              # a role of reStructuredText
    |\|\s*:?-{3,}                                                       # a table
    """,
    re.VERBOSE | re.IGNORECASE,
)
# Backticks are allowed: 3 % of human docstrings have them, and they set an identifier apart.
_INLINE_CODE = re.compile(r"(?<!`)(`{1,2})[^`]+\1(?!`)")


def check_plain_text(summary: str) -> str | None:
    """Return why the summary is not plain text, or None."""
    if not _MAY_NOT_BE_PLAIN.search(summary):
        return None
    if _INVISIBLE.search(summary):
        return "The summary has a line break or a character that cannot be seen; write one line of plain text."
    if _LINK.search(summary):
        return "The summary has a link; leave links out."
    if _MARKUP.search(_INLINE_CODE.sub("`x`", summary)):
        return "The summary has markup; write plain text."
    return None
