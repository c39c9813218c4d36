"""Read the parts of a server's reply that decide nothing: counts, sizes, names, times.

A value of the wrong kind counts as 0 or absent, and its name is logged once a process. Leaves out: what decides (the
text of a summary, a finish reason, a custom_id, the id and the status of a batch); its readers require its exact form.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from generation.domain.limits import parse_integer

log = logging.getLogger(__name__)

# No request and no batch has as many tokens.
ABSURD_COUNT = 10**12

_named: set[str] = set()


def parse_json(text: bytes | str) -> object:
    """Return the JSON value in a text. Raise ValueError for anything else, however deep, long or badly encoded."""
    try:
        return json.loads(text, parse_int=parse_integer)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def as_object(value: object) -> Mapping[str, Any]:
    """Return a JSON object, {} for any other value."""
    return value if isinstance(value, dict) else {}


def as_list(value: object) -> Sequence[Any]:
    """Return a JSON array, [] for any other value."""
    return value if isinstance(value, list) else []


def as_text(value: object) -> str | None:
    """Return a text that is not empty and can be encoded, None for any other value."""
    if not isinstance(value, str) or not value:
        return None
    return value if value.isprintable() or _can_be_encoded(value) else None


def as_count(value: object) -> int | None:
    """Return a count, rounded down; None for what cannot be one.

    >>> [as_count(value) for value in (3, "3", 3.5, -1, True, None, 10**400)]
    [3, 3, 3, None, None, None, None]
    """
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= len(str(ABSURD_COUNT)):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < ABSURD_COUNT:
        return None
    return int(value)


def count_in(fields: Mapping[str, Any], name: str) -> int | None:
    """Return the count under a name, None where there is none; a senseless one is logged."""
    count = as_count(fields.get(name))
    if count is None and name in fields:
        ignore(name)
    return count


def object_in(fields: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return the object under a name, {} where there is none; one of another kind is logged."""
    value = fields.get(name)
    if value is not None and not isinstance(value, dict):
        ignore(name)
    return as_object(value)


def ignore(name: str) -> None:
    """Log, once a process, that a field makes no sense."""
    if name not in _named:
        _named.add(name)
        log.warning("the server's %s makes no sense and is ignored", name)


def _can_be_encoded(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
