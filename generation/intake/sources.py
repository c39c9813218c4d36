"""Read raw symbols from an object of the results store.

An object is JSON in the form of the input, a JSON list of symbols, or JSON Lines of symbols; each may be gzipped. It
may have MAX_SOURCE_BYTES, unpacked.
Leaves out: validating the symbols (`symbols`). A line that is not JSON is passed on as such; only that symbol fails.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import tempfile
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

from generation.errors import InputError, disk_error
from generation.intake.symbols import UnreadableLine

MAX_SOURCE_BYTES = 1_000_000_000
_GZIP_MAGIC = b"\x1f\x8b"
_NOTHING = object()
_CHUNK_BYTES = 1 << 20


def read_items(file: BinaryIO, key: str) -> Iterator[Any]:
    """Return the unvalidated symbols of a file, one by one. Raise InputError if it has none of the known forms."""
    # The first line distinguishes most JSON Lines from JSON; if it is malformed, the other lines are examined below.
    lines = _lines(file)
    document = _parsed(next(lines, (0, b""))[1])
    if _is_symbol(document):
        return _symbol_a_line(file)
    if next(lines, None) is not None:
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
    """Return the value of a JSON text; _NOTHING if it is not JSON, or nested too deeply for Python."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return _NOTHING


def _is_symbol(value: object) -> bool:
    """Return whether a parsed line is a symbol, and not a whole input on one line."""
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
    """Yield the file itself, or its gunzipped contents in a temporary file.

    Raise InputError if the gzip is broken, or if the file, unpacked, is larger than MAX_SOURCE_BYTES; StorageError if
    the disk has no room for the contents.
    """
    is_gzip = file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
    if not is_gzip:
        if file.seek(0, io.SEEK_END) > MAX_SOURCE_BYTES:
            raise InputError(f"symbols_key: {key} is larger than {MAX_SOURCE_BYTES} bytes")
        file.seek(0)
        yield file
        return
    file.seek(0)
    with tempfile.SpooledTemporaryFile(max_size=_CHUNK_BYTES) as plain:
        _decompress(file, cast(BinaryIO, plain), key)
        yield cast(BinaryIO, plain)


def _decompress(file: BinaryIO, plain: BinaryIO, key: str) -> None:
    with gzip.GzipFile(fileobj=file) as packed:
        while chunk := _next_chunk(packed, key):
            try:
                plain.write(chunk)
                plain.flush()
            except OSError as error:
                raise disk_error(f"symbols_key: {key}, unpacked,", error) from None
            if plain.tell() > MAX_SOURCE_BYTES:
                raise InputError(f"symbols_key: {key} unpacks to more than {MAX_SOURCE_BYTES} bytes")


def _next_chunk(packed: gzip.GzipFile, key: str) -> bytes:
    try:
        return packed.read(_CHUNK_BYTES)
    except (OSError, EOFError, zlib.error):
        raise InputError(f"symbols_key: {key} is not whole gzip") from None
