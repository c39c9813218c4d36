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


def read_items(body: bytes, key: str) -> Iterator[Any]:
    """The symbols in an object's bytes, one at a time, unchecked. Raises InputError where it is of no such form."""
    if body.startswith(_GZIP_MAGIC):
        body = _unzipped(body, key)
    lines = io.BytesIO(body)
    first = next((line for line in lines if line.strip()), b"")
    if _is_symbol(first):
        lines.seek(0)
        return _lines(lines)
    return iter(_whole(body, key))


def _is_symbol(line: bytes) -> bool:
    try:
        value = json.loads(line)
    except ValueError:
        return False
    return isinstance(value, dict) and "symbols" not in value


def _lines(lines: io.BytesIO) -> Iterator[Any]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            yield json.loads(line)
        except ValueError:
            yield UnreadableLine(f"(line {number}) is not JSON in UTF-8")


def _whole(body: bytes, key: str) -> list[Any]:
    try:
        document = json.loads(body)
    except ValueError:
        raise InputError(f"symbols_key: {key} is neither JSON nor JSON Lines in UTF-8") from None
    symbols = document.get("symbols") if isinstance(document, dict) else document
    if not isinstance(symbols, list):
        raise InputError(f"symbols_key: {key} must hold a list of symbols, an object with symbols, or a symbol a line")
    return symbols


def _unzipped(body: bytes, key: str) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(body)) as file:
            plain = file.read(MAX_SOURCE_BYTES + 1)
    except (OSError, EOFError, zlib.error):
        raise InputError(f"symbols_key: {key} is not whole gzip") from None
    if len(plain) > MAX_SOURCE_BYTES:
        raise InputError(f"symbols_key: {key} unpacks to more than {MAX_SOURCE_BYTES} bytes")
    return plain
