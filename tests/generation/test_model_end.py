"""The end of the default model at every door, with the clock moved over the date: who set none goes on, and is told."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from generation.bulk.__main__ import COMMANDS, CommandContext, parser
from generation.config import ServiceSettings, Settings
from generation.domain.output import ProgressSnapshot
from generation.errors import AccountError
from generation.service.app import Service, make_app
from generation.storage import open_storage
from handler import make_handler
from tests.loopback.openai import Behaviour, RunningServer, running
from tests.support.contexts import payload
from tests.support.jobs import run_job_to_dict

END = date(2026, 12, 11)
DAYS = {"the day before": END - timedelta(1), "the day": END}
MODELS = {"the day before": "gpt-5-nano", "the day": "gpt-5.6-luna"}
EACH_DAY = pytest.mark.parametrize("day", DAYS)
WARNING = "MODEL_NAME is not set, and OpenAI "


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with running(Behaviour(count_by="characters", keep_requests=True), write) as server:
        yield server


def write(_request: dict[str, Any], prompt: str) -> str:
    """A model whose summaries pass every check."""
    (name,) = re.findall(r"(?m)^Name: (\S+)$", prompt)
    return json.dumps({"summary": f"Does for its callers what only {name} can do."})


def settings_for(server: RunningServer, folder: Path, **given: str) -> Settings:
    environ = {"OPENAI_API_KEY": "key", "OPENAI_BASE_URL": server.base_url, "RESULTS_DIR": str(folder)}
    return Settings.from_env({**environ, **given})


def run(settings: Settings, day: date, job_input: dict[str, Any], job_id: str = "job") -> dict[str, Any]:
    job = run_job_to_dict(job_input, settings, default_job_id=job_id, emit=lambda _: None, today=lambda: day)
    return asyncio.run(job)


def asked(server: RunningServer) -> list[tuple[str, str]]:
    return [(request["model"], request["reasoning_effort"]) for request in server.requests]


async def through_handler(settings: Settings, day: date, job_input: dict[str, Any]) -> Any:
    async def send(_job: dict[str, Any], _snapshot: ProgressSnapshot) -> None:
        """Nobody listens."""

    handle = make_handler(settings, send, asyncio.Event(), today=lambda: day)
    return await handle({"id": "job", "input": job_input})


async def through_service(settings: Settings, day: date, job_input: dict[str, Any]) -> Any:
    """Call the service's application as its server does."""
    app = make_app(Service(settings, ServiceSettings(), today=lambda: day))
    body = [{"type": "http.request", "body": json.dumps(job_input).encode(), "more_body": False}]
    sent: list[dict[str, Any]] = []
    scope = {"type": "http", "method": "POST", "path": "/generate", "raw_path": b"/generate", "query_string": b""}
    scope |= {"headers": [(b"content-type", b"application/json")], "http_version": "1.1", "scheme": "http"}

    async def receive() -> dict[str, Any]:
        return body.pop() if body else await asyncio.get_running_loop().create_future()

    async def send(message: Any) -> None:
        sent.append(dict(message))

    await app(scope, receive, send)
    return json.loads(b"".join(message.get("body", b"") for message in sent))


@EACH_DAY
@pytest.mark.parametrize("call", [through_handler, through_service])
@pytest.mark.parametrize("dry_run", [False, True], ids=["job", "plan"])
def test_a_job_has_the_model_of_its_day_and_a_warning(
    call: Callable[..., Any], day: str, dry_run: bool, server: RunningServer, tmp_path: Path
) -> None:
    """The output and the plan of a job name the model that is asked, and they and the log warn of it."""
    records: list[str] = []
    log = logging.getLogger("generation.job")
    log.addHandler(handler := _Kept(records))
    try:
        output = asyncio.run(call(settings_for(server, tmp_path), DAYS[day], payload(1, dry_run=dry_run)))
    finally:
        log.removeHandler(handler)
    assert output["model"] == MODELS[day]
    assert output["pricing"]["output_per_1m"] == {"gpt-5-nano": 0.6, "gpt-5.6-luna": 1.2}[MODELS[day]]
    assert [model for model, _ in asked(server)] == ([] if dry_run else [MODELS[day]])
    assert sum(one.startswith(WARNING) for one in output["warnings"]) == 1
    assert any(WARNING in one for one in records)


