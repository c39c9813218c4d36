"""What earlier runs and earlier results spare a job: each summary that still holds, and no cost counted twice."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from generation.domain.outcome import Documented, Origin, Outcome
from generation.domain.usage import NO_USAGE
from generation.errors import InputError, StorageError
from generation.results.checkpoint import EVERY_SEGMENT
from generation.results.reuse import (
    Earlier,
    Questions,
    Results,
    adopted,
    covers,
    find_earlier,
    read_results,
    resolve_reuse,
)
from generation.storage.base import Storage, Stored
from generation.storage.folder import FolderStorage
from generation.storage.keys import results_key
from tests.loopback.s3 import MotoS3
from tests.support.stores import (
    JOB_ID,
    PREFIX,
    RUN_A,
    RUN_B,
    RUN_C,
    away,
    cost,
    document_of,
    documented,
    failed,
    opened,
    save_run,
    symbol,
)

PREVIOUS_KEY = "results/before.json"
KEY = results_key(JOB_ID)


@pytest.fixture
def storage(tmp_path: Path) -> FolderStorage:
    return FolderStorage(tmp_path / "store")


def write(storage: Storage, key: str, body: bytes) -> None:
    asyncio.run(storage.write(key, body))


def save(storage: Storage, run: str, *segments: Iterable[Outcome]) -> None:
    asyncio.run(save_run(storage, run, *(list(one) for one in segments)))


def known(
    storage: Storage, positions: int, hashes: Mapping[int, str] | None = None, previous_key: str | None = None
) -> Earlier:
    """What a job of so many symbols is spared; their hashes are "same" where nothing else is said."""
    found = asyncio.run(find_earlier(storage, JOB_ID, previous_key))
    assert found.warnings == ()
    symbols = [symbol(position) for position in range(positions)]
    every = dict.fromkeys(range(positions), "same") | dict(hashes or {})
    return resolve_reuse(found, symbols, Questions(every), [one.symbol_id for one in symbols])


def results_of(*outcomes: Outcome) -> Results:
    results = read_results(document_of(outcomes))
    assert results is not None
    return results


NOW = Origin(2, "luna", "English", "none")
BEFORE = NOW._replace(prompt_version=1)


def test_the_version_of_the_prompt_and_a_model_that_is_gone_take_no_summary_away(storage: FolderStorage) -> None:
    """Of the job's own results and of previous ones, what another wording or a retired model wrote stays valid."""
    write(storage, KEY, document_of([documented(0, origin=BEFORE), failed(3, "refused", content_hash="gone")]))
    before = [documented(1, origin=BEFORE), documented(2, content_hash="gone"), documented(4, content_hash="else")]
    write(storage, PREVIOUS_KEY, document_of(before))
    found = asyncio.run(find_earlier(storage, JOB_ID, PREVIOUS_KEY))
    asked = Questions(dict.fromkeys(range(5), "same"), lambda _: ["gone"])
    earlier = resolve_reuse(found, [symbol(position) for position in range(5)], asked, [])
    free: dict[str, Any] = {"usage": NO_USAGE, "source": "previous"}
    assert earlier.outcomes == {
        0: documented(0, origin=BEFORE),
        1: replace(before[0], **free),
        2: replace(before[1], **free),
    }
    assert earlier.paid == {}


def test_a_job_that_renews_keeps_only_what_its_own_runs_have_written_so(storage: FolderStorage) -> None:
    """Nothing of previous results, of another wording or of unknown origin; what a killed run renewed stays."""
    write(storage, PREVIOUS_KEY, document_of([documented(position, origin=NOW) for position in range(4)]))
    write(storage, KEY, document_of([documented(0), documented(1, origin=BEFORE), documented(2, origin=NOW)]))
    found = asyncio.run(find_earlier(storage, JOB_ID, PREVIOUS_KEY))
    asked = Questions(dict.fromkeys(range(4), "same"), renew=NOW)
    earlier = resolve_reuse(found, [symbol(position) for position in range(4)], asked, [])
    assert earlier.outcomes == {2: documented(2, origin=NOW)}
    assert earlier.paid == {0: cost(100), 1: cost(100)}


