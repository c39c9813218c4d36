"""Reads each source once, partitions it into shards, and stores the shards' contexts.

Afterwards the run no longer needs the source and can continue on another machine. While a source is read, its contexts
are written to a temporary file, so that memory use does not grow with them. The symbols of a cluster stay together in
one shard where they fit.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, BinaryIO, NamedTuple, cast

from generation.bulk.inputs import opened, read_symbols
from generation.bulk.manifest import Division, Run, Shard, Source, State, load_state, save_state, shard_job_id
from generation.config import Settings
from generation.domain.outcome import Failed, Symbol
from generation.domain.usage import Usage, cost_usd
from generation.errors import InputError, kept_on_disk
from generation.intake.symbols import ignored_fields_warning, replaced_warning
from generation.planning.planner import EXPECTED_OUTPUT_TOKENS
from generation.prompts.builder import estimate_part_tokens, estimate_rules_tokens
from generation.results.records import stored_record
from generation.storage.base import Storage
from generation.storage.keys import contexts_key

# Contexts are repetitive: the fastest level reduces them to a fifth, and a better one takes four times as long.
GZIP_LEVEL = 1
MAX_CONCURRENT_PUTS = 4


@dataclass(slots=True)
class _GatheredSource:
    """A source that has been read: its contexts in a temporary file, and what partitioning needs.

    `places` maps a position to the offset and the size, in bytes, of its context in the file.
    """

    file: BinaryIO
    entries: list[Entry] = field(default_factory=list)
    ids: dict[int, str] = field(default_factory=dict)
    places: dict[int, tuple[int, int]] = field(default_factory=dict)
    tokens: dict[int, int] = field(default_factory=dict)
    invalid: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    ignored_fields: set[str] = field(default_factory=set)
    replaced: list[str] = field(default_factory=list)

    def add(self, item: object, parsed: Symbol | Failed) -> None:
        """Add an item of the source and the symbol or failure parsed from it."""
        position = parsed.position
        if isinstance(parsed, Failed):
            self.invalid.append((position, stored_record(parsed)))
            return
        context = parsed.context
        line = json.dumps(item).encode()
        self.places[position] = (self.file.tell(), len(line))
        with kept_on_disk(f"symbol {parsed.symbol_id}"):
            self.file.write(line)
        self.ids[position] = parsed.symbol_id
        self.tokens[position] = estimate_part_tokens(context)
        self.entries.append(Entry(position, context.cluster_label or "", context.file_path))

    def contexts(self, positions: Sequence[int]) -> bytes:
        """Return the contexts of these symbols as gzipped JSON Lines."""
        lines = []
        for position in positions:
            start, size = self.places[position]
            self.file.seek(start)
            lines.append(self.file.read(size))
        return gzip.compress(b"\n".join(lines), GZIP_LEVEL, mtime=0)


async def states(run: Run, storage: Storage, settings: Settings) -> AsyncIterator[tuple[Source, State]]:
    """Yield every source of a run with its state, in order; divide those that have no state yet."""
    for source in run.sources:
        state = await load_state(storage, run.name, source)
        if state is None:
            state = await divide(run, source, storage, settings)
        yield source, state


async def divide(run: Run, source: Source, storage: Storage, settings: Settings) -> Division:
    """Read a source, store its shards' contexts, then save the division. Idempotent. Raises StorageError."""
    with tempfile.TemporaryFile() as file:
        try:
            gathered = await _gather(source, storage, cast(BinaryIO, file))
        except InputError as error:
            division = Division(0, fault=str(error).removeprefix("symbols_key: "))
        else:
            division = await asyncio.to_thread(_division, run, source, gathered, settings)
            await _put_contexts(run, division, gathered, storage)
    await save_state(storage, run.name, source, division)
    return division


async def _gather(source: Source, storage: Storage, file: BinaryIO) -> _GatheredSource:
    gathered = _GatheredSource(file)
    async with opened(source, storage) as plain:
        await asyncio.to_thread(_read, plain, source.name, gathered)
    if not gathered.entries and not gathered.invalid:
        raise InputError(f"{source.place} holds no symbols")
    return gathered


