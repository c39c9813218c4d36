"""A file documented in this process: every form, any size, and what is said where a server does not answer."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from generation import local
from generation.config import VOCABULARY_DIR, Settings
from generation.local import run_file
from tests.support.contexts import payload
from tests.support.wire import free_port


def environment(folder: Path, **more: str) -> dict[str, str]:
    return {"RESULTS_DIR": str(folder / "results"), "TIKTOKEN_CACHE_DIR": str(VOCABULARY_DIR), **more}


def run(path: Path, **more: str) -> int:
    environ = environment(path.parent, **more)
    return run_file(path, Settings.from_env(environ), environ)


def lines_of(count: int) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in payload(count)["symbols"])


def documented(path: Path) -> list[str]:
    return [one["symbol_id"] for one in json.loads(path.read_bytes())["documented_symbols"]]


def test_packed_lines_are_documented_under_the_files_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """JSON Lines may be gzipped, and a name that no job may have becomes one."""
    path = tmp_path / "my symbols.jsonl.gz"
    path.write_bytes(gzip.compress(lines_of(4), mtime=0))

    assert run(path, MODEL_NAME="offline") == 0
    results = tmp_path / "results" / "my-symbols.json"
    assert documented(results) == [one["symbol_id"] for one in payload(4)["symbols"]]
    assert f"Results: {results}" in capsys.readouterr().out


def test_a_file_of_more_symbols_than_a_job_takes_becomes_a_bulk_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file of any size is documented, with the job's options."""
    monkeypatch.setattr(local, "MAX_JOB_SYMBOLS", 3)
    path = tmp_path / "large.json"
    path.write_text(json.dumps({"input": {**payload(5), "options": {"model": "offline", "max_cost_usd": 1.5}}}))

    assert run(path, OPENAI_API_KEY="key") == 0
    assert documented(tmp_path / "results" / "large" / "large.json") == [
        one["symbol_id"] for one in payload(5)["symbols"]
    ]
    assert "5 of 5 symbols documented" in capsys.readouterr().out


def test_a_server_that_does_not_answer_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A job of which nothing is documented ends with 1, and the address of the server stands there."""
    path, url = tmp_path / "mine.json", f"http://127.0.0.1:{free_port()}/v1"
    path.write_text(json.dumps(payload(2)))

    assert run(path, OPENAI_API_KEY="key", OPENAI_BASE_URL=url, OUTAGE_S="0") == 1
    assert f"{url} was away for 0 s" in capsys.readouterr().out


def test_a_folder_that_cannot_be_written_is_found_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is asked of the model where the results could not be stored."""
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(payload(1)))
    (tmp_path / "results").write_bytes(b"")

    assert run(path, OPENAI_API_KEY="key", OPENAI_BASE_URL=f"http://127.0.0.1:{free_port()}") == 1
    said = capsys.readouterr().out
    assert "cannot be written to RESULTS_DIR" in said
    assert "generation.started.v1" not in said
