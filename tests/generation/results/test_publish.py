"""A job's results go into their place: one winner, which has all that was paid for, and an output that says so."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from generation.config import Settings
from generation.domain.outcome import Outcome
from generation.errors import StorageError
from generation.results import publish as results_module
from generation.results.checkpoint import Checkpoint
from generation.results.publish import MAX_CONFLICTS, ResultsTarget, publish
from generation.results.records import output_record
from generation.results.report import Report
from generation.storage.base import Storage
from generation.storage.folder import FolderStorage
from generation.storage.keys import results_key
from tests.loopback.s3 import MotoS3
from tests.support.stores import (
    JOB_ID,
    PREFIX,
    RUN_A,
    RUN_B,
    SETTINGS,
    away,
    document_of,
    documented,
    failed,
    on_invented_time,
    opened,
    report_of,
    save_run,
    stored_document,
)

KEY = results_key(JOB_ID)
# RunPod's default; a job that takes longer is killed and has no result.
EXECUTION_TIMEOUT_S = 600.0
THEIRS_FIRST = "another run of this job stored its results first, and these are they"

Output = Any


@pytest.fixture(params=["folder", "bucket"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Storage]:
    if request.param == "folder":
        yield FolderStorage(tmp_path / "store")
        return
    moto: MotoS3 = request.getfixturevalue("moto")
    with opened(moto) as bucket:
        yield bucket


async def ending(
    storage: Storage,
    outcomes: Sequence[Outcome],
    version: str | None = None,
    segments: Sequence[str] = (),
    settings: Settings = SETTINGS,
) -> tuple[Output, Report]:
    """A run that has saved all its outcomes but the last, and ends: its output, and its report as it then is."""
    report = report_of(outcomes, {RUN_A: 7})
    checkpoint = await save_run(storage, RUN_A, outcomes[:-1])
    checkpoint.add(outcomes[-1])
    return await publish(report, ResultsTarget(storage, RUN_B, version, segments), checkpoint, settings), report


def ended(storage: Storage, outcomes: Sequence[Outcome], **how: Any) -> Output:
    return asyncio.run(ending(storage, outcomes, **how))[0]


def put(storage: Storage, body: bytes) -> None:
    asyncio.run(storage.write(KEY, body))


def stored_bytes(storage: Storage) -> bytes:
    stored = asyncio.run(storage.read(KEY))
    assert stored is not None
    return stored.body


def summaries(document: Output) -> dict[str, str]:
    return {one["symbol_id"]: one["summary"] for one in document["documented_symbols"]}


OURS: tuple[Outcome, ...] = (documented(0), failed(1), documented(2))


def test_results_take_an_empty_place(storage: Storage) -> None:
    """The stored document is the report's, the output is its form for callers, and the checkpoint is gone."""
    output, report = asyncio.run(ending(storage, OURS))
    document = asyncio.run(stored_document(storage))
    assert document == json.loads(json.dumps(report.document()))
    assert asyncio.run(storage.list_keys(PREFIX)) == []
    same = document.keys() - {"documented_symbols", "failed_symbols", "results", "checkpoint"}
    assert {name: output[name] for name in same} == {name: document[name] for name in same}
    assert output["documented_symbols"] == [output_record(OURS[0]), output_record(OURS[2])]
    assert output["failed_symbols"] == [output_record(OURS[1])]
    assert "checkpoint" not in output


def test_the_pointer_knows_the_stored_bytes(storage: Storage) -> None:
    """Key, size and SHA-256 in the output are those of what is in the store, to the byte."""
    pointer = ended(storage, [documented(0, summary="Naïve 漢字 😀.")])["results"]
    body = stored_bytes(storage)
    assert pointer == {
        "bucket": storage.bucket,
        "key": KEY,
        "url": storage.url(KEY),
        "bytes": len(body),
        "sha256": hashlib.sha256(body).hexdigest(),
    }


def test_results_replace_those_that_the_run_began_with(storage: Storage) -> None:
    """Where the version that was read is still there it goes without a word, though it has what this run has not."""
    put(storage, document_of([documented(0), documented(9)]))
    stored = asyncio.run(storage.read(KEY))
    assert stored is not None
    output = ended(storage, OURS, version=stored.version)
    assert summaries(output) == {"s0": "Summary 0.", "s2": "Summary 2."}
    assert output["warnings"] == []


def test_segments_of_other_runs_that_are_in_the_results_go_too(storage: Storage) -> None:
    """`segments` of the place are removed with the run's own; others stay."""

    async def main() -> list[str]:
        await save_run(storage, RUN_B, [documented(5)], [documented(6)])
        keys = await storage.list_keys(PREFIX)
        await ending(storage, OURS, segments=keys[:1])
        return await storage.list_keys(PREFIX)

    assert asyncio.run(main()) == [f"{PREFIX}{RUN_B}-000001.jsonl"]


