"""Read a job's input, or only its symbols, from bytes: a file, an object of the results store, a request body.

All commands accept the same forms: `{"input": {"symbols": …}}` as RunPod sends it, the object under `input` alone, a
list of symbols, one symbol, and JSON Lines of symbols; each may begin with a byte order mark and may be gzipped. A file
may have MAX_SOURCE_BYTES, unpacked. Leaves out: validating the symbols (`symbols`). A line that is not JSON is passed
on as such; only that symbol fails.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import tempfile
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

from generation.errors import InputError, kept_on_disk
from generation.intake.job_input import unwrapped
from generation.intake.json_text import NotJson, parse_json
from generation.intake.symbols import UnreadableLine

MAX_SOURCE_BYTES = 1_000_000_000
_GZIP_MAGIC = b"\x1f\x8b"
_BOM = b"\xef\xbb\xbf"
_CHUNK_BYTES = 1 << 20
_OF_A_SYMBOL = {"symbol_id", "context"}
_OF_A_JOB = {"input", "symbols", "symbols_key", "documented_symbols"}


def read_payload(file: BinaryIO, name: str) -> Any:  # noqa: ANN401 - any JSON, for `parse_job`
    """Return the payload that a file holds: JSON as it is, or the list of the symbols that are its lines.

    Raise InputError, which begins with `name`, if the file is neither JSON nor JSON Lines.
    """
    document = _read_document(file, name)
    return list(document) if isinstance(document, Iterator) else document


def read_items(file: BinaryIO, name: str) -> Iterator[Any]:
    """Return the unvalidated symbols of a file, one by one. Raise InputError if it has none of the known forms."""
    document = _read_document(file, name)
    if isinstance(document, Iterator):
        return document
    document = unwrapped(document)
    if isinstance(document, dict) and "documented_symbols" in document:
        raise InputError(f"{name} holds results, not symbols")
    symbols = document.get("symbols") if isinstance(document, dict) else document
    if not isinstance(symbols, list):
        raise InputError(f"{name} must hold a list of symbols, an object with symbols, or a symbol a line")
    return iter(symbols)


def _read_document(file: BinaryIO, name: str) -> Any:  # noqa: ANN401 - any JSON
    """Return the JSON value of a file; an iterator of symbols if each of its lines is one."""
    # The first line distinguishes most JSON Lines from JSON; if it is malformed, the other lines are examined below.
    lines = _lines(file)
    document = _parsed(next(lines, (0, b""))[1])
    is_alone = next(lines, None) is None
    # An object that stands alone is an input, in which something may be missing, unless it looks like a symbol.
    if _is_symbol(document) and (not is_alone or document.keys() & _OF_A_SYMBOL):
        return _symbol_a_line(file)
    # A document on one line is parsed once; the place of a fault counts from the beginning of the file.
    if isinstance(document, NotJson) or not is_alone:
        file.seek(0)
        document = _parsed(file.read())
    if not isinstance(document, NotJson):
        is_symbol = isinstance(document, dict) and document.keys() >= _OF_A_SYMBOL
        return [document] if is_symbol else document
    if any(_is_symbol(_parsed(line)) for _, line in _lines(file)):
        return _symbol_a_line(file)
    raise InputError(f"{name} is neither JSON nor JSON Lines: {document}")


def _parsed(text: bytes) -> Any:  # noqa: ANN401 - any JSON
    """Return the value of a JSON text, or the NotJson that says why it is none."""
    try:
        return parse_json(text)
    except NotJson as error:
        return error


def _is_symbol(value: object) -> bool:
    """Return whether a parsed line is a symbol, and not a whole input on one line."""
    return isinstance(value, dict) and not value.keys() & _OF_A_JOB


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    file.seek(0)
    return ((number, line) for number, line in enumerate(file, start=1) if line.removeprefix(_BOM).strip())


def _symbol_a_line(file: BinaryIO) -> Iterator[Any]:
    for number, line in _lines(file):
        value = _parsed(line)
        is_broken = isinstance(value, NotJson)
        yield UnreadableLine(f"(line {number}) is not JSON: {value.within_line(number)}") if is_broken else value


@contextlib.contextmanager
def decompressed(file: BinaryIO, name: str, max_bytes: int | None = None) -> Iterator[BinaryIO]:
    """Yield the file itself, or its gunzipped contents in a temporary file.

    Raise InputError, which begins with `name`, if the gzip is broken, or if the file, unpacked, is larger than
    `max_bytes`, by default MAX_SOURCE_BYTES; StorageError if the disk has no room for the contents.
    """
    max_bytes = MAX_SOURCE_BYTES if max_bytes is None else max_bytes
    is_gzip = file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
    if not is_gzip:
        if file.seek(0, io.SEEK_END) > max_bytes:
            raise InputError(f"{name} is larger than {max_bytes} bytes")
        file.seek(0)
        yield file
        return
    file.seek(0)
    with tempfile.SpooledTemporaryFile(max_size=_CHUNK_BYTES) as plain:
        _decompress(file, cast(BinaryIO, plain), name, max_bytes)
        yield cast(BinaryIO, plain)


def _decompress(file: BinaryIO, plain: BinaryIO, name: str, max_bytes: int) -> None:
    with gzip.GzipFile(fileobj=file) as packed:
        while chunk := _next_chunk(packed, name):
            with kept_on_disk(f"{name}, unpacked,"):
                plain.write(chunk)
                plain.flush()
            if plain.tell() > max_bytes:
                raise InputError(f"{name} unpacks to more than {max_bytes} bytes")


def _next_chunk(packed: gzip.GzipFile, name: str) -> bytes:
    try:
        return packed.read(_CHUNK_BYTES)
    except (OSError, EOFError, zlib.error):
        raise InputError(f"{name} is not whole gzip") from None
