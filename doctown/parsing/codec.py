"""File records as bytes, for the way from a worker process and for the cache.

The bytes are `marshal`'s of plain tuples: loading them can neither run code nor look up a name, as a pickle could, and
takes 0.4 s for the 400,000 call sites of a repository of 26 MB where a pickle takes 0.6 s. `marshal` is bound to the
Python version and the records to this version of their types: what is stored needs both in its key.
"""

import marshal
from itertools import repeat
from typing import Any, get_args, get_type_hints

from doctown.parsing.records import FileRecord, Symbol


def encode(record: FileRecord) -> bytes:
    """Return the record as bytes. Raises ValueError where an extractor left something else than plain values in it."""
    fields: list[Any] = list(record)
    for index in _SEQUENCES:
        fields[index] = tuple(map(tuple, fields[index]))
    fields[_SYMBOLS] = tuple(map(_plain_symbol, fields[_SYMBOLS]))
    return marshal.dumps(tuple(fields))


def decode(data: bytes) -> FileRecord:
    """Return the record that `encode` made the bytes from."""
    fields = list(marshal.loads(data))  # noqa: S302 - the bytes are our own worker's, or from the user's own cache
    for index, kind in _SEQUENCES.items():
        fields[index] = tuple(map(_new, repeat(kind), fields[index]))
    fields[_SYMBOLS] = tuple(map(_whole_symbol, fields[_SYMBOLS]))
    return FileRecord(*fields)


def _plain_symbol(symbol: tuple[Any, ...]) -> tuple[Any, ...]:
    decorators = symbol[_DECORATORS]
    if not decorators:
        return symbol
    return (*symbol[:_DECORATORS], tuple(map(tuple, decorators)), *symbol[_DECORATORS + 1 :])


def _whole_symbol(symbol: Symbol) -> Symbol:
    if not symbol.decorators:
        return symbol
    return symbol._replace(decorators=tuple(map(_new, repeat(_DECORATOR), symbol.decorators)))


def _sequences(record: type) -> dict[int, Any]:
    """Return the index of each field of a record that is a sequence of records, with their type."""
    hints = get_type_hints(record)
    found = ((index, get_args(hint)) for index, hint in enumerate(hints.values()))
    return {index: arguments[0] for index, arguments in found if arguments and hasattr(arguments[0], "_fields")}


_new: Any = tuple.__new__  # of a record's type and a tuple: skips the NamedTuple's own __new__, which is slower
_SEQUENCES = _sequences(FileRecord)
_SYMBOLS = FileRecord._fields.index("symbols")
((_DECORATORS, _DECORATOR),) = _sequences(Symbol).items()
