"""Raw symbols from where a job says they are: its own list, or an object of the results store.

An object is JSON of the input's form, a JSON list of symbols, or JSON Lines of symbols; gzip of each too. Leaves out
what a symbol must be (`schemas`): a line that is no JSON is passed on as such, and only that symbol fails.
"""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Iterator
from typing import Any

from generation.errors import InputError
from generation.schemas import UnreadableLine

MAX_SOURCE_BYTES = 1_000_000_000
_GZIP_MAGIC = b"\x1f\x8b"
_NOTHING = object()


def read_items(body: bytes, key: str) -> Iterator[Any]:
    """The symbols in an object's bytes, one at a time, unchecked. Raises InputError where it is of no such form."""
    if body.startswith(_GZIP_MAGIC):
        body = _unzipped(body, key)
    # The first line tells most JSON Lines from JSON without reading on; where it is broken, any of the next ones does.
    if _is_symbol(_parsed(next(_lines(body), (0, b""))[1])):
        return _symbol_a_line(body)
    document = _parsed(body)
    symbols = document.get("symbols") if isinstance(document, dict) else document
    if isinstance(symbols, list):
        return iter(symbols)
    if any(_is_symbol(_parsed(line)) for _, line in _lines(body)):
        return _symbol_a_line(body)
    if document is _NOTHING:
        raise InputError(f"symbols_key: {key} is neither JSON nor JSON Lines in UTF-8")
    raise InputError(f"symbols_key: {key} must hold a list of symbols, an object with symbols, or a symbol a line")


def _parsed(text: bytes) -> Any:  # noqa: ANN401 - any JSON
    """The value of a JSON text; _NOTHING where it is none, or nested deeper than Python follows."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return _NOTHING


def _is_symbol(value: object) -> bool:
    return isinstance(value, dict) and "symbols" not in value


def _lines(body: bytes) -> Iterator[tuple[int, bytes]]:
    return ((number, line) for number, line in enumerate(io.BytesIO(body), start=1) if line.strip())


def _symbol_a_line(body: bytes) -> Iterator[Any]:
    for number, line in _lines(body):
        value = _parsed(line)
        yield UnreadableLine(f"(line {number}) is not JSON in UTF-8") if value is _NOTHING else value


def _unzipped(body: bytes, key: str) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(body)) as file:
            plain = file.read(MAX_SOURCE_BYTES + 1)
    except (OSError, EOFError, zlib.error):
        raise InputError(f"symbols_key: {key} is not whole gzip") from None
    if len(plain) > MAX_SOURCE_BYTES:
        raise InputError(f"symbols_key: {key} unpacks to more than {MAX_SOURCE_BYTES} bytes")
    return plain
