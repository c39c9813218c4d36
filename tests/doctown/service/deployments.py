"""Processes of the service for repositories, as tests start and call them."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.doctown.repository.repositories import make_repository
from tests.generation.service.test_service import Answer
from tests.loopback.git_http import GitServer, running_git_server
from tests.support.waiting import LIMIT_S, wait_until
from tests.support.worker_process import REPOSITORY_ROOT, RunningProcess, running_worker

Json = dict[str, Any]
FILES = {"a.py": 'def greet(name):\n    """Say hello."""\n    return name\n', "b.py": "def leave():\n    return 1\n"}
ENDED = {"success", "partial", "failed", "planned", "cancelled"}


@dataclass
class Service:
    """A process of the service, and where it keeps what is temporary."""

    process: RunningProcess
    port: int
    work: Path

    def call(
        self, path: str, body: object = None, headers: Mapping[str, str] = {}, method: str | None = None
    ) -> Answer:
        """A call; a body that is not bytes goes as JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT_S)
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        kind = {"Content-Type": "application/json"} if content is not None else {}
        try:
            connection.request(method or ("GET" if body is None else "POST"), path, content, {**kind, **headers})
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def ingest(self, url: str, **more: Any) -> str:
        answer = self.call("/ingest", input_of(url, **more))
        assert answer.status == 202, answer.body
        return str(answer.json["job_id"])

    def status(self, job_id: str) -> Json:
        answer = self.call(f"/status/{job_id}")
        assert answer.status == 200, answer.body
        return dict(answer.json)

    def ended(self, job_id: str) -> Json:
        """The job's status, as soon as it has ended."""
        found: list[Json] = []

        def has_ended() -> bool:
            found.append(self.status(job_id))
            return found[-1]["status"] in ENDED

        wait_until(has_ended, f"the end of job {job_id}")
        return found[-1]

    @property
    def results(self) -> Path:
        """The folder that is the store."""
        return self.work.parent / "results"

    def left_behind(self) -> list[str]:
        """What lies in the folder for temporary files, but for copies of packs."""
        kept = {folder for folder in self.work.iterdir() if (folder / "packs").is_dir()}
        others = [*(set(self.work.iterdir()) - kept), *(path for folder in kept for path in folder.iterdir())]
        return sorted(path.name for path in others if path.parent not in kept or path.name not in {"lock", "packs"})


def input_of(url: str, **more: Any) -> Json:
    return {"repository": {"url": url}, "options": {"embeddings": "none"}, **more}


@dataclass
class Pods:
    """Processes behind a client that asks one after the other, whichever lives."""

    services: list[Service] = field(default_factory=list)
    turns: Iterator[int] = field(default_factory=itertools.count)

    def call(self, path: str, body: object = None) -> Answer:
        """A call to the next process; one that has died is passed over, as a load balancer does."""
        for _ in range(10 * len(self.services)):
            service = self.services[next(self.turns) % len(self.services)]
            try:
                return service.call(path, body)
            except (OSError, http.client.HTTPException):
                continue
        raise AssertionError("no process answers")


@contextmanager
def running_service(folder: Path, git: GitServer, changes: str = "", **environment: str) -> Iterator[Service]:
    """The service with the repositories of a git server, offline, and with what `changes` sets before it starts."""
    with ExitStack() as stack:
        yield start_service(stack, folder, git, changes, **environment)


def start_service(
    stack: ExitStack,
    folder: Path,
    git: GitServer,
    changes: str = "",
    command: Sequence[str] = ("-m", "doctown.service"),
    **environment: str,
) -> Service:
    """As `running_service`, until the stack ends."""
    modules = "from doctown.service import __main__ as process, app, records, runner, store"
    program = f"{modules}\n{changes}\nprocess.main()"
    work = folder / "work"
    work.mkdir(parents=True, exist_ok=True)
    settings = {
        "HOST": "127.0.0.1",
        "PORT": "0",
        "MODEL_NAME": "offline",
        "RESULTS_DIR": str(folder / "results"),
        "TMPDIR": str(work),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "PATH": os.environ["PATH"],
        "REQUESTS_PER_MINUTE": "1000000",
        "GIT_HOSTS": git.url.removeprefix("https://"),
        "GIT_PRIVATE_NETWORKS": "127.0.0.1/32",
        "SSL_CERT_FILE": git.ca_bundle,
    }
    args = ("-c", program) if changes else command
    process = stack.enter_context(running_worker({**settings, **environment}, REPOSITORY_ROOT, args))
    said = process.wait_for_output("Press CTRL+C", LIMIT_S, "stderr")
    found = re.search(r"Uvicorn running on http://\S+:(\d+)", said)
    assert found
    return Service(process, int(found[1]), work)


@contextmanager
def serving_repositories(folder: Path, names: Sequence[str]) -> Iterator[GitServer]:
    """A git server behind TLS with small repositories of these names."""
    for name in names:
        make_repository(folder / name, {**FILES, "name.py": f"def {name}():\n    return 1\n"})
    with running_git_server(folder, tls=True) as git:
        yield git
