"""How commands end that somebody interrupts, and go on when nobody reads what they say.

Each command is a process: a job of a file, a bulk run in its own process, and the build of a pack.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from generation.config import VOCABULARY_DIR
from tests.loopback.openai import Behaviour, RunningServer
from tests.loopback.openai import running as running_openai
from tests.support.bulk_runs import KEY, NAME, PATIENCE
from tests.support.contexts import payload
from tests.support.waiting import LIMIT_S, wait_until
from tests.support.worker_process import REPOSITORY_ROOT, RunningProcess, running_process

SYMBOLS = 12
ANSWERED = 4
MAINS = {
    "handler": "import handler; handler.main()",
    "bulk": "from generation.bulk.__main__ import main; main()",
    "doctown": "from doctown.__main__ import command; command()",
}


def good(_body: Any, prompt: str) -> str:
    """A summary that no check finds fault with, so that no symbol is asked for twice."""
    return json.dumps({"summary": f"Keeps the books of a shop in order, customer by customer, {len(prompt)} times."})


@pytest.fixture(scope="module")
def openai() -> Iterator[RunningServer]:
    """A server that answers four requests and holds all others, until it is told otherwise."""
    with running_openai(Behaviour(count_by="characters", marker=NAME, hold_after=ANSWERED), good) as server:
        yield server


def command_of(name: str, folder: Path) -> list[str]:
    """The command with work for 12 symbols; requests that are held are waited for."""
    arguments: Sequence[str]
    if name == "doctown":
        (folder / "project").mkdir()
        source = "".join(f"def f{number}():\n    return {number}\n\n" for number in range(SYMBOLS))
        (folder / "project" / "a.py").write_text(source, encoding="utf-8")
        arguments = ("build", "project", "--embeddings", "words", "--clusters", "1", "--json", "--no-cache", "--yes")
    else:
        (folder / "in.json").write_text(json.dumps(payload(SYMBOLS)), encoding="utf-8")
        arguments = ("in.json",)
        if name == "bulk":
            arguments = ("run", "in.json", "--via", "local", "--run", "r", "--json")
    return [sys.executable, "-c", f"{PATIENCE}; {MAINS[name]}", *arguments]


def environment(folder: Path, **more: str) -> dict[str, str]:
    return {
        "PYTHONPATH": str(REPOSITORY_ROOT),
        "RESULTS_DIR": str(folder / "results"),
        "TIKTOKEN_CACHE_DIR": str(VOCABULARY_DIR),
        **more,
    }


def with_model(folder: Path, openai: RunningServer, grace_s: float) -> dict[str, str]:
    own = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": openai.base_url, "MAX_CONCURRENT_REQUESTS": "3"}
    return environment(folder, **own, SHUTDOWN_GRACE_S=str(grace_s))


@pytest.fixture
def held(openai: RunningServer) -> RunningServer:
    openai.set_behaviour(Behaviour(count_by="characters", marker=NAME, hold_after=ANSWERED))
    openai.reset()
    return openai


def wait_for_answers(openai: RunningServer, process: RunningProcess) -> None:
    def has_answered() -> bool:
        return process.returncode is not None or sum(openai.bill()["bought"].values()) >= ANSWERED

    wait_until(has_answered, "four answers")


@pytest.mark.parametrize("name", MAINS)
def test_a_second_ctrl_c_ends_a_command_at_once(name: str, held: RunningServer, tmp_path: Path) -> None:
    """With requests in flight that nobody will answer, Ctrl-C twice ends the command with 130 and no traceback."""
    with running_process(command_of(name, tmp_path), with_model(tmp_path, held, grace_s=90), tmp_path) as process:
        wait_for_answers(held, process)
        # Two signals that come before the first is seen are one, so more are sent.
        while process.returncode is None:
            os.kill(process.pid, signal.SIGINT)
            wait_until(lambda: process.returncode is not None or held.bill() is not None)
        # The interpreter, once it has begun to end, leaves the signal to the system, and the shell says 130 for it.
        assert process.returncode in (130, -signal.SIGINT)
    assert "Traceback" not in process.stderr()


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_first_signal_ends_a_job_in_order(sent: signal.Signals, held: RunningServer, tmp_path: Path) -> None:
    """`python handler.py` ends with 1 and one results document, which has whatever was bought, once."""
    with running_process(command_of("handler", tmp_path), with_model(tmp_path, held, grace_s=3), tmp_path) as process:
        wait_for_answers(held, process)
        os.kill(process.pid, sent)
        process.wait_for_output("generation.completed.v1", LIMIT_S)
        assert process.wait(LIMIT_S) == 1
    document = json.loads((tmp_path / "results" / "in.json").read_bytes())
    assert 0 < document["documented_count"] == len(held.bill()["bought"]) < SYMBOLS
    assert {one["failure"] for one in document["failed_symbols"]} == {"worker_stopping"}
    assert "Traceback" not in process.stderr()


@pytest.mark.parametrize("name", MAINS)
@pytest.mark.parametrize("closed", ["pipe", "descriptor"])
def test_a_closed_output_ends_nothing(name: str, closed: str, tmp_path: Path) -> None:
    """Where nobody reads standard output, or it was closed before the start, all is documented and nothing is said."""
    command = command_of(name, tmp_path)
    reading, writing = os.pipe()
    os.close(reading)
    if closed == "descriptor":
        command = ["sh", "-c", 'exec "$0" "$@" >&-', *command]
    ended = subprocess.run(
        command,
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), **environment(tmp_path, MODEL_NAME="offline")},
        stdin=subprocess.DEVNULL,
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    os.close(writing)
    assert ended.returncode == 0, ended.stderr
    assert "Broken" not in ended.stderr
    assert "Traceback" not in ended.stderr
    results = {"handler": "results/in.json", "bulk": "results/r/in.json", "doctown": "output/project.docpack"}
    assert (tmp_path / results[name]).stat().st_size > 1_000
