"""The loopback servers as a developer starts them: each prints what to set, serves a real client, and ends quietly."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import boto3
import openai
import pytest
import requests
from botocore.config import Config

from tests.support.waiting import LIMIT_S
from tests.support.wire import free_port
from tests.support.worker_process import REPOSITORY_ROOT, RunningProcess, running_process

SERVERS = ("openai", "queue", "s3")


@contextmanager
def started(server: str, *arguments: str, **environment: str) -> Iterator[tuple[RunningProcess, str, dict[str, str]]]:
    """The process of a server, its address and the variables that it says to set."""
    command = [sys.executable, "-m", f"tests.loopback.{server}", *arguments]
    with running_process(command, environment, REPOSITORY_ROOT) as process:
        process.wait_for_output("export ", LIMIT_S)
        address, *lines = process.stdout().splitlines()
        settings = [shlex.split(line)[1].partition("=") for line in lines if line.startswith("export ")]
        yield process, address, {name: value for name, _, value in settings}


def check_quiet_end(process: RunningProcess) -> None:
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(LIMIT_S) == 0
    assert process.stderr() == ""


def test_openai_by_hand() -> None:
    """The SDK, which reads what is to be set, gets an answer at the port that was asked for."""
    port = free_port()
    with started("openai", "--port", str(port), "--behaviour", '{"count_by": "characters"}') as (
        process,
        address,
        given,
    ):
        assert given["OPENAI_BASE_URL"] == address == f"http://127.0.0.1:{port}/v1"
        with openai.OpenAI(base_url=given["OPENAI_BASE_URL"], api_key=given["OPENAI_API_KEY"]) as sdk:
            said = sdk.chat.completions.create(model="gpt-5-nano", messages=[{"role": "user", "content": "Hello"}])
        assert "summary" in str(said.choices[0].message.content)
        check_quiet_end(process)


def test_the_queue_by_hand() -> None:
    """A caller of the endpoint queues a job, and a worker's first question gets it."""
    with started("queue", "--api-key", "a-key") as (process, address, given):
        assert address == f"{given['RUNPOD_API_URL']}/{given['RUNPOD_ENDPOINT_ID']}"
        headers = {"Authorization": f"Bearer {given['RUNPOD_API_KEY']}"}
        queued = requests.post(f"{address}/run", json={"input": 1}, headers=headers, timeout=LIMIT_S).json()
        take = given["RUNPOD_WEBHOOK_GET_JOB"].replace("$ID", given["RUNPOD_POD_ID"])
        assert requests.get(take, timeout=LIMIT_S).json() == {"id": queued["id"], "input": 1}
        check_quiet_end(process)


def test_a_worker_that_ends_by_itself_ends_its_queue() -> None:
    """With `--worker`, a wrong setting of the worker is said as ever, and its exit code is the command's."""
    with started("queue", "--worker", "--bucket", MAX_RETRIES="many") as (process, _, given):
        endpoint = {name for name in given if name.startswith("RUNPOD_")}
        assert endpoint == {"RUNPOD_API_URL", "RUNPOD_ENDPOINT_ID", "RUNPOD_API_KEY"}
        assert given["R2_ENDPOINT_URL"].startswith("http://127.0.0.1:")
        assert process.wait(LIMIT_S) == 1
    assert "handler.py: MAX_RETRIES" in process.stderr()


def test_s3_by_hand() -> None:
    """boto3 stores an object in the bucket and reads it, over TLS."""
    with started("s3") as (process, address, given):
        client = boto3.session.Session().client(
            "s3",
            endpoint_url=given["R2_ENDPOINT_URL"],
            aws_access_key_id=given["R2_ACCESS_KEY_ID"],
            aws_secret_access_key=given["R2_SECRET_ACCESS_KEY"],
            region_name="auto",
            verify=given["AWS_CA_BUNDLE"],
            config=Config(request_checksum_calculation="when_required"),
        )
        assert address == given["R2_ENDPOINT_URL"]
        client.put_object(Bucket=given["R2_BUCKET"], Key="a", Body=b"1")
        assert client.get_object(Bucket=given["R2_BUCKET"], Key="a")["Body"].read() == b"1"
        client.close()
        check_quiet_end(process)


@pytest.mark.parametrize("server", SERVERS)
def test_each_says_how_it_is_used(server: str) -> None:
    """--help names the port and says what the server is."""
    command = [sys.executable, "-m", f"tests.loopback.{server}", "--help"]
    said = subprocess.run(command, cwd=REPOSITORY_ROOT, capture_output=True, text=True, check=True).stdout
    assert "--port" in said
    assert re.search(r"(?i)loopback|stand-in", said)
