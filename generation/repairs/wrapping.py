"""Take away what stands around a summary or marks its words: JSON, fences, quotes, a lead-in, markup. Pure."""

# ruff: noqa: RUF001 - letters and marks of other languages are meant where they stand

from __future__ import annotations

import json
import re

_FENCE = re.compile(r"\A\s*(`{3,}|~{3,})[\w+-]*[ \t]*\n?(.*?)\n?\s*\1\s*\Z", re.DOTALL)
_JSON_KEYS = ("summary", "description", "text", "answer", "content", "docstring")
_QUOTES = {'"': '"', "'": "'", "“": "”", "‘": "’", "«": "»", "`": "`", "„": "“"}
# "Here is the summary:", "Sure! ", "Summary:" and the like, at the start.
_LEAD_IN = re.compile(
    r"""\A\W*(?:(?:sure|certainly|of\s+course|okay|ok|absolutely|great|understood|alright)(?:\s+thing)?\s*[!,.]\s*)?
        (?:(?:here(?:'s|’s|\s+is)|below\s+is|the\s+following\s+is|this\s+is)\s+(?:the|a|your|my)\s+[^.:\n]{0,80}:\s*
        |(?:the\s+)?(?:(?:one|two)[\s-]sentence\s+)?(?:summary|description|purpose|answer|documentation|output|response)
            (?:\s+(?:of|for)\s+[^.:\n]{1,80})?\s*:\s*)?""",
    re.VERBOSE | re.IGNORECASE,
)
_HEADING_OR_LIST = re.compile(r"\A\s*(?:#{1,6}|>|[-*+•]|\d+[.)])\s+")
_LINK = re.compile(r"!?\[([^\]\[]+)\](?:\([^()\s]*(?:\s+\"[^\"]*\")?\)|\[\w*\])")
_ROLE = re.compile(r":[a-z]+(?::[a-z]+)?:`~?!?([^`<]+?)(?:\s*<[^`>]*>)?`")
_TAG = re.compile(
    r"</?(?:br|hr|p|b|i|em|strong|code|pre|ul|ol|li|tt|kbd|sub|sup|span|div|h[1-6])(?:\s+[^<>]*)?/?>", re.IGNORECASE
)
_EMPHASIS = re.compile(
    r"(?<![\w*\\])(\*{1,3})(?=[^\s*])([^*]*[^\s*])\1(?![\w*])|(?<!\w)__(?=[^\s_])([^_]*\s[^_]*[^\s_])__(?!\w)"
)
_CODE_NAME = re.compile(r"(?<!`)(`{1,2})([^`]+)\1(?!`)")
_PARENTHESIZED_LINK = re.compile(r"\s*\((?:see|cf\.?|at|from)?:?\s*(?:https?://|www\.)[^\s()]*\)", re.IGNORECASE)


def unwrap(text: str) -> str:
    """Return what a fence, a JSON object or quotes around the whole text hold, or the text."""
    inner = text.strip()
    for _ in range(4):  # a fence around JSON around quotes, and once more
        before = inner
        if fenced := _FENCE.match(inner):
            inner = fenced[2].strip()
        inner = _from_json(inner) or inner
        closing = _QUOTES.get(inner[:1])
        if closing and len(inner) > 1 and inner.endswith(closing) and not {inner[0], closing} & set(inner[1:-1]):
            inner = inner[1:-1].strip()
        if inner == before:
            return inner if inner != text.strip() else text
    return inner


def _from_json(text: str) -> str | None:
    """Return the one summary in a text of JSON, else None."""
    if not text.startswith(("{", "[", '"')):
        return None
    try:
        value: object = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, dict):
        named = [value[key] for key in _JSON_KEYS if key in value]
        value = named[0] if named else next(iter(value.values())) if len(value) == 1 else None
        if isinstance(value, dict):
            return _from_json(json.dumps(value))
    return value.strip() or None if isinstance(value, str) else None


def without_lead_in(text: str) -> str:
    """Return a text without "Here is the summary:" or "Sure!" at its start."""
    found = _LEAD_IN.match(text)
    if found is None or not re.search(r"\w", found[0]):
        return text
    return capitalized(text[found.end() :].strip())


def without_markup(text: str) -> str:
    """Return a text without a heading's or a list's mark, emphasis, links, tags and roles; code keeps its backticks."""
    text = _ROLE.sub(r"`\1`", _PARENTHESIZED_LINK.sub("", _HEADING_OR_LIST.sub("", text)))
    pieces, at = [], 0
    for quoted in _CODE_NAME.finditer(text):
        pieces += [_bare(text[at : quoted.start()]), quoted[0]]
        at = quoted.end()
    bare = "".join([*pieces, _bare(text[at:])])
    return bare if bare == text else " ".join(_EMPHASIS.sub(_inner, bare).split())


def _bare(text: str) -> str:
    return _EMPHASIS.sub(_inner, _TAG.sub("", _LINK.sub(r"\1", text)))


def _inner(found: re.Match[str]) -> str:
    return found[2] or found[3]


def without_backticks(text: str) -> str:
    """Return a text in which code has no backticks around it."""
    return _CODE_NAME.sub(lambda quoted: quoted[2].strip(), text)


def capitalized(text: str) -> str:
    """Return a text that begins with a capital, unless it begins with a name in code form.

    >>> capitalized("sends it."), capitalized("`get` sends it."), capitalized("get_all sends it.")
    ('Sends it.', '`get` sends it.', 'get_all sends it.')
    """
    first = re.match(r"[a-z]+(?=[\s,-])", text)
    return text[:1].upper() + text[1:] if first else text
