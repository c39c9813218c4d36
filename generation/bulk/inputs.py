"""Finds the sources that the command line names, and reads their symbols one at a time.

A source is a file or an object in the store: a job's input as JSON, a JSON list, or JSON Lines of symbols, gzipped or
not (`intake.sources`). How symbols are partitioned into shards is defined in `partition`.
"""

from __future__ import annotations

import asyncio
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
MAX_NAMED = 3


async def find_sources(places: Sequence[str], storage: Storage, previous_prefix: str | None = None) -> list[Source]:
    """Return the sources that paths, keys and prefixes name, in their order.

    A place that exists as a path is a path; otherwise it is a key of the store, or a prefix if it ends in a slash.
    Raises InputError where a place names nothing, or two sources would have the same name.
    """
    found: list[tuple[str, str, bool]] = []
    for place in places:
        found += _local(place) or await _stored(place, storage)
    _check_names(found)
    return [
        Source(number, name, place, is_local, await _previous_key(previous_prefix, name, storage))
        for number, (name, place, is_local) in enumerate(found)
    ]


async def _previous_key(prefix: str | None, name: str, storage: Storage) -> str | None:
    """Return the key of a source's earlier results, or None if there are none.

    A prefix names a folder, with or without its slash, or begins the names of the results themselves.
    """
    if not prefix:
        return None
    for key in (f"{prefix.rstrip('/')}/{name}.json", f"{prefix}{name}.json"):
        if await storage.exists(key):
            return key
    return None


def previous_warning(sources: Sequence[Source], prefix: str | None) -> str | None:
    """Return a warning if some sources have no earlier results although a prefix was given for them."""
    missing = [source.name for source in sources if source.previous_key is None]
    if not prefix or not missing:
        return None
    if len(missing) == len(sources):
        return f"no earlier results were found at {prefix}: every symbol is paid for (see --previous)"
    names = ", ".join(missing[:MAX_NAMED]) + (" and others" if len(missing) > MAX_NAMED else "")
    return f"no earlier results at {prefix} for {len(missing)} of {len(sources)} sources, which are paid for: {names}"


def _local(place: str) -> list[tuple[str, str, bool]]:
    path = Path(place)
    if not path.exists():
        return []
    if path.is_file():
        return [(_source_name(path.name), str(path.resolve()), True)]
    files = sorted(file for file in path.rglob("*") if file.is_file() and _is_source(file.relative_to(path).as_posix()))
    if not files:
        raise InputError(f"{path} holds no file of symbols ({', '.join(SUFFIXES)}, or one of these with .gz)")
    return [(_source_name(file.relative_to(path).as_posix()), str(file.resolve()), True) for file in files]


async def _stored(place: str, storage: Storage) -> list[tuple[str, str, bool]]:
    if not place.endswith("/"):
        if not await storage.exists(place):
            raise InputError(f"{place} is no file here, and no key of the store")
        return [(_source_name(place.rpartition("/")[2]), place, False)]
    keys = [key for key in await storage.list_keys(place) if _is_source(key.removeprefix(place))]
    if not keys:
        raise InputError(
            f"{place} is no folder here, and no key of the store begins with it and ends in .json or .jsonl"
        )
    return [(_source_name(key.removeprefix(place)), key, False) for key in keys]


def _is_source(name: str) -> bool:
    hidden = any(part.startswith(".") for part in name.split("/"))
    return not hidden and name.removesuffix(".gz").endswith(SUFFIXES)


def _source_name(name: str) -> str:
    stem = name.removesuffix(".gz")
    for suffix in SUFFIXES:
        stem = stem.removesuffix(suffix)
    return "".join(char if char.isprintable() else "_" for char in stem) or "symbols"


def _check_names(found: Iterable[tuple[str, str, bool]]) -> None:
    places: dict[str, str] = {}
    for name, place, _ in found:
        if name in places:
            raise InputError(f"{places[name]} and {place} would both have their results as {name}: rename one of them")
        places[name] = place


@contextlib.asynccontextmanager
async def opened(source: Source, storage: Storage) -> AsyncIterator[BinaryIO]:
    """Open a source and decompress it.

    Raises StorageError where it cannot be read, and InputError where it is not valid gzip.
    """
    try:
        file = _open(source.place) if source.is_local else await storage.open(source.place)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        # StorageError, which does not fail the source: the run may have been started on another machine.
        raise StorageError(f"{source.place} cannot be read here ({reason}): resume the run where it can") from None
    with contextlib.ExitStack() as stack:
        stack.enter_context(file)
        yield await asyncio.to_thread(stack.enter_context, decompressed(file, source.place))


def _open(path: str) -> BinaryIO:
    return Path(path).open("rb")


def read_symbols(
    file: BinaryIO, name: str, ignored_fields: set[str], replaced: list[str] | None = None
) -> Iterator[tuple[Any, Symbol | Failed]]:
    """Yield each item of an open source and the symbol or failure parsed from it, in order; `position` counts from 0.

    An item whose id has occurred before is Failed. Names of unknown context fields are added to `ignored_fields`.
    The places of texts whose control characters were replaced are added to `replaced`. Raises InputError where the file
    has no known format.
    """
    raw: list[Any] = [None]

    def kept() -> Iterator[Any]:
        for item in read_items(file, name):
            raw[0] = item
            yield item

    for parsed in parse_symbols(kept(), ignored_fields, replaced=replaced):
        yield raw[0], parsed


async def read_shard(storage: Storage, shard: Shard, key: str) -> list[Symbol]:
    """Return the symbols of a shard from its contexts under `key`; `position` is the position in the source."""
    with await storage.open(key) as file:
        return await asyncio.to_thread(_read_shard, file, shard, key)


def _read_shard(file: BinaryIO, shard: Shard, key: str) -> list[Symbol]:
    with decompressed(file, key) as plain:
        parsed_items = [parsed for _, parsed in read_symbols(plain, key, set())]
    symbols = [parsed for parsed in parsed_items if isinstance(parsed, Symbol)]
    return [Symbol(position, symbol.context) for position, symbol in zip(shard.positions, symbols, strict=True)]