# The job's own runs.


def test_a_job_that_is_new_is_spared_nothing(storage: FolderStorage) -> None:
    """Where nothing is stored nothing is known, and there is no version to replace."""
    assert known(storage, 2) == Earlier({}, {}, (), None, (), {})


@pytest.mark.parametrize("place", ["a segment", "the results document"])
def test_a_summary_holds_where_the_content_is_the_same(place: str, storage: FolderStorage) -> None:
    """A symbol with the same hash is taken over whole, wherever it was saved; one with another is not."""
    outcomes = [documented(0), documented(1), documented(2, content_hash="")]
    if place == "a segment":
        save(storage, RUN_A, outcomes)
    else:
        write(storage, KEY, document_of(outcomes))
    earlier = known(storage, 3, {1: "other"})
    assert earlier.outcomes == {0: documented(0)}
    assert earlier.paid == {}


def test_a_summary_goes_to_where_its_symbol_is_now(storage: FolderStorage) -> None:
    """A symbol is found by its id: it may stand elsewhere in the input than it did."""
    save(storage, RUN_A, [Documented(40, "s1", "Summary 1.", cost(100), content_hash="same")])
    assert known(storage, 3).outcomes == {1: documented(1)}


def test_what_several_runs_have_paid_is_added_up(storage: FolderStorage) -> None:
    """A symbol that failed twice and was documented then costs all three; one that only failed is asked again."""
    write(storage, KEY, document_of([failed(0, tokens=1), failed(1, tokens=5)]))
    save(storage, RUN_A, [failed(0, tokens=20), failed(1, tokens=50)])
    save(storage, RUN_B, [documented(0, tokens=300)])
    earlier = known(storage, 2)
    in_all = cost(1) + cost(20) + cost(300)
    assert earlier.outcomes == {0: Documented(0, "s0", "Summary 0.", in_all, content_hash="same")}
    assert earlier.paid == {1: cost(5) + cost(50)}


@pytest.mark.parametrize(
    ("included", "tokens"),
    [({}, 1_101), ({RUN_A: 1}, 1_101), ({RUN_A: 2}, 1_001), ({RUN_A: EVERY_SEGMENT}, 1_001), ({RUN_B: 1}, 101)],
)
def test_what_the_results_include_is_not_counted_twice(
    included: dict[str, int], tokens: int, storage: FolderStorage
) -> None:
    """A kill between storing results and removing segments: what the results say they include is not added to them."""
    save(storage, RUN_A, [failed(1, tokens=10)], [documented(0, tokens=100)])
    save(storage, RUN_B, [failed(0, tokens=1_000)])
    write(storage, KEY, document_of([documented(0, tokens=1)], included))
    earlier = known(storage, 1)
    assert earlier.outcomes[0].usage.total_tokens == tokens
    assert len(earlier.segments) == 3
    assert earlier.included == {RUN_A: max(2, included.get(RUN_A, 0)), RUN_B: 1}


@pytest.mark.parametrize("failure", ["refused", "content_filter"])
def test_a_final_failure_stays(failure: str, storage: FolderStorage) -> None:
    """Who was refused is not asked again, where the content is the same; with other content it is."""
    save(storage, RUN_A, [failed(0, failure), failed(1, failure)])
    earlier = known(storage, 2, {1: "other"})
    assert earlier.outcomes == {0: failed(0, failure)}
    assert earlier.paid == {}


@pytest.mark.parametrize(
    "failure", ["timeout", "connection", "server_error", "bad_answer", "answer_cut_off", "bad_request",
                "context_too_long", "deadline_exceeded", "cost_cap_reached", "worker_stopping", "no_quota"]
)  # fmt: skip
def test_other_failures_are_asked_again_with_what_they_have_cost(failure: str, storage: FolderStorage) -> None:
    """What another attempt may change gets one, and what the earlier ones were billed is not forgotten."""
    save(storage, RUN_A, [failed(0, failure, tokens=70)])
    earlier = known(storage, 1)
    assert earlier.outcomes == {}
    assert earlier.paid == {0: cost(70)}


