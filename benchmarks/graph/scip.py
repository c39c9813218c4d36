"""Read the occurrences of names from a SCIP index, which is a protobuf message.

Only what is needed is read (scip.proto of github.com/sourcegraph/scip): Index.documents = 2; Document.relative_path =
1, .occurrences = 2; Occurrence.range = 1, .symbol = 2, .symbol_roles = 3 with the bit 1 for a definition.
"""

from collections.abc import Iterator
from typing import NamedTuple

DEFINITION = 1
VARINT, BYTES = 0, 2  # wire types of protobuf


class Occurrence(NamedTuple):
    """A name in the source; the line is 1-based, the column counts UTF-16 units from 0."""

    file: str
    line: int
    column: int
    symbol: str
    is_definition: bool


def occurrences(index: bytes) -> Iterator[Occurrence]:
    for number, document in fields(index):
        if number == 2 and isinstance(document, bytes):
            members = list(fields(document))
            path = next(value.decode() for number, value in members if number == 1 and isinstance(value, bytes))
            for member, value in members:
                if member == 2 and isinstance(value, bytes):
                    yield occurrence(path, value)


def occurrence(path: str, message: bytes) -> Occurrence:
    place, symbol, roles = b"", "", 0
    for number, value in fields(message):
        if number == 1 and isinstance(value, bytes):
            place = value
        elif number == 2 and isinstance(value, bytes):
            symbol = value.decode()
        elif number == 3 and isinstance(value, int):
            roles = value
    line, at = varint(place, 0)
    column, _ = varint(place, at)
    return Occurrence(path, line + 1, column, symbol, bool(roles & DEFINITION))


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield the number and the value of each field of a message."""
    at = 0
    while at < len(message):
        key, at = varint(message, at)
        value, at = varint(message, at)
        if key & 7 == VARINT:
            yield key >> 3, value
        elif key & 7 == BYTES:
            yield key >> 3, message[at : at + value]
            at += value
        else:
            raise ValueError(f"wire type {key & 7} is not used by SCIP")


def varint(message: bytes, at: int) -> tuple[int, int]:
    """Return the number that begins at this offset, and the offset after it."""
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at
