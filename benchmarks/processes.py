"""Start the clients under test, each in its own process, and read their reports.

See `clients.stage` for the other end. Leaves out the servers, which the tests' `running_process` starts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, cast

from benchmarks.clients.stage import Task

REPOSITORY = Path(__file__).resolve().parent.parent
# The Makefile's VENV with "-peers", or what that is by default.
PEERS = next((path for path in (Path(f"{sys.prefix}-peers"), REPOSITORY / ".venv-peers") if path.exists()), REPOSITORY)
PEERS_PYTHON = PEERS / "bin" / "python"
LONGEST_RUN_S = 200.0

# Besides the essentials: what keeps the peers from calling home and from drawing on the terminal.
ENVIRONMENT = {
    "PATH": os.environ.get("PATH", os.defpath),
    "LANG": "C.UTF-8",
    "TIKTOKEN_CACHE_DIR": str(REPOSITORY / "vocabulary"),
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "TELEMETRY_ENABLED": "false",
    "CURATOR_DISABLE_RICH_DISPLAY": "1",
    "HF_HUB_OFFLINE": "1",
}

Numbers = dict[str, float]


class ClientFailed(Exception):
    """A client ended, or hung, without a report."""


class Client:
    """A client that is ready to run."""

    def __init__(self, process: subprocess.Popen[str], errors: IO[str]) -> None:
        self._process = process
        self._errors = errors

    def run(self) -> Numbers:
        """Run once; return seconds, CPU seconds, documented symbols and the process's peak memory."""
        self._stdin.write("run\n")
        self._stdin.flush()
        return self.report()

    def report(self) -> Numbers:
        """Return the next report. Raise ClientFailed if none comes in time."""
        # Reading cannot be timed out; ending the process ends it.
        watchdog = threading.Timer(LONGEST_RUN_S, self._process.kill)
        watchdog.start()
        try:
            line = self._stdout.readline()
        finally:
            watchdog.cancel()
        if not line:
            self._errors.seek(0)
            raise ClientFailed(self._errors.read()[-2_000:] or "no report in time")
        return cast(Numbers, json.loads(line))

    @property
    def _stdin(self) -> IO[str]:
        return cast(IO[str], self._process.stdin)

    @property
    def _stdout(self) -> IO[str]:
        return cast(IO[str], self._process.stdout)


@contextmanager
def running_client(name: str, task: Task, python: str | Path = sys.executable) -> Iterator[Client]:
    """Yield the client of a module of `clients`, ready to run; its process ends with the block."""
    command = [str(python), "-m", f"benchmarks.clients.{name}", task.as_json()]
    with ExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        errors = stack.enter_context(tempfile.TemporaryFile("w+"))
        process = stack.enter_context(
            subprocess.Popen(
                command,
                cwd=REPOSITORY,
                env={**ENVIRONMENT, "HOME": home},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        )
        stack.callback(process.kill)
        client = Client(process, errors)
        client.report()
        yield client


def installed_peers(modules: list[str]) -> list[str]:
    """Return the modules that can be imported where `make bench-peers` installs them."""
    if not PEERS_PYTHON.exists():
        return []
    look = "import sys; from importlib.util import find_spec; print(*[m for m in sys.argv[1:] if find_spec(m)])"
    found = subprocess.run([str(PEERS_PYTHON), "-c", look, *modules], capture_output=True, text=True, check=True)
    return found.stdout.split()