def test_a_summary_goes_before_a_refusal(storage: FolderStorage) -> None:
    """Where one run was refused and another got a summary, the summary counts, and both are paid."""
    save(storage, RUN_A, [failed(0, "refused", tokens=30)])
    save(storage, RUN_B, [documented(0)])
    (outcome,) = known(storage, 1).outcomes.values()
    assert outcome == Documented(0, "s0", "Summary 0.", cost(30) + cost(100), content_hash="same")


def test_a_summary_that_was_written_offline_is_no_summary_of_a_model(storage: FolderStorage) -> None:
    """Who has lowered `min_centrality` since gets what a model writes, even under the same hash."""
    write(storage, KEY, document_of([Documented(0, "s0", "Free.", source="offline", content_hash="same")]))
    assert known(storage, 1).outcomes == {}


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"7", b"\xff", b"{}", b'{"documented_symbols": {}}', b'{"a":' * 100_000]
)
def test_a_results_document_that_is_none_counts_as_none(body: bytes, storage: FolderStorage) -> None:
    """The job goes on from its segments, and its results will take the place of what is there."""
    save(storage, RUN_A, [documented(0)])
    write(storage, KEY, body)
    earlier = known(storage, 1)
    assert earlier.outcomes == {0: documented(0)}
    stored = asyncio.run(storage.read(KEY))
    assert stored is not None
    assert earlier.version == stored.version


def test_a_results_document_with_garbage_in_it_is_read_as_far_as_it_goes() -> None:
    """Records, lists and inclusions that make no sense are passed over one by one."""
    body = json.loads(document_of([documented(0)], {RUN_A: 2}))
    body |= {"failed_symbols": "none", "documented_symbols": [None, *body["documented_symbols"], {"symbol_id": 7}]}
    body["checkpoint"] |= {RUN_B: "all", RUN_C: None}
    results = read_results(json.dumps(body).encode())
    assert results is not None
    assert list(results.records) == ["s0"]
    assert results.included == {RUN_A: 2}


class EndingMeanwhile(FolderStorage):
    """A folder in which another run ends just after the first look at its segments, or at the results."""

    def __init__(self, folder: Path, after: str) -> None:
        super().__init__(folder)
        self._after = after

    async def list_keys(self, prefix: str) -> list[str]:
        keys = await super().list_keys(prefix)
        await self._end_after("segments")
        return keys

    async def read(self, key: str) -> Stored | None:
        stored = await super().read(key)
        await self._end_after("results" if key == KEY else "")
        return stored

    async def _end_after(self, looked_at: str) -> None:
        if looked_at == self._after:
            self._after = ""
            await super().write(KEY, document_of([documented(0)], {RUN_A: EVERY_SEGMENT}))
            await super().delete([f"{PREFIX}{RUN_A}-000000.jsonl"])


@pytest.mark.parametrize("after", ["segments", "results"])
def test_a_run_that_ends_just_now_is_found_in_its_results(after: str, tmp_path: Path) -> None:
    """Whenever another run stores its results and removes its segments, what it has paid for is in one of the two."""
    save(FolderStorage(tmp_path), RUN_A, [documented(0)])
    earlier = known(EndingMeanwhile(tmp_path, after), 1)
    assert earlier.outcomes == {0: documented(0)}
    stored = asyncio.run(FolderStorage(tmp_path).read(KEY))
    assert stored is not None
    assert earlier.version == stored.version


# A store that is away.


def test_a_store_that_is_away_is_warned_of_and_the_job_goes_on(tmp_path: Path) -> None:
    """What an earlier run may have saved is not found then, and the warning says so."""
    folder = tmp_path / "store"
    storage = FolderStorage(folder)
    save(storage, RUN_A, [documented(0)])
    with away(folder):
        found = asyncio.run(find_earlier(storage, JOB_ID, None))
    assert (found.own, found.version, found.segments.runs) == (None, None, {})
    (warning,) = found.warnings
    assert warning.startswith("what an earlier run may have saved was not found: ")


