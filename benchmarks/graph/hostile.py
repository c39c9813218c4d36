"""Files that break parsers, among files that do not: what becomes of the others."""

import os
import signal
import tempfile
from pathlib import Path
from typing import NamedTuple

from benchmarks.graph.graphs import graph_of
from doctown.parsing.extract import extract as real
from doctown.parsing.records import FileRecord

GOOD_FILES = 10
KILLER = "killer.py"
LINE_BYTES = 1_000_000
BRACKETS = 100_000
PER_LINE = 50  # longer lines are taken for minified code, which is not parsed
STATEMENT = "first(second(3)); "


class Survival(NamedTuple):
    """How many of the good files are in the graph with their function, and what became of the bad ones."""

    good: int
    bad: dict[str, str]


def extract(language: str, path: str, text: bytes) -> FileRecord:
    """End the process that parses at one file, as a fault in native code does."""
    if path == KILLER:
        os.kill(os.getpid(), signal.SIGSEGV)
    return real(language, path, text)


def survive() -> Survival:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        bad = {
            "one_line.py": STATEMENT * (LINE_BYTES // len(STATEMENT)) + "\n",
            "brackets.py": "\n".join(
                ["[" * PER_LINE] * (BRACKETS // PER_LINE) + ["]" * PER_LINE] * (BRACKETS // PER_LINE)
            ),
            KILLER: "def never_seen(): ...\n",
        }
        for name, text in bad.items():
            (folder / name).write_text(text)
        for number in range(GOOD_FILES):
            (folder / f"good_{number}.py").write_text(f"def function_{number}():\n    return {number}\n")
        graph = graph_of(folder, extractor=f"{__name__}:extract")
    ids = {node["id"] for node in graph.nodes}
    good = sum(f"good_{number}.py::function_{number}" in ids for number in range(GOOD_FILES))
    return Survival(good, {file.path: file.reason or file.status for file in graph.files if file.path in bad})
