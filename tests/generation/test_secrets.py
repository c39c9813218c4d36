"""No secret is in what a command writes, whatever LOG_LEVEL says: searched for in the output of every door."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from generation.config import VOCABULARY_DIR
from tests.loopback.openai import Behaviour, RunningServer, running
from tests.loopback.s3 import MotoS3
from tests.support.contexts import payload
from tests.support.waiting import LIMIT_S
from tests.support.worker_process import REPOSITORY_ROOT, RunningProcess, running_worker

KEY = "sk-loopback-key-that-nobody-may-see"
TOKEN = "a-token-that-nobody-may-see"
# Of headers and signed URLs, whatever they hold.
MARKS = ("Bearer ", "AWS4-HMAC", "X-Amz-", "x-amz-", "Signature=", "authorization", "Authorization")
DOORS = {
    "handler": ("handler.py", "{folder}/job.json"),
    "bulk": ("-m", "generation.bulk", "run", "{folder}/job.json", "--via", "local"),
    "bulk status": ("-m", "generation.bulk", "status", "no-such-run"),
    "doctown": (
        "-m",
        "doctown",
        "build",
        "{folder}/source",
        "--no-cache",
        "--embeddings=words",
        "--output={folder}/out",
    ),
}


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running(Behaviour(count_by="characters")) as server:
        yield server


def environment(server: RunningServer, moto: MotoS3) -> dict[str, str]:
    return {
        **moto.environment(),
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": server.base_url,
        "MODEL_NAME": "gpt-6-luna",
        "SERVICE_TOKEN": TOKEN,
        "GIT_TOKEN": TOKEN,
        "GITHUB_TOKEN": TOKEN,
        "LOG_LEVEL": "DEBUG",
        "TIKTOKEN_CACHE_DIR": str(VOCABULARY_DIR),
        "PATH": "/usr/bin:/bin",
    }


def check_silence(process: RunningProcess, moto: MotoS3) -> None:
    said = process.stdout() + process.stderr()
    assert said
    for secret in (KEY, TOKEN, moto.secret_access_key, moto.access_key_id, *MARKS):
        assert secret not in said, f"{secret} shows"


@pytest.mark.parametrize("door", DOORS)
def test_no_command_shows_a_secret_in_its_debug_log(
    door: str, server: RunningServer, moto: MotoS3, tmp_path: Path
) -> None:
    """Requests to the model and the bucket are made at LOG_LEVEL=DEBUG, and no key, header or signed URL is shown."""
    (tmp_path / "job.json").write_text(json.dumps(payload(1)), encoding="utf-8")
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "a.py").write_text("def add(a, b):\n    return a + b\n", encoding="utf-8")
    args = [argument.format(folder=tmp_path) for argument in DOORS[door]]
    with running_worker(environment(server, moto), REPOSITORY_ROOT, args) as process:
        assert process.wait(LIMIT_S) == (2 if door == "bulk status" else 0)
        check_silence(process, moto)


def test_the_service_shows_no_secret_in_its_debug_log(server: RunningServer, moto: MotoS3) -> None:
    """A job through the service, with its token, stores its results in the bucket and shows nothing of either."""
    given = {**environment(server, moto), "HOST": "127.0.0.1", "PORT": "0"}
    with running_worker(given, REPOSITORY_ROOT, ("-m", "generation.service")) as process:
        said = process.wait_for_output("Press CTRL+C", LIMIT_S, "stderr")
        address = re.search(r"Uvicorn running on (http://\S+)", said)
        assert address
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}"}
        body = json.dumps({**payload(1), "job_id": "debug-service"}).encode()
        request = urllib.request.Request(f"{address[1]}/generate", body, headers)
        with urllib.request.urlopen(request, timeout=LIMIT_S) as answer:
            assert json.load(answer)["results"]["bucket"] == moto.bucket
        check_silence(process, moto)