def test_a_bucket_that_is_away_is_warned_of_and_found_again(moto: MotoS3) -> None:
    """As in a folder so in the bucket, whose fault the warning names; once it is back the job is found."""
    with opened(moto) as storage:
        save(storage, RUN_A, [documented(0)])
        write(storage, KEY, document_of([documented(1)]))
        moto.down()
        found = asyncio.run(find_earlier(storage, JOB_ID, None))
        assert [warning.endswith("R2_BUCKET (ServiceUnavailable)") for warning in found.warnings] == [True]
        moto.up()
        earlier = known(storage, 2)
        assert earlier.outcomes == {0: documented(0), 1: documented(1)}
        assert earlier.version is not None
        assert earlier.segments == (f"{PREFIX}{RUN_A}-000000.jsonl",)


def test_previous_results_that_cannot_be_read_stop_the_job(tmp_path: Path) -> None:
    """Who names previous results wants them used: without the store the job ends rather than pay for all of it."""
    with away(tmp_path / "store"), pytest.raises(StorageError, match="cannot be read"):
        asyncio.run(find_earlier(FolderStorage(tmp_path / "store"), JOB_ID, PREVIOUS_KEY))


# Previous results.


def test_unchanged_symbols_are_taken_over_from_previous_results_at_no_cost(storage: FolderStorage) -> None:
    """Their summaries come with the source "previous", their checks and no tokens; changed symbols do not come."""
    write(storage, PREVIOUS_KEY, document_of([documented(0), documented(1), documented(2, content_hash="")]))
    earlier = known(storage, 3, {1: "other"}, PREVIOUS_KEY)
    expected = Documented(0, "s0", "Summary 0.", NO_USAGE, "previous", content_hash="same")
    assert earlier.outcomes == {0: expected}
    assert earlier.paid == {}
    assert earlier.version is None


def test_previous_results_can_be_taken_over_again_and_again(storage: FolderStorage) -> None:
    """A summary that was itself taken over is as good as it was."""
    write(storage, PREVIOUS_KEY, document_of([documented(0, source="previous")]))
    assert known(storage, 1, previous_key=PREVIOUS_KEY).outcomes.keys() == {0}


def test_failures_of_previous_results_are_nobodys(storage: FolderStorage) -> None:
    """A refusal there is asked again here, as the README says, and what it cost belongs to the other job."""
    write(storage, PREVIOUS_KEY, document_of([failed(0, "refused"), failed(1, "timeout")]))
    earlier = known(storage, 2, previous_key=PREVIOUS_KEY)
    assert (earlier.outcomes, earlier.paid) == ({}, {})


def test_what_was_written_offline_before_is_not_taken_over(storage: FolderStorage) -> None:
    """Nothing was paid for it, and a model may write it now."""
    write(storage, PREVIOUS_KEY, document_of([documented(0, source="offline")]))
    assert known(storage, 1, previous_key=PREVIOUS_KEY).outcomes == {}


def test_what_the_job_has_paid_itself_goes_before_previous_results(storage: FolderStorage) -> None:
    """A summary of the job's own run stays; one that is taken over carries what the job's own attempts had cost."""
    previous = [documented(0, summary="Before."), documented(1, summary="Before."), documented(2, summary="Before.")]
    write(storage, PREVIOUS_KEY, document_of(previous))
    save(storage, RUN_A, [documented(0), failed(1, tokens=70), failed(2, "refused", tokens=30)])
    outcomes = known(storage, 3, previous_key=PREVIOUS_KEY).outcomes
    assert outcomes[0] == documented(0)
    assert outcomes[1] == Documented(1, "s1", "Before.", cost(70), "previous", content_hash="same")
    assert outcomes[2] == failed(2, "refused", tokens=30)


