"""Reuse of outcomes from earlier runs of a job, and from earlier results of the same codebase.

A summary is reused where it answers the same question: its symbol's content hash is unchanged, or is that of the same
question to a model that has been shut down since. Which version of the prompt wrote it does not matter, unless a job is
told to renew. Earlier runs of the same job also contribute final failures, and the usage paid for symbols that are
requested again; the results that `previous_results_key` names contribute summaries only. How outcomes are saved is
defined in `checkpoint` and `publish`.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from generation.domain.context import SymbolContext
from generation.domain.limits import parse_integer
from generation.domain.outcome import Documented, Failed, Origin, Outcome, Symbol
from generation.domain.usage import NO_USAGE, Usage
from generation.errors import InputError, StorageError
from generation.results.checkpoint import Included, Segments, read_segments
from generation.results.records import StoredRecord, read_records
from generation.storage.base import Storage
from generation.storage.keys import prefix_of, results_key

log = logging.getLogger(__name__)

# Failures that were billed and that another request would not change.
FINAL = frozenset({"refused", "content_filter"})


@dataclass(frozen=True, slots=True)
class Results:
    """A parsed results document: its records by symbol id, and the segments that are merged into it."""

    records: Mapping[str, StoredRecord]
    included: Included
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Found:
    """What the store holds for a job: its own results and their version, its segments, and the previous results."""

    own: Results | None = None
    version: str | None = None
    segments: Segments = field(default_factory=Segments)
    previous: Results | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Earlier:
    """What a job reuses: `outcomes` by position, and `paid`, the usage of symbols that must be requested again.

    `removed` are ids in the previous results that the job does not have. `version` is that of the results document
    that the job will replace, `segments` are the keys of its earlier runs' segments, and `included` is, per run, how
    many of them were read or merged.
    """

    outcomes: Mapping[int, Outcome]
    paid: Mapping[int, Usage]
    removed: tuple[str, ...]
    version: str | None
    segments: tuple[str, ...]
    included: Included


@dataclass(frozen=True, slots=True)
class Questions:
    """What a job asks, as far as reuse depends on it.

    `hashes` are the content hashes of its symbols by position. `retired` returns the hashes under which a symbol's
    summary by a model that has been shut down is stored. `renew` is set for a job that writes every summary anew: it
    reuses only what its own runs have written by `renew`.
    """

    hashes: Mapping[int, str]
    retired: Callable[[SymbolContext], Collection[str]] = lambda _: ()
    renew: Origin | None = None

    def is_answered_by(self, record: StoredRecord, symbol: Symbol) -> bool:
        """Return whether a stored record is about the same question; a failure of a retired model says nothing."""
        if record.content_hash == self.hashes[symbol.position]:
            return True
        return record.summary is not None and record.content_hash in self.retired(symbol.context)


def models_in(found: Found) -> set[str]:
    """Return the names of the models that stored results say they are from."""
    documents = (one.document.get("model") for one in (found.own, found.previous) if one)
    return {model for model in documents if isinstance(model, str)}


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def read_results(body: bytes) -> Results | None:
    """Return the parsed results document, of this or an earlier version, or None where `body` is not one."""
    try:
        document = json.loads(body, parse_constant=_refuse_constant, parse_int=parse_integer)
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


async def find_earlier(
    storage: Storage, job_id: str, previous_key: str | None, fault: StorageError | None = None
) -> Found:
    """Read the job's own earlier results and segments, and the previous results.

    Raises InputError where `previous_key` names no results document, and StorageError where it cannot be read. Where
    the job's own documents cannot be read, return a warning instead: most jobs have none. `fault` says that this was
    found out already.
    """
    previous = await _read_previous(storage, previous_key) if previous_key else None
    try:
        if fault:
            raise fault
        own, version, segments = await _find_own(storage, job_id)
    except StorageError as error:
        log.warning("job %s: %s", job_id, error)
        return Found(previous=previous, warnings=(f"what an earlier run may have saved was not found: {error}",))
    return Found(own, version, segments, previous)


async def _find_own(storage: Storage, job_id: str) -> tuple[Results | None, str | None, Segments]:
    """Read a job's results, their version, and its segments.

    Another run may be ending now. It stores its results before it deletes its segments, so a segment that vanishes
    between listing and reading is in the results: read again.
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


def resolve_reuse(found: Found, symbols: Sequence[Symbol], questions: Questions, all_ids: Iterable[str]) -> Earlier:
    """Return what these symbols can reuse. Pure.

    `all_ids` are the ids of every symbol of the input, invalid ones included, which are therefore not removed.
    """
    outcomes: dict[int, Outcome] = {}
    paid: dict[int, Usage] = {}
    for symbol in symbols:
        position = symbol.position
        records = [one for one in _own_records(found, symbol.symbol_id) if questions.is_answered_by(one, symbol)]
        usage = sum((one.usage for one in records), start=NO_USAGE)
        usable = [one for one in records if questions.renew in {None, one.origin}]
        outcome = best_of(usable, position) or (questions.renew is None and reusable(found.previous, symbol, questions))
        if outcome:
            outcomes[position] = replace(outcome, usage=usage)
        elif usage != NO_USAGE:
            paid[position] = usage
    present = set(all_ids)
    before = found.previous.records if found.previous else ()
    removed = tuple(symbol_id for symbol_id in before if symbol_id not in present)
    return Earlier(outcomes, paid, removed, found.version, tuple(found.segments.keys), found.segments.included)


def _own_records(found: Found, symbol_id: str) -> Iterator[StoredRecord]:
    """Yield what the job's own runs have saved of a symbol, the results document's record first."""
    if found.own and (record := found.own.records.get(symbol_id)):
        yield record
    for run in found.segments.runs.values():
        if record := run.get(symbol_id):
            yield record


def best_of(records: Iterable[StoredRecord], position: int) -> Outcome | None:
    """Return the first summary that a model wrote among one symbol's records, else what another request cannot change.

    That is an offline summary that stands for a rejected one, or a final failure.
    """
    outcomes = [record.outcome(position) for record in records]
    documented = [one for one in outcomes if isinstance(one, Documented)]
    written = (one for one in documented if one.source != "offline")
    rejected = (one for one in documented if one.is_rejected)
    final = (one for one in outcomes if isinstance(one, Failed) and one.failure in FINAL)
    return next(written, None) or next(rejected, None) or next(final, None)


def reusable(previous: Results | None, symbol: Symbol, questions: Questions) -> Documented | None:
    """Return the summary that earlier results have for a symbol, or None: none, one made offline, other content.

    One that stands for a rejected one comes as it is.
    """
    record = previous.records.get(symbol.symbol_id) if previous else None
    if record is None or not questions.is_answered_by(record, symbol):
        return None
    outcome = best_of([record], symbol.position)
    if not isinstance(outcome, Documented):
        return None
    return outcome if outcome.is_rejected else replace(outcome, source="previous", latency_ms=None)


def covers(theirs: Results, ours: Iterable[Outcome]) -> bool:
    """Return whether a results document has a summary, of the same content, for every symbol that has one here."""
    documented = (one for one in ours if isinstance(one, Documented))
    return all(adopted(theirs, one) is not None for one in documented)


def adopted(theirs: Results, ours: Outcome) -> Documented | None:
    """Return the summary that a results document has for a symbol with the same content, or None."""
    record = theirs.records.get(ours.symbol_id)
    if record is None or record.summary is None or not ours.content_hash or record.content_hash != ours.content_hash:
        return None
    outcome = record.outcome(ours.position)
    return outcome if isinstance(outcome, Documented) else None
