"""Parse JSON, and say where a text is no JSON: by line and column, without repeating any of it.

Accepts what Python's `json` does, such as NaN and lone surrogates: they fail only their own symbol, later.
"""

from __future__ import annotations

import json
from typing import Any

from generation.domain.limits import parse_integer


class NotJson(Exception):
    """A text is not JSON; `str(error)` is a clause that says where, or why."""

    def __init__(self, reason: str, line: int = 0, column: int = 0) -> None:
        super().__init__(reason)
        self._column = column if line == 1 else 0

    def within_line(self, number: int) -> str:
        """Return the clause for a text that is one line of a file: its column, and the line's number in the file."""
        return _goes_wrong(number, self._column) if self._column else str(self)


def parse_json(text: bytes) -> Any:  # noqa: ANN401 - any JSON
    """Return the value of a JSON text in UTF-8 (a byte order mark is skipped), UTF-16 or UTF-32. Raise NotJson."""
    try:
        decoded = text.decode(json.detect_encoding(text), "surrogatepass")
    except UnicodeDecodeError as error:
        line, column = _place(text[: error.start].decode("utf-8", "replace"))
        raise NotJson(f"{_goes_wrong(line, column)}: it is not UTF-8", line, column) from None
    try:
        return json.loads(decoded, parse_int=parse_integer)
    except json.JSONDecodeError as error:
        raise NotJson(_goes_wrong(error.lineno, error.colno), error.lineno, error.colno) from None
    except RecursionError:
        raise NotJson("it is nested too deeply") from None


def _place(before: str) -> tuple[int, int]:
    """Return the line and column, from 1, that come after a text."""
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def _goes_wrong(line: int, column: int) -> str:
    return f"line {line}, column {column} is where it goes wrong"
