"""Processes that tests start and look at from outside: a worker above all.

Each runs in a process group of its own, with a clean environment, its output captured in files. Nothing of it outlives
the block. What the process does is no business of this module.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

REPOSITORY_ROOT = Path(__file__).resolve().parents[2]
_LOOK_EVERY_S = 0.01
_STREAMS = ("stdout", "stderr")
_TAIL_LINES = 20
_TAIL_LINE_CHARS = 500


# One server of forks for all tests of a process: what it has imported is there at once.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.support.forked_job", "tests.support.warm_python"])


class _Fork:
    """A process of the server of forks, with the part of Popen's interface that is used here."""

    def __init__(self, args: Sequence[str], environment: Mapping[str, str], cwd: Path, folder: Path) -> None:
        streams = [folder / name for name in _STREAMS]
        for stream in streams:
            stream.touch()
        self._process = FORKS.Process(target=_run_warm, args=(args, environment, cwd, *streams))
        self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        code = self._process.exitcode
        if code is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
        return code

    def terminate(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        self._process.kill()


def _run_warm(*args: Any) -> None:
    # Imported in the fork, where it is there already: this process has no need of it.
    from tests.support import warm_python

    warm_python.run(*args)


class RunningProcess:
    """A process in its group. Its output can be read at any time, also after the block that started it."""

    def __init__(self, process: subprocess.Popen[bytes] | _Fork, folder: Path) -> None:
        self._process = process
        self._folder = folder
        self._kept: dict[str, str] = {}

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.poll()

    def stdout(self) -> str:
        return self._read("stdout")

    def stderr(self) -> str:
        return self._read("stderr")

    def terminate(self) -> None:
        """SIGTERM to the main process only, as a container runtime sends it."""
        self._process.terminate()

    def kill(self) -> None:
        """SIGKILL to the whole group: the SDK's heartbeat would outlive its parent otherwise."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()  # a fork that has not made its group yet

    def freeze(self) -> None:
        """SIGSTOP to the whole group: nothing of it runs until `thaw`."""
        os.killpg(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.killpg(self._process.pid, signal.SIGCONT)

    def wait(self, timeout_s: float) -> int:
        """The exit code of the main process, waited for; negative for a signal."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"still running after {timeout_s} s\n{self.last_lines()}") from None

    def wait_for_output(self, text: str, timeout_s: float, stream: str = "stdout") -> str:
        """All output of the stream so far, as soon as it contains the text."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            ended = self.returncode is not None
            output = self._read(stream)
            if text in output:
                return output
            if ended:
                raise RuntimeError(f"ended with {self.returncode} before {text!r} came\n{self.last_lines()}")
            if time.monotonic() > deadline_s:
                raise TimeoutError(f"no {text!r} on {stream} after {timeout_s} s\n{self.last_lines()}")
            time.sleep(_LOOK_EVERY_S)

    def last_lines(self) -> str:
        """The end of both streams, for messages: the SDK logs to stdout, tracebacks of crashes after its start too."""
        return "\n".join(_tail(stream, self._read(stream)) for stream in _STREAMS)

    def _read(self, stream: str) -> str:
        if stream in self._kept:
            return self._kept[stream]
        return (self._folder / stream).read_text(encoding="utf-8", errors="replace")

    def _end(self) -> None:
        self.kill()
        self._process.wait()
        self._kept = {stream: self._read(stream) for stream in _STREAMS}


@contextmanager
def running_process(command: Sequence[str], environment: Mapping[str, str], cwd: Path) -> Iterator[RunningProcess]:
    """Start the command; kill its whole group when the block ends."""
    with _running(lambda folder: _start(command, _clean(environment, folder), cwd, folder)) as running:
        yield running


@contextmanager
def running_worker(
    environment: Mapping[str, str], cwd: Path = REPOSITORY_ROOT, args: Sequence[str] = ("handler.py",)
) -> Iterator[RunningProcess]:
    """Start a worker: `python -u ARGS`, in `cwd`, with `environment` and nothing of the caller's.

    It is a fork of a process that has the libraries loaded; where a variable speaks to the interpreter, a new process.
    """
    if any(name.startswith("PYTHON") for name in environment):
        with running_process([sys.executable, "-u", *args], environment, cwd) as worker:
            yield worker
    else:
        with _running(lambda folder: _Fork(args, _clean(environment, folder), cwd, folder)) as worker:
            yield worker


@contextmanager
def _running(start: Callable[[Path], subprocess.Popen[bytes] | _Fork]) -> Iterator[RunningProcess]:
    # A child of the group may be busy dying while its files are removed.
    with tempfile.TemporaryDirectory(prefix="process-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        running = RunningProcess(start(folder), folder)
        try:
            yield running
        except BaseException:
            # pytest shows this below the failure.
            print(running.last_lines(), file=sys.stderr)
            raise
        finally:
            running._end()


def _clean(environment: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Return the environment of a new process; the caller's home holds credentials that SDKs look for."""
    home = folder / "home"
    home.mkdir()
    return {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(home), "LANG": "C.UTF-8", **environment}


def _tail(stream: str, output: str) -> str:
    lines = [line[:_TAIL_LINE_CHARS] for line in output.splitlines()[-_TAIL_LINES:]]
    return "\n".join([f"last lines of {stream}:", *(lines or ["(nothing)"])])


def _start(command: Sequence[str], environment: Mapping[str, str], cwd: Path, folder: Path) -> subprocess.Popen[bytes]:
    with (folder / "stdout").open("wb") as stdout, (folder / "stderr").open("wb") as stderr:
        return subprocess.Popen(
            list(command),
            cwd=cwd,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