def test_symbols_that_are_gone_are_listed_in_the_order_of_the_previous_results(storage: FolderStorage) -> None:
    """`removed` has those of the previous results that the job does not have in any form, documented ones first."""
    outcomes: list[Outcome] = [documented(9), documented(0), documented(5), failed(7), failed(1)]
    write(storage, PREVIOUS_KEY, document_of(outcomes))
    found = asyncio.run(find_earlier(storage, JOB_ID, PREVIOUS_KEY))
    earlier = resolve_reuse(found, [symbol(0)], Questions({0: "same"}), ["s0", "s1"])
    assert earlier.removed == ("s5", "s9", "s7")


def test_symbols_that_are_gone_from_the_job_itself_are_not_listed(storage: FolderStorage) -> None:
    """A job that is sent again with fewer symbols has removed nothing."""
    write(storage, KEY, document_of([documented(0), documented(1)]))
    save(storage, RUN_A, [documented(2)])
    assert known(storage, 1).removed == ()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (None, "names nothing"),
        (b"{", "names no results document"),
        (b"[]", "names no results document"),
        (b'{"symbols": []}', "names no results document"),
        (b'{"documented_symbols": 3}', "names no results document"),
        (b"[" * 100_000, "names no results document"),
        (b"\xff\xfe", "names no results document"),
    ],
)
def test_a_previous_results_key_that_leads_nowhere_is_refused_in_words(
    body: bytes | None, reason: str, storage: FolderStorage
) -> None:
    """The sentence has the option, the key, what is wrong and what to do, and nothing of what stands there."""
    if body is not None:
        write(storage, PREVIOUS_KEY, body)
    with pytest.raises(InputError) as refused:
        asyncio.run(find_earlier(storage, JOB_ID, PREVIOUS_KEY))
    sentence = f"previous_results_key: {PREVIOUS_KEY} {reason}; leave it out to document every symbol"
    assert str(refused.value) == sentence
    assert refused.value.failure == "bad_input"


# What another run has put there.


@pytest.mark.parametrize(
    ("theirs", "ours", "covered"),
    [
        ([], [], True),
        ([], [failed(0)], True),
        ([documented(0)], [], True),
        ([documented(0), documented(1)], [documented(0)], True),
        ([documented(0)], [documented(0, summary="Other words.", tokens=5), failed(1)], True),
        ([documented(0)], [documented(0), documented(1)], False),
        ([failed(0)], [documented(0)], False),
        ([documented(0, content_hash="other")], [documented(0)], False),
    ],
)
def test_a_document_covers_ours_where_it_has_a_summary_for_each_of_ours(
    theirs: list[Outcome], ours: list[Outcome], covered: bool
) -> None:
    """In whatever words, but from the same content; what failed here needs none."""
    assert covers(results_of(*theirs), ours) is covered


@pytest.mark.parametrize(
    ("theirs", "summary"),
    [
        ([documented(0)], "Summary 0."),
        ([documented(0, content_hash="other")], None),
        ([failed(0, "refused")], None),
        ([documented(1)], None),
    ],
)
def test_what_failed_here_takes_their_summary_of_the_same_content(theirs: list[Outcome], summary: str | None) -> None:
    """A symbol that another run has documented need not stay failed."""
    taken = adopted(results_of(*theirs), failed(0))
    assert (taken.summary if taken else None) == summary


def test_what_is_taken_has_our_place_and_their_cost() -> None:
    """The position is that of this job's input, the usage is what the other run has paid."""
    theirs: Any = Documented(40, "s0", "Theirs.", cost(9), content_hash="same")
    assert adopted(results_of(theirs), failed(0)) == Documented(0, "s0", "Theirs.", cost(9), content_hash="same")


def test_what_has_no_hash_is_adopted_by_nobody() -> None:
    """An invalid symbol has no content: a record that has no hash either is not its summary."""
    invalid = failed(0, "invalid_symbol", tokens=0, content_hash="")
    assert adopted(results_of(documented(0, content_hash="")), invalid) is None
