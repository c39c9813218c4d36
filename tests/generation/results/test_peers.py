"""Two runs of one job share it: each takes what the other has saved, and asks for the rest."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from generation.domain.context import SymbolContext
from generation.domain.outcome import Documented, Outcome, Request, Symbol
from generation.domain.usage import NO_USAGE
from generation.executor import generate
from generation.planning.planner import make_plan
from generation.planning.schedule import Schedule
from generation.results.checkpoint import EVERY_SEGMENT, FIRST_SEGMENT_SYMBOLS, Checkpoint, run_name_of
from generation.results.peers import PeerRuns, sharing
from generation.results.reuse import Earlier
from generation.storage.base import Storage
from generation.storage.folder import FolderStorage
from generation.storage.keys import results_key
from tests.loopback.s3 import MotoS3
from tests.support.contexts import context
from tests.support.stores import (
    JOB_ID,
    PREFIX,
    RUN_A,
    RUN_B,
    RUN_C,
    SETTINGS,
    away,
    cost,
    document_of,
    documented,
    failed,
    on_invented_time,
    opened,
    save_run,
    symbol,
)


def others_of(storage: Storage, segments: Sequence[str] = (), run: str = RUN_B) -> PeerRuns:
    included = {run_name_of(key): number for number, key in enumerate(segments, start=1)}
    return PeerRuns(storage, JOB_ID, run, Earlier({}, {}, (), None, tuple(segments), included))


def free(position: int) -> Documented:
    """A summary as it is taken: what it has cost is told apart."""
    return replace(documented(position), usage=NO_USAGE)


def taken(others: PeerRuns, positions: int) -> list[Documented | None]:
    return [others.take(position, f"s{position}", "same") for position in range(positions)]


# What others have saved.


def test_what_another_run_has_saved_is_taken_after_a_look(tmp_path: Path) -> None:
    """Before the look nothing is known; after it, the summaries of the same content, each at its place now."""

    async def main() -> None:
        storage = FolderStorage(tmp_path)
        others = others_of(storage)
        elsewhere = Documented(40, "s1", "Summary 1.", cost(9), content_hash="same")
        other = documented(2, content_hash="other")
        saved: list[Outcome] = [documented(0), elsewhere, other, failed(3), failed(4, "refused")]
        await save_run(storage, RUN_A, saved)
        assert taken(others, 6) == [None] * 6
        assert await others.look()
        ours = Documented(1, "s1", "Summary 1.", content_hash="same")
        assert taken(others, 6) == [free(0), ours, None, None, None, None]
        assert others.cost("s1", "same", cost(5)) == cost(9) + cost(5)
        assert others.cost("s3", "same", NO_USAGE) == failed(3).usage
        assert others.taken == {0, 1}

    asyncio.run(main())


def test_a_run_alone_sees_nobody(tmp_path: Path) -> None:
    """What a run has saved itself is not another's: not taken, not counted, and not removed in its place."""

    async def main() -> None:
        storage = FolderStorage(tmp_path)
        others = others_of(storage)
        await save_run(storage, RUN_B, [documented(0)])
        assert not await others.look()
        assert taken(others, 1) == [None]
        assert others.included == {RUN_B: EVERY_SEGMENT}
        assert not others.should_run_in_reverse

    asyncio.run(main())


def test_each_look_reads_what_is_new_and_says_up_to_where(tmp_path: Path) -> None:
    """Segments that were there when the run began are known to it already; later ones are read one look after."""

    async def main() -> None:
        storage = FolderStorage(tmp_path)
        checkpoint = await save_run(storage, RUN_A, [documented(0)])
        others = others_of(storage, [f"{PREFIX}{RUN_A}-000000.jsonl"])
        await others.look()
        assert taken(others, 2) == [None, None]
        checkpoint.add(documented(1))
        await checkpoint.save(None)
        assert await others.look()
        assert taken(others, 2) == [None, free(1)]
        assert others.included == {RUN_A: 2, RUN_B: EVERY_SEGMENT}
        assert others.keys == {f"{PREFIX}{RUN_A}-{number:06}.jsonl" for number in range(2)}

    asyncio.run(main())


def test_a_run_that_has_ended_is_found_in_its_results(tmp_path: Path) -> None:
    """A run whose segments are gone has put all it had into the results: what it never showed before is there."""

    async def main() -> None:
        storage = FolderStorage(tmp_path)
        checkpoint = await save_run(storage, RUN_A, [documented(0)])
        others = others_of(storage)
        assert await others.look()
        await storage.write(results_key(JOB_ID), document_of([documented(0), documented(1)]))
        assert await others.look()
        assert taken(others, 2) == [free(0), None]
        await checkpoint.drop()
        assert not await others.look()
        assert taken(others, 2) == [free(0), free(1)]

    asyncio.run(main())


