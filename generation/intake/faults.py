"""Turn validation errors of a payload into sentences that name the place and never repeat the value."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Mapping
from typing import Any

from generation.domain.context import AS_OBJECT, AS_TEXT
from generation.domain.limits import pattern_words
from generation.domain.names import did_you_mean

# One message names so many faults of an input or a symbol; `doctown validate` names all.
MAX_SHOWN_FAULTS = 3


def printable(text: str, max_chars: int = 1_024) -> str:
    """Return a text of the payload with lone surrogates and control characters escaped, at most `max_chars` of it."""
    sendable = text[:max_chars].encode("utf-8", errors="backslashreplace").decode("utf-8")
    return "".join(f"\\x{ord(char):02x}" if unicodedata.category(char) == "Cc" else char for char in sendable)


_PLAIN_WORDS = {
    "missing": "is missing",
    "extra_forbidden": "is not a key that is known here",
    "string_type": "must be a text",
    "string_unicode": "has a lone surrogate, which is no character",
    "string_too_short": "must not be empty",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "float_type": "must be a number",
    "int_type": "must be a whole number",
    "finite_number": "must be a finite number",
}


def describe_fault(place: str, fault: Mapping[str, Any], known: Collection[str] = ()) -> str:
    """Return one of pydantic's errors as a sentence that names the place and leaves out the value.

    For an unknown key, the sentence names the nearest of the `known` ones.
    """
    where = place
    for part in fault["loc"]:
        if part in {AS_TEXT, AS_OBJECT}:
            continue
        where += f"[{part}]" if isinstance(part, int) else f".{printable(str(part), 80)}"
    limits = fault.get("ctx", {})
    if fault["type"] == "string_too_long":
        return f"{where} has more than {limits['max_length']} characters"
    if fault["type"] == "too_long":
        return f"{where} has more than {limits['max_length']} items"
    if fault["type"] == "too_short":
        return f"{where} must have at least {limits['min_length']} item{'' if limits['min_length'] == 1 else 's'}"
    words = _PLAIN_WORDS.get(fault["type"]) or pattern_words(fault)
    if fault["type"] == "extra_forbidden":
        return f"{where} {words}{did_you_mean(str(fault['loc'][-1]), known)}"
    return f"{where} {words}" if words else f"{where}: {fault['msg'].removeprefix('Value error, ')}"
