"""Find the summaries in what a model wrote: the reverse of `formats`.

Servers and small models wrap the JSON that was asked for: in a code fence, after their thoughts, in text before and
after, in a list, with other keys beside. One summary is found where exactly one is inside; of several symbols each is
found by its key. Pure. Leaves out: the reply around the text (`model.codec`), and whether a summary is any good
(`checks`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import NamedTuple

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_THOUGHTS_END = re.compile(r"</(?:think|thinking|thought|reasoning)>", re.IGNORECASE)
_OPENING = re.compile(r"[{\[]")
_KEY = re.compile(r"\s*(?:symbol\s*)?s?0*(\d{1,6})\s*", re.IGNORECASE)
# Brackets in a text at which no JSON begins, before it is given up.
MAX_TRIES = 300
# Of wrappers around an answer.
MAX_DEPTH = 5

_decoder = json.JSONDecoder(strict=False)


class KeyedSummary(NamedTuple):
    """A summary and the key of its symbol, such as `s3`."""

    key: str
    summary: str


def find_summary(text: str) -> str | None:
    """Return the summary in a text, as one line; None unless there is exactly one.

    >>> find_summary('<think>easy</think> ```json {"summary": "Adds two numbers."} ``` Anything else?')
    'Adds two numbers.'
    """
    for part in _without_thoughts(text):
        found = dict.fromkeys(summary for value in _values_in(part) for summary in _summaries_in(value))
        if len(found) == 1:
            return next(iter(found))
    return None


def find_summaries(text: str) -> list[KeyedSummary]:
    """Return the summaries of several symbols in a text, as lines; entries without a key or a text are left out.

    >>> find_summaries('{"summaries": [{"key": "s1", "summary": "Adds."}, {"key": 2, "summary": null}]}')
    [KeyedSummary(key='s1', summary='Adds.')]
    """
    for part in _without_thoughts(text):
        found = dict.fromkeys(entry for value in _values_in(part) for entry in _entries_in(value))
        if found:
            return list(found)
    return []


def as_line(value: object) -> str | None:
    """Return a text as one line without control characters; None for what is no text, blank, or no valid Unicode."""
    if not isinstance(value, str):
        return None
    line = " ".join(_UNPRINTABLE.sub(" ", value).split())
    try:
        line.encode()
    except UnicodeEncodeError:
        return None
    return line or None


def _without_thoughts(text: str) -> Iterator[str]:
    """Yield what follows the model's thoughts, if it has marked any, and the whole."""
    ends = [found.end() for found in _THOUGHTS_END.finditer(text)]
    if ends:
        yield text[ends[-1] :]
    yield text


def _values_in(text: str) -> Iterator[object]:
    """Yield the text's JSON value, or else the objects and lists in it, the outermost only."""
    try:
        value = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        yield from _parts_of(text)
        return
    if isinstance(value, str):
        yield from _parts_of(value)
    else:
        yield value


def _parts_of(text: str) -> Iterator[object]:
    position = tries = 0
    while tries < MAX_TRIES and (opening := _OPENING.search(text, position)):
        try:
            value, position = _decoder.raw_decode(text, opening.start())
        except ValueError:
            position, tries = opening.start() + 1, tries + 1
        except RecursionError:
            return
        else:
            yield value


def _summaries_in(value: object, depth: int = 0) -> Iterator[str]:
    if isinstance(value, dict):
        own = [line for key, text in value.items() if key.lower() == "summary" and (line := as_line(text))]
        yield from own
        if own:
            return
    for part in _inner(value, depth):
        yield from _summaries_in(part, depth + 1)


def _entries_in(value: object, depth: int = 0) -> Iterator[KeyedSummary]:
    if isinstance(value, dict):
        fields = {str(key).lower(): part for key, part in value.items()}
        if "key" in fields:
            key, summary = _symbol_key(fields["key"]), as_line(fields.get("summary"))
            if key and summary:
                yield KeyedSummary(key, summary)
            return
        if value and all(_symbol_key(key) for key in value):
            for key, part in value.items():
                summary = as_line(part) or next(_summaries_in(part), None)
                if summary:
                    yield KeyedSummary(str(_symbol_key(key)), summary)
            return
    for part in _inner(value, depth):
        yield from _entries_in(part, depth + 1)


def _inner(value: object, depth: int) -> list[object]:
    if depth >= MAX_DEPTH:
        return []
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _symbol_key(value: object) -> str | None:
    """Return the key of a symbol, which may be written as a number or in capitals: `s3` for 3, "3" and "S3"."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    found = _KEY.fullmatch(str(value)) if not isinstance(value, int) or abs(value) < 10**6 else None
    return f"s{found[1]}" if found else None