def test_a_store_that_is_away_is_looked_at_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A look that fails stops nobody and forgets nothing; the next one finds what is there."""

    async def main() -> None:
        storage = FolderStorage(tmp_path / "store")
        others = others_of(storage)
        checkpoint = await save_run(storage, RUN_A, [documented(0)])
        assert await others.look()
        checkpoint.add(documented(1))
        await checkpoint.save(None)
        with away(tmp_path / "store"):
            assert await others.look()
        assert taken(others, 2) == [free(0), None]
        assert await others.look()
        assert taken(others, 2) == [free(0), free(1)]

    with caplog.at_level(logging.WARNING):
        asyncio.run(main())
    assert [record.message.startswith(f"job {JOB_ID}: other runs of it") for record in caplog.records] == [True]


def test_others_are_seen_in_the_bucket(moto: MotoS3) -> None:
    """As in a folder: a look, a store that is away, and another look."""

    async def main() -> None:
        others = others_of(storage)
        moto.down()
        assert not await others.look()
        moto.up()
        await save_run(storage, RUN_A, [documented(0)])
        assert await others.look()
        assert taken(others, 1) == [free(0)]

    with opened(moto) as storage:
        asyncio.run(main())


# Which end a run begins at.


@pytest.mark.parametrize(
    ("runs", "run", "should_run_in_reverse"),
    [
        ([], RUN_A, False),
        ([RUN_A], RUN_B, True),
        ([RUN_A, RUN_B], RUN_C, False),
        ([RUN_B], RUN_A, False),
        ([RUN_A, RUN_C], RUN_B, True),
    ],
)
def test_every_second_run_begins_at_the_other_end(
    runs: list[str], run: str, should_run_in_reverse: bool, tmp_path: Path
) -> None:
    """What counts is how many runs began before this one, and not how many there are."""

    async def main() -> bool:
        storage = FolderStorage(tmp_path)
        for position, other in enumerate(runs):
            await save_run(storage, other, [documented(position)])
        others = others_of(storage, run=run)
        assert not others.should_run_in_reverse
        await others.look()
        return others.should_run_in_reverse

    assert asyncio.run(main()) is should_run_in_reverse


def ready(centralities: Sequence[float], **settings: object) -> Schedule:
    symbols = [
        Symbol(place, SymbolContext(**context(f"f{place}", symbol_id=f"s{place}", centrality=centrality)))
        for place, centrality in enumerate(centralities)
    ]
    return Schedule(make_plan(symbols, SETTINGS.model_copy(update=settings)))


def drain(schedule: Schedule) -> list[int]:
    return [schedule.next().symbols[0].position for _ in range(schedule.ready)]


def test_backwards_is_the_exact_reverse() -> None:
    """Also among symbols that are equally central: so two runs meet in the middle, whatever the symbols are."""
    centralities = [0.5, 0.1, 0.5, 0.5, 0.9, 0.1]
    forwards, backwards = ready(centralities), ready(centralities)
    backwards.set_reverse_order(backwards=True)
    assert drain(forwards) == [4, 0, 2, 3, 1, 5]
    assert drain(backwards) == [5, 1, 3, 2, 0, 4]


def test_a_run_can_turn_round_in_mid_run_and_back() -> None:
    """A run may hear only later of one that began before it; what is left then comes in the other order."""
    schedule = ready([0.9, 0.8, 0.7, 0.6, 0.5])
    assert schedule.next().symbols[0].position == 0
    schedule.set_reverse_order(backwards=True)
    schedule.set_reverse_order(backwards=True)
    assert schedule.next().symbols[0].position == 4
    schedule.set_reverse_order(backwards=False)
    assert drain(schedule) == [1, 2, 3]


def test_backwards_too_who_is_asked_again_comes_first() -> None:
    """A request with a cost behind it is the next one in both directions, also when the direction changes."""
    schedule = ready([0.9, 0.8, 0.7])
    first = schedule.next()
    schedule.set_reverse_order(backwards=True)
    schedule.add(Request(first.symbols, spent={0: cost(5)}))
    schedule.set_reverse_order(backwards=False)
    schedule.set_reverse_order(backwards=True)
    assert drain(schedule) == [0, 2, 1]


# Asking only for the rest.


class Asked:
    """A documenter that answers at once, or after a while, and remembers what it was asked."""

    def __init__(self, takes_s: float = 0.0) -> None:
        self.requests: list[Request] = []
        self._takes_s = takes_s

    async def __call__(self, request: Request) -> Sequence[Outcome | Request]:
        self.requests.append(request)
        await asyncio.sleep(self._takes_s)
        return [documented(one.position, summary="Asked.") for one in request.symbols]

    @property
    def positions(self) -> list[int]:
        return [one.position for request in self.requests for one in request.symbols]


def answer(folder: Path, request: Request, *saved: Outcome) -> tuple[Asked, Sequence[Outcome | Request], PeerRuns]:
    """What comes of a request where another run has saved these."""

    async def main() -> tuple[Asked, Sequence[Outcome | Request], PeerRuns]:
        others, asked = others_of(FolderStorage(folder)), Asked()
        await save_run(FolderStorage(folder), RUN_A, saved)
        await others.look()
        hashes = {one.position: "same" for one in request.symbols}
        return asked, await sharing(asked, others, hashes)(request), others

    return asyncio.run(main())


THREE = tuple(symbol(position) for position in range(3))


def test_only_the_rest_of_a_request_is_asked_for(tmp_path: Path) -> None:
    """Of three symbols of which another run has one, two are left to be asked for, by themselves."""
    request = Request(THREE, reasons={2: "too short"})
    asked, outcomes, others = answer(tmp_path, request, documented(1))
    assert outcomes == [free(1), request.part((THREE[0], THREE[2]))]
    assert asked.requests == []
    assert others.taken == {1}


def test_a_request_that_others_have_done_is_not_asked(tmp_path: Path) -> None:
    """Where every symbol is there, nobody is asked."""
    asked, outcomes, _others = answer(tmp_path, Request(THREE), *(documented(position) for position in range(3)))
    assert (asked.requests, outcomes) == ([], [free(position) for position in range(3)])


@pytest.mark.parametrize("saved", [[], [documented(7)], [failed(0)], [documented(0, content_hash="other")]])
def test_a_request_of_which_others_have_nothing_goes_through_as_it_is(saved: list[Outcome], tmp_path: Path) -> None:
    """The very same request is asked, and nothing is marked as another's."""
    request = Request(THREE)
    asked, _outcomes, others = answer(tmp_path, request, *saved)
    assert [one is request for one in asked.requests] == [True]
    assert others.taken == set()


