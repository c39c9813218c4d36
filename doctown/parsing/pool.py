"""Parse files in worker processes, so that a file that crashes or hangs the parser costs only itself.

A process of its own is the only bound that holds in native code: tree-sitter keeps Python's global lock, cannot be
interrupted while it recovers from errors, and aborts when memory runs out. Each worker is given a few files ahead and
answers them in order, so the file at hand is always known: when the worker dies or is silent for too long, that file
is skipped with a reason and a new worker takes over the rest.

The workers are plain child processes on a socket pair and not `multiprocessing`'s, which would import the parent's main
module into each of them (a web server, a test runner), need `if __name__ == "__main__"` in every script that parses,
and start a resource tracker. `concurrent.futures` gives up the whole pool when one process dies.
POSIX only: resource limits and passed descriptors.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from typing import NamedTuple

from doctown.errors import DoctownError
from doctown.parsing import codec, worker
from doctown.parsing.records import FileRecord

EXTRACTOR = "doctown.parsing.extract:extract"
MAX_PROCESSES = 8
MIN_BYTES_PER_PROCESS = 200_000  # 0.1 s of parsing: about what it costs to start a process
MAX_BYTES_AHEAD = 200_000  # of the files that a worker has been given and not answered
MAX_FILES_AHEAD = 16  # their messages fit into the socket's buffer, so that sending never blocks
SOCKET_BUFFER_BYTES = 256 * 1024
START_TIMEOUT_S = 60.0
END_TIMEOUT_S = 5.0  # from a closed socket to the end of the process
MAX_LAST_WORDS = 10_000  # bytes of a worker's standard error

_OUT_OF_MEMORY = "failed to allocate"  # tree-sitter's words before it aborts (lib/src/alloc.c)

_START = (
    "import json, sys; options = json.loads(sys.argv[1]); sys.path[:] = options['search_path']; "
    "from doctown.parsing.worker import main; main(options)"
)


class Limits(NamedTuple):
    """What one file may cost."""

    file_s: float = 10.0  # wall-clock; the slowest of 1,500 files of sympy takes 0.3 s
    memory_bytes: int = 1024**3  # address space of one worker; a file of 1 MB takes about 150 MB


class SourceFile(NamedTuple):
    """A file that is to be parsed."""

    path: str  # in the repository, with "/"
    language: str
    location: str  # on the disk
    size_bytes: int


class Parsed(NamedTuple):
    """What came of a file: its record, as bytes too, or the reason why there is none."""

    number: int  # its place in the sequence of files that was given
    record: FileRecord | None
    encoded: bytes  # empty without a record
    sha256: bytes  # of what was parsed; empty without a record
    reason: str | None


def parse_files(
    files: Sequence[SourceFile],
    handle: Callable[[Parsed], None],
    *,
    processes: int | None = None,
    limits: Limits = Limits(),  # noqa: B008 - immutable
    extractor: str = EXTRACTOR,
) -> None:
    """Parse files in worker processes and call `handle` with what came of each, in the order in which they are done.

    `processes` is by default as many as this process may use cores. `extractor` is "module:function". No worker is
    left when this returns or raises. Raises DoctownError where workers cannot start or a grammar is not installed.
    """
    pool = _Pool(files, limits, extractor)
    count = min(processes or available_cores(), MAX_PROCESSES, _useful_processes(files))
    try:
        pool.run(count, handle)
    finally:
        pool.close()


def available_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _useful_processes(files: Sequence[SourceFile]) -> int:
    return min(len(files), 1 + sum(file.size_bytes for file in files) // MIN_BYTES_PER_PROCESS)


class _Pool:
    """The workers and the files that none of them has been given yet."""

    def __init__(self, files: Sequence[SourceFile], limits: Limits, extractor: str) -> None:
        self._files, self._limits, self._extractor = files, limits, extractor
        largest_first = sorted(range(len(files)), key=lambda index: files[index].size_bytes, reverse=True)
        self._queue = deque(largest_first)
        self._workers: list[_Worker] = []

    def run(self, count: int, handle: Callable[[Parsed], None]) -> None:
        for _ in range(count):
            self._workers.append(_Worker(self._limits, self._extractor))
        while True:
            for one in self._workers:
                self._feed(one)
            busy = [one for one in self._workers if one.given]
            if not busy:
                return
            answered = wait([one.connection for one in busy], max(0.0, min(one.deadline for one in busy) - _now()))
            for one in busy:
                # Answers that wait are read before deadlines are judged: this process may be the late one.
                if one.connection in answered:
                    self._read(one, handle)
                elif _now() >= one.deadline:
                    one.kill()
                    self._replace(one, handle, f"over {self._limits.file_s:g} s")

    def close(self) -> None:
        for one in self._workers:
            one.kill()

    def _feed(self, one: "_Worker") -> None:
        """Give a worker files until it has enough ahead."""
        while self._queue and len(one.given) < MAX_FILES_AHEAD and self._bytes_ahead(one) < MAX_BYTES_AHEAD:
            index = self._queue.popleft()
            try:
                one.give(index, self._files[index])
            except OSError:  # it has died: reading from it will tell
                return

    def _bytes_ahead(self, one: "_Worker") -> int:
        return sum(self._files[index].size_bytes for index in one.given)

    def _read(self, one: "_Worker", handle: Callable[[Parsed], None]) -> None:
        try:
            message = one.connection.recv_bytes()
        except (EOFError, OSError):
            self._replace(one, handle, one.cause_of_death())
            return
        kind, body = message[:1], message[1:]
        if kind == worker.READY:
            one.expect(self._limits.file_s)
            return
        if kind == worker.BROKEN:
            raise DoctownError(f"A parser is not installed as it should be: {body.decode()}")
        index = one.given.popleft()
        one.expect(self._limits.file_s)
        if kind == worker.REASON:
            handle(Parsed(index, None, b"", b"", body.decode()))
        else:
            handle(Parsed(index, codec.decode(body[32:]), body[32:], body[:32], None))

    def _replace(self, one: "_Worker", handle: Callable[[Parsed], None], reason: str) -> None:
        """Skip the file that a dead worker was at, and let a new worker go on after it."""
        if not one.started:
            raise DoctownError(f"The processes that parse do not start: {one.last_words or reason}")
        culprit, *rest = one.given
        self._queue.extendleft(reversed(rest))
        self._workers[self._workers.index(one)] = _Worker(self._limits, self._extractor)
        handle(Parsed(culprit, None, b"", b"", reason))


class _Worker:
    """One process, the socket to it, and the files that it has been given and not answered, in order."""

    def __init__(self, limits: Limits, extractor: str) -> None:
        self.given: deque[int] = deque()
        self.started = False
        self.last_words = ""
        self.deadline = _now() + START_TIMEOUT_S
        ours, theirs = socket.socketpair()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER_BYTES)
        options = worker.Options(
            search_path=sys.path,
            descriptor=theirs.fileno(),
            extractor=extractor,
            memory_bytes=limits.memory_bytes,
            backstop_s=2 * limits.file_s + 1,
        )
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by kill
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter and a constant
                [sys.executable, "-c", _START, json.dumps(options)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
                pass_fds=[theirs.fileno()],
                env={"PYTHONHASHSEED": "0"},
            )
        self.connection = Connection(ours.detach())

    def give(self, index: int, file: SourceFile) -> None:
        self.given.append(index)
        self.connection.send_bytes(worker.message(file.language, file.path, file.location))

    def expect(self, file_s: float) -> None:
        """Start the clock of the next file."""
        self.started = True
        self.deadline = _now() + file_s

    def cause_of_death(self) -> str:
        """Return why a process that has closed its socket ended, in the words of a skipped file's reason."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(END_TIMEOUT_S)
        self.kill()
        if _OUT_OF_MEMORY in self.last_words:
            return worker.OVER_MEMORY
        if self._process.returncode == -signal.SIGKILL:
            return "the parser was killed from outside"
        return "the parser crashed"

    def kill(self) -> None:
        """End the process and release all that belongs to it."""
        self._process.kill()
        self._process.wait()
        self.connection.close()
        if not self._errors.closed:
            self._errors.seek(0)
            self.last_words = self._errors.read(MAX_LAST_WORDS).decode("utf-8", "replace").strip().rpartition("\n")[2]
            self._errors.close()


def _now() -> float:
    return time.monotonic()
