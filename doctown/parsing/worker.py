"""The process that parses: takes batches of files, hands each to the extractor, answers with the bytes of its record.

It trusts no file. What a file may cost is bounded by limits that the kernel enforces in native code too: memory by
RLIMIT_AS, and time by a timer that ends the process should its parent no longer be there to do so. The process has
neither the parent's environment nor its standard input, writes no core file, and leaves Ctrl-C to its parent.
"""

import gc
import importlib
import marshal
import resource
import signal
import sys
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import TypedDict

from doctown.parsing.codec import encode
from doctown.parsing.records import FileRecord

READY, RECORD, REASON, BROKEN = b"+", b"r", b"?", b"!"  # the first byte of a message to the parent
OVER_MEMORY = "over the memory limit"

Extractor = Callable[[str, str, bytes], FileRecord]  # language, path in the repository, UTF-8 text


class Options(TypedDict):
    """What the parent tells a new worker."""

    search_path: list[str]  # the parent's sys.path
    descriptor: int  # of the socket to the parent
    extractor: str  # "module:function"
    memory_bytes: int  # of address space
    backstop_s: float  # a file that takes longer ends the process


def message(batch: Sequence[tuple[str, str, bytes]]) -> bytes:
    """Return the message that gives a worker files: path, language and text of each."""
    return marshal.dumps([tuple(file) for file in batch])


def main(options: Options) -> None:
    """Answer each file that comes over the socket, in order, until the parent closes it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _limit_process(options["memory_bytes"])
    module, function = options["extractor"].split(":")
    extract: Extractor = getattr(importlib.import_module(module), function)
    gc.set_threshold(100_000, 20, 100)  # records are many tuples and no cycles
    with Connection(options["descriptor"]) as connection:
        try:
            connection.send_bytes(READY + str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss).encode())
            while True:
                for path, language, text in marshal.loads(connection.recv_bytes()):  # noqa: S302 - from our parent
                    connection.send_bytes(_answer(extract, language, path, text, options["backstop_s"]))
        except (EOFError, BrokenPipeError, ConnectionResetError):
            return  # the parent has gone or wants no more


def _answer(extract: Extractor, language: str, path: str, text: bytes, backstop_s: float) -> bytes:
    signal.setitimer(signal.ITIMER_REAL, backstop_s)  # SIGALRM's default action ends the process, in native code too
    try:
        return RECORD + encode(extract(language, path, text))
    except MemoryError:
        return REASON + OVER_MEMORY.encode()
    except ImportError as error:
        return BROKEN + str(error).encode()
    except Exception as error:  # noqa: BLE001 - a fault that one file brings out must not cost the others
        return REASON + f"the extractor failed ({type(error).__name__})".encode()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _limit_process(memory_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform != "darwin":  # macOS refuses the limit
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        soft = memory_bytes if hard == resource.RLIM_INFINITY else min(memory_bytes, hard)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
