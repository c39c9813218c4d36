"""A job's results go into their place, once, and become the job's output.

Two runs of one job may end at the same time: a document is only ever replaced by one that has more, and who comes later
ends with what is there. Leaves out: what a document says (`report`), and how a store writes (`storage`).
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
from generation.results.records import as_output
from generation.results.report import SYMBOL_LISTS, Report, as_json, fitted, limit_symbols, pointer, without_symbols
from generation.results.reuse import Results, adopted, covers, read_results
from generation.storage.base import Storage
from generation.storage.keys import results_key
from generation.storage.r2 import MAX_BACKOFF_S

log = logging.getLogger(__name__)

# RunPod refuses a result above 10 MB; results that could not be stored may fill an output up to this.
EMERGENCY_OUTPUT_BYTES = 9_000_000

# A stored record is at most so many times as long as the same in an output.
FAR_TOO_LARGE = 10

# Each is another run that has changed the document since it was read; there are rarely more than two runs.
MAX_CONFLICTS = 5


@dataclass(frozen=True, slots=True)
class _Placed:
    """The document that is in its place now, and itself where another run has put it there."""

    body: bytes
    theirs: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class ResultsTarget:
    """Where a run's results go: in the place of `version`; then `segments` of other runs go, which they include."""

    storage: Storage
    run: str
    version: str | None
    segments: Collection[str]


async def publish(report: Report, place: ResultsTarget, checkpoint: Checkpoint, settings: Settings) -> JobOutput:
    """Store the results, remove the checkpoint, and make the output, which carries the symbols where they fit."""
    key, storage = results_key(report.job_id), place.storage
    report.end()
    try:
        placed = await _put_in_place(report, place, key)
    except StorageError as error:
        return await _keep_in_output(report, checkpoint, error, settings)
    await checkpoint.drop()
    await remove(storage, place.segments)
    url = storage.url(key)
    log.info("job %s: results are in %s", report.job_id, url or f"{storage.bucket}/{key}")
    results = {"results": pointer(storage.bucket, key, url, placed.body)}
    if placed.theirs is None:
        return await asyncio.to_thread(_own_output, report, results, len(placed.body), settings.max_output_bytes)
    output = _as_output(placed.theirs) | results
    spent_usd = cost_usd(report.own_usage, settings.pricing)
    first = "another run of this job stored its results first, and these are they"
    output["warnings"] = [*output["warnings"], f"{first}; this run has spent ${spent_usd:.6f} beside"]
    return cast("JobOutput", await asyncio.to_thread(fitted, output, settings.max_output_bytes))


def _own_output(report: Report, results: dict[str, Any], body_bytes: int, max_bytes: int) -> JobOutput:
    """The output of what was stored. Where it cannot fit by far, the symbols are not even gathered."""
    if body_bytes > FAR_TOO_LARGE * max_bytes:
        output = without_symbols(_as_output(report.document_without_symbols()) | results, max_bytes)
    else:
        output = fitted(_as_output(report.document()) | results, max_bytes)
    return cast("JobOutput", output)


async def _put_in_place(report: Report, place: ResultsTarget, key: str) -> _Placed:
    storage, version = place.storage, place.version
    for _ in range(MAX_CONFLICTS):
        body = await asyncio.to_thread(report.document_body)
        if await storage.put_if_match(key, body, version):
            return _Placed(body)
        present = await storage.read(key)
        version = present.version if present else None
        theirs = await asyncio.to_thread(read_results, present.body) if present else None
        if present and theirs and _is_valid_output(theirs.document):
            if covers(theirs, report.outcomes):
                return _Placed(present.body, dict(theirs.document))
            report.replace_outcomes(dict(_merged(report, theirs, know_us=place.run in theirs.included)))
    raise StorageError(f"{key} is changed by others faster than it can be written")


def _is_valid_output(document: Mapping[str, Any]) -> bool:
    """Whether a document, which another version or another hand may have written, can be an output."""
    try:
        output = _as_output(document)
        as_json([*output["warnings"], output])
    except (AttributeError, KeyError, TypeError, ValueError):
        return False
    return True


def _merged(report: Report, theirs: Results, *, know_us: bool) -> Iterator[tuple[int, Outcome]]:
    """What becomes of this run's outcomes beside those of another: who failed here has their summary, if there is one.

    What this run has paid is added to what they know of, unless they `know_us` and have it already.
    """
    for outcome in report.outcomes:
        record = theirs.records.get(outcome.symbol_id)
        if record is None or not outcome.content_hash or record.content_hash != outcome.content_hash:
            continue
        better = (isinstance(outcome, Failed) and adopted(theirs, outcome)) or outcome
        together = record.usage if know_us else record.usage + report.paid_here(outcome)
        yield outcome.position, replace(better, usage=outcome.usage.elementwise_max(together))


async def _keep_in_output(report: Report, checkpoint: Checkpoint, error: StorageError, settings: Settings) -> JobOutput:
    """The output where the results cannot be stored: with the symbols that fit, and the rest in the checkpoint."""
    log.error("job %s: %s", report.job_id, error)
    # A write that is under way ends by itself: it must not arrive when a later run has removed its like.
    unsaved = await checkpoint.save(settings.storage_retry_s + MAX_BACKOFF_S)
    report.warnings.append(f"the results are only in this output: {error}")
    fate = "and are not saved yet" if unsaved else f"and are in its checkpoint: send the job again as {report.job_id}"
    output = await asyncio.to_thread(limit_symbols, _as_output(report.document()), EMERGENCY_OUTPUT_BYTES, fate)
    return cast("JobOutput", output)


def _as_output(document: Mapping[str, Any]) -> dict[str, Any]:
    """A results document in the form of a job's output; its records become that in their place, to save memory."""
    for name in SYMBOL_LISTS[:2]:
        records = document[name]
        for place, record in enumerate(records):
            records[place] = as_output(record)
    return {name: value for name, value in document.items() if name != "checkpoint"}
