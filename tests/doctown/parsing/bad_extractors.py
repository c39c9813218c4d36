"""Extractors that behave badly for files whose names say so, and well for all others."""

import os
import signal
import time

from doctown.parsing.extract import extract as real
from doctown.parsing.records import FileRecord


def extract(language: str, path: str, text: bytes) -> FileRecord:
    """Do to this process what the file's name says."""
    name = path.rpartition("/")[2]
    if name.startswith("crash"):
        os.kill(os.getpid(), signal.SIGSEGV)
    if name.startswith("hang"):
        while True:
            time.sleep(1)
    if name.startswith("killed"):
        os.kill(os.getpid(), signal.SIGKILL)
    if name.startswith("abort"):
        os.abort()
    if name.startswith("memory"):
        len(bytearray(4 * 1024**3))
    if name.startswith("fault"):
        raise LookupError(text)
    if name.startswith("missing"):
        raise ModuleNotFoundError("No module named 'tree_sitter_klingon'")
    return real(language, path, text)


def write_pid_and_wait(_language: str, path: str, text: bytes) -> FileRecord:
    """Write this process's id beside the file that the text names, and wait for ever."""
    with open(f"{text.decode()}/{os.getpid()}", "w", encoding="ascii") as file:  # noqa: PTH123 - plain as it is
        file.write(path)
    while True:
        time.sleep(1)


def environment(language: str, path: str, _text: bytes) -> FileRecord:
    """Return the record of a file whose docstring names the variables of this process's environment."""
    return real(language, path, b'"""' + " ".join(os.environ).encode() + b'"""')