class _Kept(logging.Handler):
    def __init__(self, records: list[str]) -> None:
        super().__init__()
        self._records = records

    def emit(self, record: logging.LogRecord) -> None:
        self._records.append(record.getMessage())


def command(settings: Settings, day: date, *arguments: str) -> int:
    context = CommandContext(parser().parse_args(arguments), {}, settings, open_storage(settings), lambda: day)
    return asyncio.run(COMMANDS[arguments[0]](context))


@EACH_DAY
def test_a_bulk_run_has_the_model_of_its_day_and_a_warning(
    day: str, server: RunningServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The plan, the summary, the status and the results of a run warn, and the results name the model."""
    source = tmp_path / "a.json"
    source.write_text(json.dumps(payload(2)), encoding="utf-8")
    settings = settings_for(server, tmp_path / "results")

    assert command(settings, DAYS[day], "plan", str(source)) == 0
    assert f"warning: {WARNING}" in capsys.readouterr().out
    assert command(settings, DAYS[day], "run", str(source), "--via", "local", "--run", "r", "--json") == 0
    told = capsys.readouterr()
    assert WARNING in told.err
    assert WARNING in json.loads(told.out.splitlines()[-1])["warnings"][0]
    assert command(settings, DAYS[day], "status", "r") == 0
    assert f"warning: {WARNING}" in capsys.readouterr().out
    document = json.loads((tmp_path / "results" / "r" / "a.json").read_text(encoding="utf-8"))
    assert document["model"] == MODELS[day]
    assert WARNING in document["warnings"][0]
    assert {model for model, _ in asked(server)} == {MODELS[day]}


def test_summaries_of_the_model_that_is_gone_are_taken_over(server: RunningServer, tmp_path: Path) -> None:
    """An incremental job after the date buys what has changed, of the replacement; a changed language buys it all."""
    settings = settings_for(server, tmp_path)
    run(settings, END - timedelta(1), payload(6), "monday")
    changed = payload(6)
    changed["symbols"][2]["context"]["source_code"] = "def changed(): pass"
    server.reset()

    output = run(settings, END, {**changed, "previous_results_key": "results/monday.json"}, "tuesday")

    assert [one["source"] for one in output["documented_symbols"]].count("previous") == 5
    assert asked(server) == [("gpt-5.6-luna", "none")]
    server.reset()
    again = run(settings, END, {**changed, "previous_results_key": "results/tuesday.json"}, "wednesday")
    assert (again["status"], again["total_tokens"], asked(server)) == ("success", 0, [])
    stored = json.loads((tmp_path / "wednesday.json").read_text(encoding="utf-8"))["documented_symbols"]
    assert [one["origin"]["model"] for one in stored].count("gpt-5-nano") == 5
    german = {"previous_results_key": "results/tuesday.json", "options": {"output_language": "German"}}
    output = run(settings, END, {**changed, **german}, "german")
    assert "previous" not in {one["source"] for one in output["documented_symbols"]}


@pytest.mark.parametrize("options", [{"renew": True}, {"model": "gpt-5.6-luna"}], ids=["renew", "another model"])
def test_what_is_asked_for_on_purpose_is_bought_again(
    options: dict[str, Any], server: RunningServer, tmp_path: Path
) -> None:
    """While a model exists, another one documents every symbol anew, and so does `renew`, once."""
    settings = settings_for(server, tmp_path, MODEL_NAME="gpt-5-nano")
    run(settings, END - timedelta(1), payload(3), "monday")
    server.reset()
    renewed = {**payload(3), "previous_results_key": "results/monday.json", "options": options}
    assert run(settings, END - timedelta(1), renewed, "tuesday")["usage"]["requests"] == 3
    run(settings, END - timedelta(1), renewed, "tuesday")
    assert len(asked(server)) == 3


def test_a_model_that_is_set_is_asked_to_its_end_and_after(server: RunningServer, tmp_path: Path) -> None:
    """In the setting or in the job: after the date the server says that it is gone, and the job says what to set."""
    server.set_behaviour(Behaviour(count_by="characters", retired_models=["gpt-5-nano"], keep_requests=True))
    for settings, options in (
        (settings_for(server, tmp_path, MODEL_NAME="gpt-5-nano"), {}),
        (settings_for(server, tmp_path), {"model": "gpt-5-nano"}),
    ):
        with pytest.raises(AccountError, match=r"set MODEL_NAME=gpt-5.6-luna"):
            run(settings, END, payload(2, **options))