def test_what_has_cost_something_here_comes_to_its_end_here(tmp_path: Path) -> None:
    """A request that is asked again keeps its cost with its outcome: another's summary would leave that homeless."""
    request = Request(THREE[:1], spent={0: cost(50)})
    asked, outcomes, others = answer(tmp_path, request, documented(0))
    assert asked.requests == [request]
    assert outcomes == [documented(0, summary="Asked.")]
    assert others.taken == set()


# Both together.

SYMBOLS, WORKERS = 200, 4


async def one_run(storage: Storage, run: str, asked: Asked, begins_after_s: float) -> list[Outcome]:
    """A run as `job` puts it together: a schedule, a checkpoint that looks at others, and a documenter that shares."""
    await asyncio.sleep(begins_after_s)
    others = others_of(storage, run=run)
    schedule = ready([place / SYMBOLS for place in range(SYMBOLS)])

    async def look() -> bool:
        is_shared = await others.look()
        schedule.set_reverse_order(others.should_run_in_reverse)
        return is_shared

    checkpoint, outcomes = Checkpoint(storage, JOB_ID, run, look), list[Outcome]()
    ask = sharing(asked, others, dict.fromkeys(range(SYMBOLS), "same"))
    async with contextlib.aclosing(generate(schedule, ask, WORKERS, lambda _: None)) as answers:
        async for outcome in answers:
            outcomes.append(outcome)
            if outcome.position not in others.taken:
                checkpoint.add(outcome)
    await checkpoint.save(None)
    return outcomes


@pytest.mark.parametrize("begins_after_s", [0.0, 0.3, 7.0, 60.0])
def test_two_runs_do_a_job_once_between_them(begins_after_s: float, tmp_path: Path) -> None:
    """However much later the second begins, both end with every symbol, and hardly one is asked for twice."""

    async def main() -> tuple[list[Asked], list[list[Outcome]]]:
        asked = [Asked(0.5), Asked(0.5)]
        runs = zip((RUN_A, RUN_B), asked, (0.0, begins_after_s), strict=True)
        storage = FolderStorage(tmp_path)
        return asked, await asyncio.gather(*(one_run(storage, *one) for one in runs))

    asked, outcomes = on_invented_time(main())
    for one in outcomes:
        assert sorted(outcome.position for outcome in one) == list(range(SYMBOLS))
    doubled = set(asked[0].positions) & set(asked[1].positions)
    # Each may have one segment that is not saved, and what is in flight, before it knows of the other and as they meet.
    assert len(doubled) <= 4 * (FIRST_SEGMENT_SYMBOLS + WORKERS)
    assert len(asked[0].positions) == len(set(asked[0].positions))
