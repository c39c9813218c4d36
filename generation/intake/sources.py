"""Raw symbols from where a job says they are: its own list, or an object of the results store.

An object is JSON of the input's form, a JSON list of symbols, or JSON Lines of symbols; gzip of each too. Leaves out
what a symbol must be (`symbols`): a line that is no JSON is passed on as such, and only that symbol fails.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import tempfile
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

from generation.errors import InputError
from generation.intake.symbols import UnreadableLine

MAX_SOURCE_BYTES = 1_000_000_000
_GZIP_MAGIC = b"\x1f\x8b"
_NOTHING = object()
_CHUNK_BYTES = 1 << 20


def read_items(file: BinaryIO, key: str) -> Iterator[Any]:
    """The symbols in a file, one at a time, unchecked. Raises InputError where it is of no such form."""
    # The first line tells most JSON Lines from JSON without reading on; where it is broken, any of the next ones does.
    if _is_symbol(_parsed(next(_lines(file), (0, b""))[1])):
        return _symbol_a_line(file)
    file.seek(0)
    document = _parsed(file.read())
    symbols = document.get("symbols") if isinstance(document, dict) else document
    if isinstance(symbols, list):
        return iter(symbols)
    if any(_is_symbol(_parsed(line)) for _, line in _lines(file)):
        return _symbol_a_line(file)
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


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    file.seek(0)
    return ((number, line) for number, line in enumerate(file, start=1) if line.strip())


def _symbol_a_line(file: BinaryIO) -> Iterator[Any]:
    for number, line in _lines(file):
        value = _parsed(line)
        yield UnreadableLine(f"(line {number}) is not JSON in UTF-8") if value is _NOTHING else value


@contextlib.contextmanager
def decompressed(file: BinaryIO, key: str) -> Iterator[BinaryIO]:
    """The file itself, or what its gzip holds; on disk where that is large. Raises InputError where it is cut off."""
    is_packed = file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
    file.seek(0)
    if not is_packed:
        yield file
        return
    with tempfile.SpooledTemporaryFile(max_size=_CHUNK_BYTES) as plain:
        try:
            _decompress(file, cast(BinaryIO, plain), key)
        except (OSError, EOFError, zlib.error):
            raise InputError(f"symbols_key: {key} is not whole gzip") from None
        yield cast(BinaryIO, plain)


def _decompress(file: BinaryIO, plain: BinaryIO, key: str) -> None:
    with gzip.GzipFile(fileobj=file) as packed:
        while chunk := packed.read(_CHUNK_BYTES):
            plain.write(chunk)
            if plain.tell() > MAX_SOURCE_BYTES:
                raise InputError(f"symbols_key: {key} unpacks to more than {MAX_SOURCE_BYTES} bytes")
