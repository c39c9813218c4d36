"""A source is read once, cut into shards, and the shards' contexts are put into the store.

From then on the run needs the source no more, and can go on from another machine. Contexts wait on disk while the
source is read, so that a source of any size takes little memory. A cluster stays in one shard where it fits.
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
from generation.errors import InputError
from generation.planning.planner import EXPECTED_OUTPUT_TOKENS
from generation.prompts.builder import estimate_part_tokens, estimate_rules_tokens
from generation.results.records import stored_record
from generation.storage.base import Storage
from generation.storage.keys import contexts_key

# Contexts repeat themselves: the fastest level makes them a fifth, and a better one takes four times as long.
GZIP_LEVEL = 1
MAX_CONCURRENT_PUTS = 4


@dataclass(slots=True)
class _Gathered:
    """A source that has been read: its contexts in a file, and what cutting it needs."""

    file: BinaryIO
    entries: list[Entry] = field(default_factory=list)
    ids: dict[int, str] = field(default_factory=dict)
    places: dict[int, tuple[int, int]] = field(default_factory=dict)
    tokens: dict[int, int] = field(default_factory=dict)
    invalid: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    ignored_fields: set[str] = field(default_factory=set)

    def take(self, item: object, verdict: Symbol | Failed) -> None:
        """Take a symbol in."""
        position = verdict.position
        if isinstance(verdict, Failed):
            self.invalid.append((position, stored_record(verdict)))
            return
        context = verdict.context
        line = json.dumps(item).encode()
        self.places[position] = (self.file.tell(), len(line))
        self.file.write(line)
        self.ids[position] = verdict.symbol_id
        self.tokens[position] = estimate_part_tokens(context)
        self.entries.append(Entry(position, context.cluster_label or "", context.file_path))

    def contexts(self, positions: Sequence[int]) -> bytes:
        """The contexts of these symbols as a shard's object."""
        lines = []
        for position in positions:
            start, size = self.places[position]
            self.file.seek(start)
            lines.append(self.file.read(size))
        return gzip.compress(b"\n".join(lines), GZIP_LEVEL, mtime=0)


async def states(run: Run, storage: Storage, settings: Settings) -> AsyncIterator[tuple[Source, State]]:
    """Every source of a run with its state, in their order; one that has none yet is divided first."""
    for source in run.sources:
        state = await load_state(storage, run.name, source)
        if state is None:
            state = await divide(run, source, storage, settings)
        yield source, state


async def divide(run: Run, source: Source, storage: Storage, settings: Settings) -> Division:
    """Read a source, put its shards into the store, and save the division; done twice it gives the same."""
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


async def _gather(source: Source, storage: Storage, file: BinaryIO) -> _Gathered:
    gathered = _Gathered(file)
    async with opened(source, storage) as plain:
        await asyncio.to_thread(_read, plain, source.name, gathered)
    if not gathered.entries and not gathered.invalid:
        raise InputError(f"{source.place} holds no symbols")
    return gathered


def _read(plain: BinaryIO, name: str, gathered: _Gathered) -> None:
    for item, verdict in read_symbols(plain, name, gathered.ignored_fields):
        gathered.take(item, verdict)


def _division(run: Run, source: Source, gathered: _Gathered, settings: Settings) -> Division:
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
    named = ", ".join(sorted(gathered.ignored_fields)[:10])
    warnings = (f"context fields that are not known here were ignored: {named}",) if named else ()
    symbols = len(gathered.entries) + len(gathered.invalid)
    return Division(symbols, tuple(shards), tuple(gathered.invalid), warnings)


def _expected(part_tokens: Sequence[int], settings: Settings) -> Usage:
    """At most what the planner will expect of a shard, but for what callees add to prompts: a request a symbol."""
    rules = estimate_rules_tokens()
    room = settings.max_prompt_tokens - rules
    parts = sum(min(room, tokens) for tokens in part_tokens)
    count = len(part_tokens)
    return Usage(input_tokens=rules * count + parts, output_tokens=EXPECTED_OUTPUT_TOKENS * count, requests=count)


async def _put_contexts(run: Run, division: Division, gathered: _Gathered, storage: Storage) -> None:
    """One shard packed at a time, as they share a file; several on their way."""
    on_their_way = asyncio.Semaphore(MAX_CONCURRENT_PUTS)
    packing = asyncio.Lock()

    async def put(shard: Shard) -> None:
        async with on_their_way:
            async with packing:
                body = await asyncio.to_thread(gathered.contexts, shard.positions)
            await storage.write(contexts_key(run.name, shard.job_id), body)

    await asyncio.gather(*(put(shard) for shard in division.shards))


class Entry(NamedTuple):
    """What is known of a symbol when shards are cut."""

    position: int
    cluster: str
    file: str


def partition(entries: Iterable[Entry], size: int) -> list[list[int]]:
    """The positions of each shard: at most `size` of them, in the order of the source, the shards by their first.

    >>> partition([Entry(0, "a", "x"), Entry(1, "b", "y"), Entry(2, "a", "z")], 2)
    [[0, 2], [1]]
    """
    shards: list[list[int]] = []
    shard: list[int] = []
    for group in chain.from_iterable(_that_fit(cluster, size) for cluster in _by_cluster(entries)):
        if shard and len(shard) + len(group) > size:
            shards.append(shard)
            shard = []
        shard = [*shard, *(entry.position for entry in group)]
    if shard:
        shards.append(shard)
    return sorted(sorted(positions) for positions in shards)


def _by_cluster(entries: Iterable[Entry]) -> Iterable[list[Entry]]:
    """Clusters in the order of their first symbols; without a label a file is a cluster of its own."""
    clusters: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        key = (entry.cluster, "") if entry.cluster else ("", entry.file)
        clusters.setdefault(key, []).append(entry)
    return clusters.values()


def _that_fit(cluster: Sequence[Entry], size: int) -> Iterator[Sequence[Entry]]:
    """The cluster itself, or its files one after another where it is larger than a shard."""
    if len(cluster) <= size:
        yield cluster
        return
    files: dict[str, list[Entry]] = {}
    for entry in cluster:
        files.setdefault(entry.file, []).append(entry)
    for symbols in files.values():
        for start in range(0, len(symbols), size):
            yield symbols[start : start + size]