# Another run was first.


def test_who_comes_second_with_nothing_more_ends_with_what_is_there(storage: Storage) -> None:
    """Theirs has every summary that ours has: it stays to the byte, is the output, and a warning has what ours cost."""
    theirs = document_of([documented(0, summary="Theirs."), documented(1), documented(2, tokens=7)])
    put(storage, theirs)
    output = ended(storage, OURS)
    assert stored_bytes(storage) == theirs
    assert summaries(output) == {"s0": "Theirs.", "s1": "Summary 1.", "s2": "Summary 2."}
    assert output["status"] == "success"
    assert output["total_tokens"] == json.loads(theirs)["total_tokens"]
    assert output["results"]["sha256"] == hashlib.sha256(theirs).hexdigest()
    # 300 tokens in at $0.15 a million.
    assert output["warnings"] == [f"{THEIRS_FIRST}; this run has spent $0.000045 beside"]
    assert asyncio.run(storage.list_keys(PREFIX)) == []


def test_what_both_runs_know_of_counts_once(storage: Storage) -> None:
    """Where the other document already has what this run has paid, its totals hold as they are."""
    body = document_of([documented(0, tokens=130), failed(1), failed(2, tokens=150)], {RUN_A: 1, RUN_B: 3})
    put(storage, body)
    output = ended(storage, OURS)
    assert [one["tokens_used"] for one in output["documented_symbols"]] == [130, 150]
    assert output["total_tokens"] == 130 + 150 + 100


@pytest.mark.parametrize(
    "spoil",
    [
        lambda document: document.pop("failed_symbols"),
        lambda document: document.pop("warnings"),
        lambda document: document["documented_symbols"].append(None),
        lambda document: document.update(warnings=["\ud800"]),
    ],
)
def test_a_document_that_could_not_be_sent_gives_way(storage: Storage, spoil: Callable[[Output], object]) -> None:
    """Another hand's document that is none of the contract's is replaced, however many summaries it has."""
    document = json.loads(document_of([documented(position) for position in range(3)]))
    spoil(document)
    put(storage, json.dumps(document).encode())
    output = ended(storage, OURS)
    assert summaries(output) == {"s0": "Summary 0.", "s2": "Summary 2."}
    assert asyncio.run(stored_document(storage))["documented_count"] == 2


def test_who_comes_second_with_more_replaces_what_is_there_by_both(storage: Storage) -> None:
    """Theirs has one of ours and one that failed here: the document has every summary of both, and each cost once."""
    put(storage, document_of([documented(0, summary="Theirs."), documented(1, tokens=30), failed(2)]))
    output = ended(storage, OURS)
    document = asyncio.run(stored_document(storage))
    assert summaries(output) == summaries(document) == {"s0": "Summary 0.", "s1": "Summary 1.", "s2": "Summary 2."}
    assert (output["failed_symbols"], output["status"], output["documented_count"]) == ([], "success", 3)
    # Ours have cost 100 each, and the other run has paid 100 for the first, 30 for the second and 100 for the third.
    assert [one["tokens_used"] for one in output["documented_symbols"]] == [200, 130, 200]
    assert output["total_tokens"] == 530
    assert output["paid_before"] == {"symbols": 0, "total_tokens": 230, "total_cost": 0.000034}
    assert output["warnings"] == []
    assert output["results"]["sha256"] == hashlib.sha256(stored_bytes(storage)).hexdigest()


def test_a_summary_of_other_content_is_not_taken(storage: Storage) -> None:
    """Two jobs under one id with different contents: what is from another content is no summary of this symbol."""
    put(storage, document_of([documented(0, content_hash="other"), documented(1, content_hash="other")]))
    output = ended(storage, OURS)
    assert summaries(output) == {"s0": "Summary 0.", "s2": "Summary 2."}
    assert summaries(asyncio.run(stored_document(storage))) == summaries(output)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"documented_symbols": null}', b"\xff"])
def test_what_is_no_results_document_is_replaced(body: bytes, storage: Storage) -> None:
    """Something that cannot be read stands in the place: the results take it."""
    put(storage, body)
    output = ended(storage, OURS)
    assert output["warnings"] == []
    assert summaries(asyncio.run(stored_document(storage))) == summaries(output)


def test_results_that_were_removed_meanwhile_are_written(storage: Storage) -> None:
    """The version that the run began with is gone, and nobody has written another."""
    put(storage, document_of([documented(0)]))
    stored = asyncio.run(storage.read(KEY))
    assert stored is not None
    asyncio.run(storage.delete([KEY]))
    output = ended(storage, OURS, version=stored.version)
    assert summaries(asyncio.run(stored_document(storage))) == summaries(output)


