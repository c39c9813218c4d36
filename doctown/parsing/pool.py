"""Parse files in worker processes, so that a file that crashes or hangs the parser costs only itself.

A process of its own is the only bound that holds in native code: tree-sitter keeps Python's global lock, cannot be
interrupted while it recovers from errors, and aborts when memory runs out. A worker is given a batch of files and
answers them one by one, in order, so the file at hand is always known: when the worker dies or is silent for too long,
that file is skipped with a reason and a new worker takes over the rest of the batch.

The workers are plain child processes on a socket pair and not `multiprocessing`'s, which would import the parent's main
module into each of them (a web server, a test runner), need `if __name__ == "__main__"` in every script that parses,
and start a resource tracker. `concurrent.futures` gives up the whole pool when one process dies.
POSIX only: resource limits and passed descriptors.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection, wait
from typing import NamedTuple

from doctown.errors import DoctownError
from doctown.parsing import codec, worker
from doctown.parsing.records import FileRecord

EXTRACTOR = "doctown.parsing.extract:extract"
MAX_PROCESSES = 8
MAX_BATCH_BYTES = 256_000  # 0.1 s of parsing, which is also what it costs to start a process
MAX_BATCH_FILES = 64
START_TIMEOUT_S = 60.0
END_TIMEOUT_S = 5.0  # from a closed socket to the end of the process
MAX_LAST_WORDS = 10_000  # bytes of a worker's standard error

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
    text: bytes  # UTF-8


class Parsed(NamedTuple):
    """What came of a file: its record, as bytes too, or the reason why there is none."""

    path: str
    record: FileRecord | None
    encoded: bytes  # empty without a record
    reason: str | None


def parse_files(
    files: Iterable[SourceFile],
    handle: Callable[[Parsed], None],
    *,
    processes: int | None = None,
    limits: Limits = Limits(),  # noqa: B008 - immutable
    extractor: str = EXTRACTOR,
) -> None:
    """Parse files in worker processes and call `handle` with what came of each, in the order in which they are done.

    Files are taken from the iterable as workers become free; the largest should come first. `processes` is by default
    the number of cores that this process may use. `extractor` is "module:function". No worker is left when this
    returns or raises. Raises DoctownError where workers cannot start or a grammar is not installed.
    """
    pool = _Pool(_batches(files), min(processes or available_cores(), MAX_PROCESSES), limits, extractor)
    try:
        pool.run(handle)
    finally:
        pool.close()


def available_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _batches(files: Iterable[SourceFile]) -> Iterator[list[SourceFile]]:
    batch: list[SourceFile] = []
    size_bytes = 0
    for file in files:
        batch.append(file)
        size_bytes += len(file.text)
        if size_bytes >= MAX_BATCH_BYTES or len(batch) >= MAX_BATCH_FILES:
            yield batch
            batch, size_bytes = [], 0
    if batch:
        yield batch


class _Pool:
    """The workers, and the batches that none of them has been given yet."""

    def __init__(self, batches: Iterator[list[SourceFile]], processes: int, limits: Limits, extractor: str) -> None:
        self._batches, self._processes, self._limits, self._extractor = batches, processes, limits, extractor
        self._left_over: list[list[SourceFile]] = []  # by workers that died
        self._workers: list[_Worker] = []

    def run(self, handle: Callable[[Parsed], None]) -> None:
        while True:
            self._give_batches()
            busy = [one for one in self._workers if one.files]
            if not busy:
                return
            patience_s = max(0.0, min(one.deadline for one in busy) - time.monotonic())
            answered = wait([one.connection for one in busy], patience_s)
            for one in busy:
                # Answers that have come are read before deadlines are judged: this process may be the late one.
                if one.connection in answered:
                    self._read(one, handle)
                elif time.monotonic() >= one.deadline:
                    one.kill()
                    self._give_up(one, handle, f"over {self._limits.file_s:g} s")

    def close(self) -> None:
        for one in self._workers:
            one.kill()

    def _give_batches(self) -> None:
        """Give each worker that has nothing to do a batch, and start workers while there are batches for them."""
        while True:
            idle = next((one for one in self._workers if not one.files), None)
            if idle is None and len(self._workers) >= self._processes:
                return
            batch = self._left_over.pop() if self._left_over else next(self._batches, None)
            if batch is None:
                return
            if idle is None:
                idle = _Worker(self._limits, self._extractor)
                self._workers.append(idle)
            if not idle.give(batch):
                self._bury(idle)
                self._left_over.append(batch)

    def _read(self, one: "_Worker", handle: Callable[[Parsed], None]) -> None:
        try:
            message = one.connection.recv_bytes()
        except (EOFError, OSError):
            self._give_up(one, handle, one.cause_of_death())
            return
        one.expect_within(self._limits.file_s)
        kind, body = message[:1], message[1:]
        if kind == worker.READY:
            one.peak_at_start = int(body)
            return
        if kind == worker.BROKEN:
            raise DoctownError(f"A parser is not installed as it should be: {body.decode()}")
        path = one.files.popleft().path
        if kind == worker.REASON:
            handle(Parsed(path, None, b"", body.decode()))
        else:
            handle(Parsed(path, codec.decode(body), body, None))

    def _give_up(self, one: "_Worker", handle: Callable[[Parsed], None], reason: str) -> None:
        """Skip the file that a dead worker was at; the rest of its batch is for others."""
        self._bury(one)
        culprit, *rest = one.files
        if rest:
            self._left_over.append(rest)
        handle(Parsed(culprit.path, None, b"", reason))

    def _bury(self, one: "_Worker") -> None:
        one.kill()
        self._workers.remove(one)
        if not one.started:
            raise DoctownError(f"The processes that parse do not start: {one.last_words or 'they end at once'}")


class _Worker:
    """One process, the socket to it, and the files of its batch that it has not answered, in order."""

    def __init__(self, limits: Limits, extractor: str) -> None:
        self.files: deque[SourceFile] = deque()
        self.started = False
        self.last_words = ""
        self.peak_at_start = 0  # memory, in the unit of ru_maxrss
        self.deadline = 0.0
        self._file_s, self._memory_bytes = limits.file_s, limits.memory_bytes
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by kill
        ours, theirs = socket.socketpair()
        options = worker.Options(
            search_path=sys.path,
            descriptor=theirs.fileno(),
            extractor=extractor,
            memory_bytes=limits.memory_bytes,
            backstop_s=2 * limits.file_s + 1,
        )
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

    def give(self, batch: list[SourceFile]) -> bool:
        """Send a batch to a worker that has none, so that it is reading and sending cannot block; False if it died."""
        self.deadline = time.monotonic() + (self._file_s if self.started else START_TIMEOUT_S)
        try:
            self.connection.send_bytes(worker.message(batch))
        except OSError:
            return False
        self.files.extend(batch)
        return True

    def expect_within(self, file_s: float) -> None:
        """Start the clock of the next file."""
        self.started = True
        self.deadline = time.monotonic() + file_s

    def cause_of_death(self) -> str:
        """Return why a process that has closed its socket ended, in the words of a skipped file's reason."""
        end_s = time.monotonic() + END_TIMEOUT_S
        while True:
            process, status, usage = os.wait4(self._process.pid, os.WNOHANG)
            if process:
                break
            if time.monotonic() >= end_s:
                self.kill()
                return "the parser does not answer"
            time.sleep(0.005)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        self.kill()
        if self._process.returncode == -signal.SIGKILL:
            return "the parser was killed from outside"
        # Native code that gets no memory crashes or aborts: it was that if the process had grown large before. What it
        # asked for last may have been twice what it had. The peak at the start can be this process's own (execve(2)).
        peak_bytes = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        grew = usage.ru_maxrss > self.peak_at_start
        return worker.OVER_MEMORY if grew and peak_bytes > self._memory_bytes / 4 else "the parser crashed"

    def kill(self) -> None:
        """End the process and release all that belongs to it."""
        self._process.kill()
        self._process.wait()
        self.connection.close()
        if not self._errors.closed:
            self._errors.seek(0)
            self.last_words = self._errors.read(MAX_LAST_WORDS).decode("utf-8", "replace").strip().rpartition("\n")[2]
            self._errors.close()