def _read(plain: BinaryIO, name: str, gathered: _GatheredSource) -> None:
    for item, parsed in read_symbols(plain, name, gathered.ignored_fields, gathered.replaced):
        gathered.add(item, parsed)
    with kept_on_disk(name):
        gathered.file.flush()


def _division(run: Run, source: Source, gathered: _GatheredSource, settings: Settings) -> Division:
    shards = []
    for number, positions in enumerate(partition(gathered.entries, run.shard_size)):
        usage = _expected([gathered.tokens[position] for position in positions], settings)
        shards.append(
            Shard(
                shard_job_id(run.name, source, number),
                tuple(positions),
                tuple(gathered.ids[position] for position in positions),
                cost_usd(usage, settings.pricing),
            )
        )
    warnings = (*ignored_fields_warning(gathered.ignored_fields), *replaced_warning(gathered.replaced))
    symbols = len(gathered.entries) + len(gathered.invalid)
    return Division(symbols, tuple(shards), tuple(gathered.invalid), warnings)


def _expected(part_tokens: Sequence[int], settings: Settings) -> Usage:
    """Return an upper bound of the planner's estimate for a shard: one request per symbol.

    What summaries of callees add to prompts is not included.
    """
    rules = estimate_rules_tokens()
    max_part_tokens = settings.max_prompt_tokens - rules
    parts = sum(min(max_part_tokens, tokens) for tokens in part_tokens)
    count = len(part_tokens)
    return Usage(input_tokens=rules * count + parts, output_tokens=EXPECTED_OUTPUT_TOKENS * count, requests=count)


async def _put_contexts(run: Run, division: Division, gathered: _GatheredSource, storage: Storage) -> None:
    """Store the contexts of all shards: compressed one at a time, since they share a file, written concurrently."""
    slots = asyncio.Semaphore(MAX_CONCURRENT_PUTS)
    packing = asyncio.Lock()

    async def put(shard: Shard) -> None:
        async with slots:
            async with packing:
                body = await asyncio.to_thread(gathered.contexts, shard.positions)
            await storage.write(contexts_key(run.name, shard.job_id), body)

    await asyncio.gather(*(put(shard) for shard in division.shards))


class Entry(NamedTuple):
    """What the partitioning uses of a symbol: its position, its cluster label ("" for none) and its file."""

    position: int
    cluster: str
    file: str


def partition(entries: Iterable[Entry], size: int) -> list[list[int]]:
    """Return the positions of each shard: at most `size`, ascending, with the shards ordered by their first position.

    Greedy: clusters, in order of first occurrence, fill a shard until the next one does not fit. A cluster that is
    larger than a shard is split by file, and a file by size.

    >>> partition([Entry(0, "a", "x"), Entry(1, "b", "y"), Entry(2, "a", "z")], 2)
    [[0, 2], [1]]
    """
    shards: list[list[int]] = []
    shard: list[int] = []
    for group in chain.from_iterable(_split(cluster, size) for cluster in _by_cluster(entries)):
        if shard and len(shard) + len(group) > size:
            shards.append(shard)
            shard = []
        shard = [*shard, *(entry.position for entry in group)]
    if shard:
        shards.append(shard)
    return sorted(sorted(positions) for positions in shards)


def _by_cluster(entries: Iterable[Entry]) -> Iterable[list[Entry]]:
    """Return the clusters in order of first occurrence; symbols without a label form one cluster per file."""
    clusters: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        key = (entry.cluster, "") if entry.cluster else ("", entry.file)
        clusters.setdefault(key, []).append(entry)
    return clusters.values()


def _split(cluster: Sequence[Entry], size: int) -> Iterator[Sequence[Entry]]:
    """Yield the cluster, or its files in pieces of at most `size` where it is larger than a shard."""
    if len(cluster) <= size:
        yield cluster
        return
    files: dict[str, list[Entry]] = {}
    for entry in cluster:
        files.setdefault(entry.file, []).append(entry)
    for symbols in files.values():
        for start in range(0, len(symbols), size):
            yield symbols[start : start + size]