def test_two_runs_that_end_at_once_leave_what_both_have(storage: Storage) -> None:
    """Each has what the other has not: whoever comes second, the document in the end has all of it."""

    async def end(run: str, outcomes: Sequence[Outcome]) -> Output:
        checkpoint = await save_run(storage, run, outcomes)
        return await publish(report_of(outcomes), ResultsTarget(storage, RUN_B, None, ()), checkpoint, SETTINGS)

    async def main() -> None:
        odd = [documented(place) if place % 2 else failed(place) for place in range(10)]
        even = [failed(place) if place % 2 else documented(place) for place in range(10)]
        outputs = await asyncio.gather(end(RUN_A, odd), end(RUN_B, even))
        assert sorted(output["documented_count"] for output in outputs) == [5, 10]
        document = await stored_document(storage)
        assert summaries(document) == {f"s{place}": f"Summary {place}." for place in range(10)}
        assert await storage.list_keys(PREFIX) == []

    asyncio.run(main())


class Contested(FolderStorage):
    """A folder in which, just before each of the first `times` writes to a place, somebody else writes there."""

    def __init__(self, folder: Path, times: int, body: Callable[[int], bytes]) -> None:
        super().__init__(folder)
        self._times = times
        self._body = body
        self.replaced = 0

    async def put_if_match(self, key: str, body: bytes, version: str | None) -> bool:
        self.replaced += 1
        if self.replaced <= self._times:
            await self.write(key, self._body(self.replaced))
        return await super().put_if_match(key, body, version)


def other_summary(turn: int) -> bytes:
    return document_of([documented(100 + turn)])


def test_a_place_that_others_change_a_few_times_is_won_in_the_end(tmp_path: Path) -> None:
    """One conflict fewer than it gives up at, and the results are there."""
    storage = Contested(tmp_path, MAX_CONFLICTS - 1, other_summary)
    output = ended(storage, OURS)
    assert summaries(asyncio.run(stored_document(storage))) == summaries(output)
    assert output["results"] is not None
    assert storage.replaced == MAX_CONFLICTS


def test_a_place_that_others_change_all_the_time_is_given_up(tmp_path: Path) -> None:
    """The results are in the output then, with the reason, and what was paid for stays in the checkpoint."""
    storage = Contested(tmp_path, 1_000, other_summary)
    output = ended(storage, OURS)
    assert output["results"] is None
    assert summaries(output) == {"s0": "Summary 0.", "s2": "Summary 2."}
    reason = f"{KEY} is changed by others faster than it can be written"
    assert output["warnings"] == [f"the results are only in this output: {reason}"]
    assert storage.replaced == MAX_CONFLICTS
    assert len(asyncio.run(storage.list_keys(PREFIX))) == 2


def test_each_conflict_adds_what_the_others_have(tmp_path: Path) -> None:
    """Of three runs that end while this one tries, each fills another gap of it."""
    theirs = {turn: document_of([documented(turn - 1, summary=f"Of run {turn}.")]) for turn in (1, 2, 3)}
    storage = Contested(tmp_path, 3, theirs.__getitem__)
    output = ended(storage, [failed(0), failed(1), failed(2), documented(3)])
    expected = {"s0": "Of run 1.", "s1": "Of run 2.", "s2": "Of run 3.", "s3": "Summary 3."}
    assert summaries(output) == summaries(asyncio.run(stored_document(storage))) == expected


# The store is away, or the output too large.


def test_results_that_cannot_be_stored_are_in_the_output(tmp_path: Path) -> None:
    """A store that is away costs no symbol: all are in the output, with a warning that names the fault."""
    folder = tmp_path / "store"
    storage, report = FolderStorage(folder), report_of(OURS)

    async def main() -> Output:
        checkpoint = Checkpoint(storage, JOB_ID, RUN_A)
        checkpoint.add(OURS[0])
        with away(folder):
            return await publish(report, ResultsTarget(storage, RUN_B, None, ()), checkpoint, SETTINGS)

    output = asyncio.run(main())
    assert output["documented_symbols"] == [output_record(OURS[0]), output_record(OURS[2])]
    assert output["failed_symbols"] == [output_record(OURS[1])]
    assert output["results"] is None
    assert "checkpoint" not in output
    (warning,) = output["warnings"]
    assert warning.startswith(f"the results are only in this output: {KEY} cannot be written to RESULTS_DIR (")


def test_a_bucket_that_is_away_keeps_its_segments(moto: MotoS3) -> None:
    """What was saved before the bucket went away is still there when it is back, for the job that is sent again."""

    async def main() -> Output:
        checkpoint = await save_run(bucket, RUN_A, OURS)
        moto.down()
        return await publish(report_of(OURS), ResultsTarget(bucket, RUN_B, None, ()), checkpoint, SETTINGS)

    with opened(moto) as bucket:
        output = asyncio.run(main())
        assert output["results"] is None
        assert output["warnings"][0].endswith("the bucket of R2_BUCKET (ServiceUnavailable)")
        assert moto.keys() == [f"{PREFIX}{RUN_A}-000000.jsonl"]


