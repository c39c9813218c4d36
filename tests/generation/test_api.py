"""The public API: symbols that a program has at hand are documented without building a payload."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from generation import InputError, JobOptions, JobRequest, Settings, SymbolContext, document
from generation.reporting.events import Event
from tests.support.contexts import FUNCTIONS, context
from tests.support.jobs import run_job_to_dict

SYMBOLS = [SymbolContext(**context(name)) for name in FUNCTIONS]


def offline(folder: Path) -> Settings:
    return Settings.from_env({"MODEL_NAME": "offline", "RESULTS_DIR": str(folder)})


def documented(folder: Path, symbols: list[SymbolContext] = SYMBOLS, **request: Any) -> dict[str, Any]:
    job = JobRequest("typed", **request)
    return dict(asyncio.run(document(job, symbols, offline(folder), emit=lambda _: None)))


def without_what_differs(output: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in output.items() if key not in {"duration_ms", "results"}}


def test_documenting_symbols_gives_what_their_payload_gives(tmp_path: Path) -> None:
    """A job of contexts and the job of the payload that holds the same have the same output."""
    items = [
        {"symbol_id": one.symbol_id, "context": context(name)} for one, name in zip(SYMBOLS, FUNCTIONS, strict=True)
    ]
    payload = {"job_id": "typed", "symbols": items}
    by_payload = asyncio.run(
        run_job_to_dict(payload, offline(tmp_path / "payload"), default_job_id="x", emit=lambda _: None)
    )

    by_symbols = documented(tmp_path / "symbols")
    assert without_what_differs(by_symbols) == without_what_differs(by_payload)
    assert by_symbols["documented_count"] == len(SYMBOLS)
    assert json.loads((tmp_path / "symbols" / "typed.json").read_bytes())["job_id"] == "typed"


def test_options_and_events_are_those_of_every_job(tmp_path: Path) -> None:
    """A request's options hold for its job alone, and its events come in the order of every job's."""
    told: list[Event] = []
    job = JobRequest("typed", JobOptions(max_symbols=2))
    output = asyncio.run(document(job, SYMBOLS, offline(tmp_path), emit=told.append))

    assert output["status"] == "partial"
    assert (told[0].type, told[-1].type) == ("generation.started.v1", "generation.completed.v1")
    assert len(told) == len(SYMBOLS) + 2


def test_a_dry_run_returns_its_plan_and_stores_nothing(tmp_path: Path) -> None:
    """With dry_run the output is the plan, and the folder of results stays empty."""
    output = documented(tmp_path / "results", options=JobOptions(dry_run=True))

    assert output["status"] == "planned"
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("symbols", "words"), [([], "nothing to document"), ([SYMBOLS[0], SYMBOLS[0]], "used more than once")]
)
def test_what_is_no_job_is_one_sentence(tmp_path: Path, symbols: list[SymbolContext], words: str) -> None:
    """No symbols, and two symbols of one id, are refused before anything is asked."""
    with pytest.raises(InputError, match=words):
        documented(tmp_path, symbols)
