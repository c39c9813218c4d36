"""Stores a job's results and builds its output from them.

Two runs of one job may end at the same time. Results are therefore written with optimistic concurrency: a document is
only replaced if its version is unchanged, after its outcomes have been merged. A run whose summaries are all in a
document that another run has stored returns that document. What a document contains is defined in `report`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from generation.config import Settings
from generation.domain.outcome import Failed, Outcome
from generation.domain.output import JobOutput
from generation.domain.usage import cost_usd
from generation.errors import StorageError
from generation.results.checkpoint import Checkpoint, remove
from generation.results.records import as_output, stored_record
from generation.results.report import SYMBOL_LISTS, Report, as_json, fitted, limit_symbols, pointer, without_symbols
from generation.results.reuse import Results, adopted, covers, read_results
from generation.storage.base import Storage
from generation.storage.keys import results_key
from generation.storage.r2 import call_limit_s

log = logging.getLogger(__name__)

# RunPod refuses a result above 10 MB; results that could not be stored may fill an output up to this.
EMERGENCY_OUTPUT_BYTES = 9_000_000

# Time for a segment in flight to be saved where the results could not be stored.
LAST_SAVE_S = 3.0

# Each conflict is another run that has written the document since it was read; more than two runs are rare.
MAX_CONFLICTS = 5


@dataclass(frozen=True, slots=True)
class _StoredResults:
    """The stored document; `theirs` is it parsed, where another run stored it."""

    body: bytes
    theirs: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class ResultsTarget:
    """Where a run's results are stored.

    They replace the document of this `version` (None: there is none). The `segments` of other runs, which they include,
    are deleted afterwards.
    """

    storage: Storage
    run: str
    version: str | None
    segments: Collection[str]


async def publish(report: Report, place: ResultsTarget, checkpoint: Checkpoint, settings: Settings) -> JobOutput:
    """Store the results, delete the checkpoint and return the output, with its symbols if they fit.

    Where the results cannot be stored, the output holds as many of them as fit, and a warning. All storage calls
    together take STORAGE_RETRY_S, plus LAST_SAVE_S where they fail: a job that ends at its deadline must fit into the
    execution timeout.
    """
    key, storage = results_key(report.job_id), place.storage
    report.end()
    ends_at_s = asyncio.get_running_loop().time() + call_limit_s(settings)
    try:
        async with asyncio.timeout_at(ends_at_s):
            stored_results = await _store_results(report, place, key)
    except StorageError as error:
        return await _keep_in_output(report, checkpoint, error)
    except TimeoutError:
        late = StorageError(f"{key} cannot be stored within {call_limit_s(settings):g} s", retryable=True)
        return await _keep_in_output(report, checkpoint, late)
    await _delete_segments(place, checkpoint, ends_at_s)
    url = storage.url(key)
    log.info("job %s: results are in %s", report.job_id, url or f"{storage.bucket or 'RESULTS_DIR'}: {key}")
    results = {"results": await asyncio.to_thread(pointer, storage.bucket, key, url, stored_results.body)}
    limit = _max_output_bytes(storage, settings)
    if stored_results.theirs is None:
        return await asyncio.to_thread(_own_output, report, results, len(stored_results.body), limit)
    spent_usd = cost_usd(report.own_usage, settings.pricing)
    return await asyncio.to_thread(_their_output, stored_results.theirs, results, spent_usd, limit)


def _max_output_bytes(storage: Storage, settings: Settings) -> int:
    """Return the maximum size of an output with symbols: without a bucket and a limit of its own, what RunPod takes.

    The caller of a worker that stores its results in a folder may have no other way to them.
    """
    is_default = settings.max_output_bytes == Settings.model_fields["max_output_bytes"].default
    return EMERGENCY_OUTPUT_BYTES if is_default and storage.bucket is None else settings.max_output_bytes


async def _delete_segments(place: ResultsTarget, checkpoint: Checkpoint, ends_at_s: float) -> None:
    try:
        async with asyncio.timeout_at(ends_at_s):
            await checkpoint.drop()
            await remove(place.storage, place.segments)
    except TimeoutError:
        log.warning("segments of a finished job stay where they are: the store is too slow")


def _own_output(report: Report, results: dict[str, Any], body_bytes: int, max_bytes: int) -> JobOutput:
    """Return the output for the stored results, without building the symbol lists where they are too large."""
    # A record of an output is never longer than the stored one.
    if body_bytes > max_bytes and _symbols_exceed(report, max_bytes):
        output = without_symbols(_as_output(report.document_without_symbols()) | results, max_bytes)
    else:
        output = fitted(_as_output(report.document()) | results, max_bytes)
    return cast("JobOutput", output)


def _symbols_exceed(report: Report, max_bytes: int) -> bool:
    """Return whether the symbols of an output would exceed a size, one by one: all of them take a lot of memory."""
    size_bytes = 0
    for outcome in report.outcomes:
        size_bytes += len(as_json(as_output(stored_record(outcome))))
        if size_bytes > max_bytes:
            return True
    return False


def _their_output(document: Mapping[str, Any], results: dict[str, Any], spent_usd: float, max_bytes: int) -> JobOutput:
    """Return the output for results that another run has stored, with what this run has spent."""
    output = _as_output(document) | results
    first = "another run of this job stored its results first, and these are they"
    output["warnings"] = [*output["warnings"], f"{first}; this run has spent ${spent_usd:.6f} beside"]
    return cast("JobOutput", fitted(output, max_bytes))


async def _store_results(report: Report, place: ResultsTarget, key: str) -> _StoredResults:
    storage, version = place.storage, place.version
    for _ in range(MAX_CONFLICTS):
        body = await asyncio.to_thread(report.document_body)
        if await storage.put_if_match(key, body, version):
            return _StoredResults(body)
        present = await storage.read(key)
        version = present.version if present else None
        theirs = await asyncio.to_thread(_read_valid, present.body) if present else None
        if present and theirs:
            if await asyncio.to_thread(covers, theirs, report.outcomes):
                return _StoredResults(present.body, theirs.document)
            await asyncio.to_thread(_merge, report, theirs, know_us=place.run in theirs.included)
    raise StorageError(f"{key} is changed by others faster than it can be written")


def _read_valid(body: bytes) -> Results | None:
    """Return the results that another version or a person may have written, or None where they can be no output."""
    results = read_results(body)
    try:
        if results:
            output = _as_output(results.document)
            as_json([*output["warnings"], output])
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
    return results


def _merge(report: Report, theirs: Results, *, know_us: bool) -> None:
    report.replace_outcomes(dict(_merged(report, theirs, know_us=know_us)))


def _merged(report: Report, theirs: Results, *, know_us: bool) -> Iterator[tuple[int, Outcome]]:
    """Yield this run's outcomes, by position, merged with those of another run's results.

    A symbol that failed here gets their summary, if they have one. The usage of this run is added to theirs, unless
    they `know_us`, which means that theirs already includes it.
    """
    for outcome in report.outcomes:
        record = theirs.records.get(outcome.symbol_id)
        if record is None or not outcome.content_hash or record.content_hash != outcome.content_hash:
            continue
        better = (isinstance(outcome, Failed) and adopted(theirs, outcome)) or outcome
        together = record.usage if know_us else record.usage + report.paid_here(outcome)
        yield outcome.position, replace(better, usage=outcome.usage.elementwise_max(together))


async def _keep_in_output(report: Report, checkpoint: Checkpoint, error: StorageError) -> JobOutput:
    """Return the output where the results cannot be stored: the symbols that fit; the rest is in the checkpoint."""
    log.error("job %s: %s", report.job_id, error)
    unsaved = await checkpoint.save(LAST_SAVE_S)
    report.warnings.append(f"the results are only in this output: {error}")
    rest_note = (
        "and are not saved yet" if unsaved else f"and are in its checkpoint: send the job again as {report.job_id}"
    )
    return await asyncio.to_thread(_emergency_output, report, rest_note)


def _emergency_output(report: Report, rest_note: str) -> JobOutput:
    return cast("JobOutput", limit_symbols(_as_output(report.document()), EMERGENCY_OUTPUT_BYTES, rest_note))


def _as_output(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a results document in the format of a job's output."""
    output = {name: value for name, value in document.items() if name != "checkpoint"}
    for name in SYMBOL_LISTS[:2]:
        output[name] = [as_output(record) for record in document[name]]
    return output
