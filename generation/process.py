"""What every command does about its process: signals that end it in order, and streams that nobody reads any more.

The first SIGINT (Ctrl-C) or SIGTERM ends the work in order. A SIGINT after it ends the process at once, with exit code
130, whatever it waits for.
"""

from __future__ import annotations

import asyncio
import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

INTERRUPTED = 130  # 128 + SIGINT, as shells report it
_SHOW_CURSOR = b"\x1b[?25h"

Result = TypeVar("Result")


@contextmanager
def stopping_on_signals() -> Iterator[asyncio.Event]:
    """Yield an event that the first SIGINT or SIGTERM sets. Needs a running loop."""
    stopping, loop = asyncio.Event(), asyncio.get_running_loop()
    with _on_signals(lambda: loop.call_soon_threadsafe(stopping.set)):
        yield stopping


async def cancelled_on_signals(work: Coroutine[Any, Any, Result]) -> Result:
    """Await `work` and cancel it at the first SIGINT or SIGTERM. Raises KeyboardInterrupt once it has ended then."""
    loop, task = asyncio.get_running_loop(), asyncio.ensure_future(work)
    interrupted = False

    def cancel() -> None:
        nonlocal interrupted
        interrupted = True
        task.cancel()

    with _on_signals(lambda: loop.call_soon_threadsafe(cancel)):
        try:
            return await task
        except asyncio.CancelledError:
            if interrupted:
                raise KeyboardInterrupt from None
            raise


@contextmanager
def interrupted_by_signals() -> Iterator[None]:
    """Raise KeyboardInterrupt at the first SIGINT or SIGTERM: for code that runs in no loop."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    with _on_signals(interrupt):
        yield


@contextmanager
def _on_signals(on_first: Callable[[], object]) -> Iterator[None]:
    """Call `on_first` at the first signal. Once one has come, the handlers stay, for a wait at the process's end."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    is_ending = False

    def receive(number: int, _frame: FrameType | None) -> None:
        nonlocal is_ending
        if is_ending:
            if number == signal.SIGINT:
                _exit_at_once()
            return
        is_ending = True
        on_first()

    former = {number: signal.signal(number, receive) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        if not is_ending:
            for number, handler in former.items():
                signal.signal(number, handler)


def _exit_at_once() -> None:
    if os.isatty(2):
        os.write(2, _SHOW_CURSOR)  # a progress bar hides it
    os._exit(INTERRUPTED)


def protect_streams() -> None:
    """Let standard output and standard error lose what they cannot write, in silence.

    Whoever read them may have gone away (`| head`, a log shipper that has died), or they may be closed: that must not
    end work that is being paid for.
    """
    sys.stdout = _protected(sys.stdout, sys.__stdout__)
    sys.stderr = _protected(sys.stderr, sys.__stderr__)


def _protected(stream: TextIO | None, original: TextIO | None) -> TextIO:
    if stream is None:  # closed when the process started
        return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123 - for as long as the process lives
    if stream is not original or not isinstance(stream, io.TextIOWrapper):  # replaced by a test or another program
        return stream
    stream.flush()
    buffer = io.BufferedWriter(_LossyFile(stream.fileno(), "wb", closefd=False))
    return io.TextIOWrapper(
        buffer,
        stream.encoding,
        stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


class _LossyFile(io.FileIO):
    """A file that drops what it cannot write."""

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes
