"""The faults of a payload as sentences that name the place and never repeat what stands there."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any

from generation.domain.context import AS_OBJECT, AS_TEXT


def printable(text: str, max_chars: int = 1_024) -> str:
    """A text of the payload in a form that can always be sent: lone surrogates and control characters are escaped."""
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


def describe_fault(place: str, fault: Mapping[str, Any]) -> str:
    """One of pydantic's findings as a sentence that names the place and leaves out the value."""
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
    words = _PLAIN_WORDS.get(fault["type"])
    return f"{where} {words}" if words else f"{where}: {fault['msg'].removeprefix('Value error, ')}"
