"""Which request may be asked next: callees before callers, and nothing that waits for what it does not need."""

from __future__ import annotations

from generation.config import Settings
from generation.domain.outcome import Request, Symbol
from generation.domain.usage import Usage
from generation.intake.symbols import parse_symbols
from generation.planning.planner import make_plan
from generation.planning.schedule import Schedule
from tests.support.contexts import item


def schedule_of(calls: dict[str, list[str]], centrality: dict[str, float], **settings: str) -> Schedule:
    items = [item(name, calls=called, centrality=centrality.get(name, 0.0)) for name, called in calls.items()]
    symbols = [one for one in parse_symbols(items, set()) if isinstance(one, Symbol)]
    return Schedule(make_plan(symbols, Settings.from_env({"OPENAI_API_KEY": "key", **settings})))


def names(request: Request) -> list[str]:
    return [symbol.context.name for symbol in request.symbols]


def drain(schedule: Schedule) -> list[list[str]]:
    return [names(schedule.next()) for _ in range(schedule.ready)]


def test_among_what_is_ready_the_most_central_comes_first() -> None:
    """Symbols that call nobody are ready at once, by centrality."""
    assert drain(schedule_of({"a": [], "b": [], "c": []}, {"b": 0.9, "c": 0.2})) == [["b"], ["c"], ["a"]]


def test_a_caller_is_ready_when_the_last_of_its_callees_has_ended() -> None:
    """A caller of two waits for both, and not for a third that it does not call, however central it is itself."""
    schedule = schedule_of({"caller": ["x", "y"], "x": [], "y": [], "z": []}, {"caller": 0.9, "z": 0.1})
    assert drain(schedule) == [["z"], ["x"], ["y"]]
    schedule.finish(1)
    assert schedule.ready == 0
    schedule.finish(2)
    assert drain(schedule) == [["caller"]]


def test_without_callees_first_nobody_waits() -> None:
    """CALLEES_FIRST=false makes every request ready at the start."""
    schedule = schedule_of({"a": ["b"], "b": ["c"], "c": []}, {"a": 0.5}, CALLEES_FIRST="false")
    assert drain(schedule) == [["a"], ["b"], ["c"]]


def test_a_group_is_ready_when_all_callees_of_its_members_have_ended() -> None:
    """A request for several symbols waits for whom any of them calls."""
    schedule = schedule_of({"a": ["x"], "b": ["y"], "x": [], "y": []}, {}, BATCH_MODE="true")
    assert drain(schedule) == [["x", "y"]]
    schedule.finish(2)
    assert schedule.ready == 0
    schedule.finish(3)
    assert drain(schedule) == [["a", "b"]]


def test_who_is_asked_again_comes_before_all_others() -> None:
    """A request with a cost behind it is the next one: others may wait for it."""
    schedule = schedule_of({"a": [], "b": []}, {"a": 0.9})
    schedule.next()
    again = schedule.next()
    schedule.add(again, Request(again.symbols, spent={1: Usage(requests=1)}))
    assert schedule.next().spent