class SilentFolder(FolderStorage):
    """A folder whose named call never ends."""

    def __init__(self, folder: Path, silent: str) -> None:
        super().__init__(folder)
        self._silent = silent

    async def put_if_match(self, key: str, body: bytes, version: str | None) -> bool:
        if self._silent == "put_if_match":
            await asyncio.Event().wait()
        return await super().put_if_match(key, body, version)

    async def delete(self, keys: Iterable[str]) -> None:
        if self._silent == "delete":
            await asyncio.Event().wait()
        await super().delete(keys)


@pytest.mark.parametrize("silent", ["put_if_match", "delete"])
def test_a_job_at_its_deadline_ends_before_runpods_timeout(tmp_path: Path, silent: str) -> None:
    """With the default settings, a job at its deadline has its output in time although the store has gone silent."""
    settings = Settings.from_env({"OPENAI_API_KEY": "key"})
    storage = SilentFolder(tmp_path, silent)

    async def main() -> tuple[Output, float]:
        checkpoint = await save_run(storage, RUN_A, OURS)
        began_s = asyncio.get_running_loop().time()
        output = await publish(report_of(OURS), ResultsTarget(storage, RUN_B, None, ()), checkpoint, settings)
        return output, asyncio.get_running_loop().time() - began_s

    output, taken_s = on_invented_time(main())
    assert settings.deadline_s + taken_s < EXECUTION_TIMEOUT_S
    assert (output["results"] is None) == (silent == "put_if_match")
    assert summaries(output) == summaries(report_of(OURS).document())


MANY: tuple[Outcome, ...] = tuple(documented(place) for place in range(100))


@pytest.mark.parametrize(
    ("is_saved", "fate"),
    [(True, f"and are in its checkpoint: send the job again as {JOB_ID}"), (False, "and are not saved yet")],
)
def test_an_emergency_output_tells_the_fate_of_what_does_not_fit(
    is_saved: bool, fate: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where results cannot be stored and do not fit, the rest is in the checkpoint, or lost where that is away too."""
    monkeypatch.setattr(results_module, "EMERGENCY_OUTPUT_BYTES", 5_000)
    folder = tmp_path / "store"
    # A folder in the place of the document: it cannot be written, and segments can.
    (folder / f"{JOB_ID}.json").mkdir(parents=True)
    storage = FolderStorage(folder)

    async def main() -> Output:
        checkpoint = Checkpoint(storage, JOB_ID, RUN_A)
        for outcome in MANY:
            checkpoint.add(outcome)
        if is_saved:
            return await publish(report_of(MANY), ResultsTarget(storage, RUN_B, None, ()), checkpoint, SETTINGS)
        with away(folder):
            return await publish(report_of(MANY), ResultsTarget(storage, RUN_B, None, ()), checkpoint, SETTINGS)

    output = asyncio.run(main())
    sent = output["documented_symbols"]
    assert sent == [output_record(one) for one in MANY[: len(sent)]]
    assert 0 < len(sent) < 100
    assert output["warnings"][1] == f"{100 - len(sent)} symbols did not fit into this output {fate}"
    assert len(json.dumps(output, ensure_ascii=False).encode()) <= 5_000
    assert bool(asyncio.run(storage.list_keys(PREFIX))) == is_saved


def test_an_output_that_is_too_large_points_to_the_results(storage: Storage) -> None:
    """Above MAX_OUTPUT_BYTES the symbols are only in the results, which the pointer and a warning name."""
    output = ended(storage, MANY, settings=SETTINGS.model_copy(update={"max_output_bytes": 5_000}))
    assert {"documented_symbols", "failed_symbols", "removed"} & output.keys() == set()
    assert output["documented_count"] == 100
    assert output["results"]["sha256"] == hashlib.sha256(stored_bytes(storage)).hexdigest()
    assert [("5000 bytes" in one, "results.key" in one) for one in output["warnings"]] == [(True, True)]
    assert len(summaries(asyncio.run(stored_document(storage)))) == 100


class Unremovable(FolderStorage):
    """A folder from which nothing can be removed: its user may write and not delete."""

    async def delete(self, keys: Any) -> None:
        for _ in keys:
            raise StorageError("not permitted")


def test_segments_that_cannot_be_removed_fail_no_job(tmp_path: Path) -> None:
    """They cost room and nothing else: the results say that they include them."""
    output = ended(Unremovable(tmp_path), OURS)
    assert output["results"] is not None
    assert output["warnings"] == []
    assert asyncio.run(FolderStorage(tmp_path).list_keys(PREFIX)) != []
