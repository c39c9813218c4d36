"""What earlier runs of a job, and earlier results of a codebase, spare a job: summaries that need not be paid again.

A summary is taken over where its symbol's content hash is the same. Of the job's own runs everything counts, also what
was paid for symbols that failed and are asked for again; of the results that `previous_results_key` names only the
summaries. Leaves out how outcomes are saved (`checkpoint`, `publish`).
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from generation.domain.outcome import Documented, Failed, Outcome, Symbol
from generation.domain.usage import NO_USAGE, Usage
from generation.errors import InputError, StorageError
from generation.results.checkpoint import Included, Segments, read_segments
from generation.results.records import StoredRecord, read_records
from generation.storage.base import Storage
from generation.storage.keys import prefix_of, results_key

log = logging.getLogger(__name__)

# Failures that asking again cannot change, and that were billed.
FINAL = frozenset({"refused", "content_filter"})


@dataclass(frozen=True, slots=True)
class Results:
    """A results document as far as it is used again: its records by symbol, and the segments that it includes."""

    records: Mapping[str, StoredRecord]
    included: Included
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Found:
    """What was found in the store: the job's own results with their version, its segments, and previous results."""

    own: Results | None = None
    version: str | None = None
    segments: Segments = field(default_factory=Segments)
    previous: Results | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Earlier:
    """What a job need not pay: by position its outcomes, and what was paid for those that are asked for again.

    `removed` are symbols of previous results that are gone; `version` is that of the results that the job's own will
    replace; `segments` are the keys of what is saved of its earlier runs, and `included` how much of it that is.
    """

    outcomes: Mapping[int, Outcome]
    paid: Mapping[int, Usage]
    removed: tuple[str, ...]
    version: str | None
    segments: tuple[str, ...]
    included: Included


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def read_results(body: bytes) -> Results | None:
    """A results document of any earlier version; None for what is none."""
    try:
        document = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict) or not isinstance(document.get("documented_symbols"), list):
        return None
    failed = document.get("failed_symbols")
    records = read_records([*document["documented_symbols"], *(failed if isinstance(failed, list) else [])])
    checkpoint = document.get("checkpoint")
    included = {
        str(run): number
        for run, number in (checkpoint.items() if isinstance(checkpoint, dict) else ())
        if isinstance(number, int)
    }
    return Results({record.symbol_id: record for record in records}, included, document)


async def find_earlier(storage: Storage, job_id: str, previous_key: str | None) -> Found:
    """Look for what a job need not pay.

    Raises InputError where `previous_key` names no results. Where the store is away the job goes on without what it
    may have saved, since most jobs have nothing there, and says so.
    """
    previous = await _read_previous(storage, previous_key) if previous_key else None
    try:
        own, version, segments = await _find_own(storage, job_id)
    except StorageError as error:
        log.warning("job %s: %s", job_id, error)
        return Found(previous=previous, warnings=(f"what an earlier run may have saved was not found: {error}",))
    return Found(own, version, segments, previous)


async def _find_own(storage: Storage, job_id: str) -> tuple[Results | None, str | None, Segments]:
    """The results of a job and its segments, in an order in which a run that is ending now hides neither.

    It stores its results before it removes its segments: so what is no segment any more is in the results.
    """
    while True:
        keys = await storage.list_keys(prefix_of(job_id))
        stored = await storage.read(results_key(job_id))
        own = await asyncio.to_thread(read_results, stored.body) if stored else None
        segments = await read_segments(storage, keys, own.included if own else {})
        if not segments.vanished:
            return own, stored.version if stored else None, segments


async def _read_previous(storage: Storage, key: str) -> Results:
    stored = await storage.read(key)
    results = await asyncio.to_thread(read_results, stored.body) if stored else None
    if results is None:
        reason = "names nothing" if stored is None else "names no results document"
        raise InputError(f"previous_results_key: {key} {reason}; leave it out to document every symbol")
    return results


def resolve_reuse(
    found: Found, symbols: Sequence[Symbol], hashes: Mapping[int, str], all_ids: Iterable[str]
) -> Earlier:
    """Say what of all that was found holds for these symbols. Pure."""
    outcomes: dict[int, Outcome] = {}
    paid: dict[int, Usage] = {}
    for symbol in symbols:
        position, content_hash = symbol.position, hashes[symbol.position]
        records = [one for one in _own_records(found, symbol.symbol_id) if one.content_hash == content_hash]
        usage = sum((one.usage for one in records), start=NO_USAGE)
        outcome = best_of(records, position) or _reusable(found.previous, symbol, content_hash)
        if outcome is not None:
            outcomes[position] = replace(outcome, usage=usage)
        elif usage != NO_USAGE:
            paid[position] = usage
    present = set(all_ids)
    before = found.previous.records if found.previous else ()
    removed = tuple(symbol_id for symbol_id in before if symbol_id not in present)
    return Earlier(outcomes, paid, removed, found.version, tuple(found.segments.keys), found.segments.included)


def _own_records(found: Found, symbol_id: str) -> Iterator[StoredRecord]:
    """What the job's own runs have saved of a symbol; what the results document has comes first."""
    if found.own and (record := found.own.records.get(symbol_id)):
        yield record
    for run in found.segments.runs.values():
        if record := run.get(symbol_id):
            yield record


def as_documented(record: StoredRecord | None, position: int, content_hash: str) -> Documented | None:
    """The summary of a record, where it was paid for and is from this content."""
    if record is None or record.content_hash != content_hash:
        return None
    outcome = best_of([record], position)
    return outcome if isinstance(outcome, Documented) else None


def best_of(records: Iterable[StoredRecord], position: int) -> Outcome | None:
    """Of records of one symbol and content, the first summary that was paid for, or a failure that stays one."""
    outcomes = [record.outcome(position) for record in records]
    documented = (one for one in outcomes if isinstance(one, Documented) and one.source != "offline")
    final = (one for one in outcomes if isinstance(one, Failed) and one.failure in FINAL)
    return next(documented, None) or next(final, None)


def _reusable(previous: Results | None, symbol: Symbol, content_hash: str) -> Documented | None:
    record = previous.records.get(symbol.symbol_id) if previous else None
    outcome = as_documented(record, symbol.position, content_hash)
    return replace(outcome, source="previous") if outcome else None


def covers(theirs: Results, ours: Iterable[Outcome]) -> bool:
    """Whether a results document has a summary, from the same content, of every symbol that has one here."""
    documented = (one for one in ours if isinstance(one, Documented))
    return all(adopted(theirs, one) is not None for one in documented)


def adopted(theirs: Results, ours: Outcome) -> Documented | None:
    """The summary that a results document has of a symbol from the same content."""
    record = theirs.records.get(ours.symbol_id)
    if record is None or record.summary is None or not ours.content_hash or record.content_hash != ours.content_hash:
        return None
    outcome = record.outcome(ours.position)
    return outcome if isinstance(outcome, Documented) else None
