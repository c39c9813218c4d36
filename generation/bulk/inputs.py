"""From what the command line names to sources, and from a source to its symbols, one at a time.

A source is a file, or an object of the store: JSON of a job's input, a JSON list, or JSON Lines of symbols; gzip of
each too (`intake.sources`). Leaves out how symbols are gathered into shards (`partition`).
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from generation.bulk.manifest import Shard, Source
from generation.domain.outcome import Failed, Symbol
from generation.errors import InputError, StorageError
from generation.intake.sources import decompressed, read_items
from generation.intake.symbols import parse_symbols
from generation.storage.base import Storage

SUFFIXES = (".json", ".jsonl", ".ndjson")


async def find_sources(places: Sequence[str], storage: Storage, previous_prefix: str | None = None) -> list[Source]:
    """The sources that paths, keys and prefixes name, in their order.

    What is there as a path is a path, else it is a key of the store, or a prefix where it ends in a slash. Raises
    InputError where one names nothing, and where two sources would have one name.
    """
    found: list[tuple[str, str, bool]] = []
    for place in places:
        found += _local(place) or await _stored(place, storage)
    _check_names(found)
    sources = []
    for number, (name, place, is_local) in enumerate(found):
        previous = f"{previous_prefix}{name}.json" if previous_prefix else None
        if previous and await storage.read(previous) is None:
            previous = None
        sources.append(Source(number, name, place, is_local, previous))
    return sources


def _local(place: str) -> list[tuple[str, str, bool]]:
    path = Path(place)
    if not path.exists():
        return []
    if path.is_file():
        return [(_bare(path.name), str(path.resolve()), True)]
    files = sorted(file for file in path.rglob("*") if file.is_file() and _is_source(file.relative_to(path).as_posix()))
    if not files:
        raise InputError(f"{path} holds no file of symbols ({', '.join(SUFFIXES)}, or one of these with .gz)")
    return [(_bare(file.relative_to(path).as_posix()), str(file.resolve()), True) for file in files]


async def _stored(place: str, storage: Storage) -> list[tuple[str, str, bool]]:
    if not place.endswith("/"):
        try:
            (await storage.open(place)).close()
        except StorageError as error:
            raise InputError(f"{place} is no file here, and no key of the store: {error}") from None
        return [(_bare(place.rpartition("/")[2]), place, False)]
    keys = [key for key in await _keys_below(place, storage) if _is_source(key.removeprefix(place))]
    if not keys:
        raise InputError(
            f"{place} is no folder here, and no key of the store begins with it and ends in .json or .jsonl"
        )
    return [(_bare(key.removeprefix(place)), key, False) for key in keys]


async def _keys_below(prefix: str, storage: Storage) -> list[str]:
    """All keys, also where the store is a folder, which lists one level at a time."""
    keys = await storage.list_keys(prefix)
    if storage.bucket is not None:
        return keys
    below: list[str] = []
    for key in keys:
        below += [key] if _is_source(key) else await _keys_below(f"{key}/", storage)
    return sorted(below)


def _is_source(name: str) -> bool:
    hidden = any(part.startswith(".") for part in name.split("/"))
    return not hidden and name.removesuffix(".gz").endswith(SUFFIXES)


def _bare(name: str) -> str:
    bare = name.removesuffix(".gz")
    for suffix in SUFFIXES:
        bare = bare.removesuffix(suffix)
    return "".join(char if char.isprintable() else "_" for char in bare) or "symbols"


def _check_names(found: Iterable[tuple[str, str, bool]]) -> None:
    places: dict[str, str] = {}
    for name, place, _ in found:
        if name in places:
            raise InputError(f"{places[name]} and {place} would both have their results as {name}: rename one of them")
        places[name] = place


@contextlib.asynccontextmanager
async def opened(source: Source, storage: Storage) -> AsyncIterator[BinaryIO]:
    """The bytes of a source, unpacked. Raises StorageError where it cannot be read, InputError where it is no gzip."""
    try:
        file = _open(source.place) if source.is_local else await storage.open(source.place)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        # No fault of the source: the run may have been started on another machine, and stopped before it read this.
        raise StorageError(f"{source.place} cannot be read here ({reason}): resume the run where it can") from None
    with file, decompressed(file, source.place) as plain:
        yield plain


def _open(path: str) -> BinaryIO:
    return Path(path).open("rb")


def read_symbols(file: BinaryIO, name: str, ignored_fields: set[str]) -> Iterator[tuple[Any, Symbol | Failed]]:
    """The symbols of an open source in its order: each raw item, and its verdict, whose `position` is its place.

    Every symbol comes once: whose id has come before is Failed. Names of unknown context fields are added to
    `ignored_fields`. Raises InputError where the file is of no known form.
    """
    raw: list[Any] = [None]

    def kept() -> Iterator[Any]:
        for item in read_items(file, name):
            raw[0] = item
            yield item

    for verdict in parse_symbols(kept(), ignored_fields):
        yield raw[0], verdict


async def read_shard(storage: Storage, shard: Shard, key: str) -> list[Symbol]:
    """The symbols of a shard whose contexts are under `key`; their `position` is their place in the source."""
    async with storage_file(storage, key) as plain:
        verdicts = [verdict for _, verdict in read_symbols(plain, key, set())]
    symbols = [verdict for verdict in verdicts if isinstance(verdict, Symbol)]
    return [Symbol(position, symbol.context) for position, symbol in zip(shard.positions, symbols, strict=True)]


@contextlib.asynccontextmanager
async def storage_file(storage: Storage, key: str) -> AsyncIterator[BinaryIO]:
    """The bytes under a key, unpacked."""
    with await storage.open(key) as file, decompressed(file, key) as plain:
        yield plain
