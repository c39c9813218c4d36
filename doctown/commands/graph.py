"""`doctown graph SOURCE`: parse a repository, show what was found by language, write the symbols and edges as JSON."""

import argparse
import dataclasses
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from itertools import islice
from pathlib import Path

from doctown.analysis import AnalysedFile, Analysis, analyse
from doctown.commands import terminal
from doctown.commands.options import add_source_arguments, cache_of, selection_of
from doctown.errors import DoctownError, SourceError
from doctown.graph import export
from doctown.graph.model import module_id
from doctown.machine import collector_paused
from doctown.parsing.cache import Cache
from doctown.repository import Checkout, Limits, open_source

SUMMARY = "Parse a repository and write its symbols and the edges between them."


@dataclass
class Row:
    """What was found in one language; unresolved call sites contain the ambiguous ones."""

    files: int = 0
    partial: int = 0
    skipped: int = 0
    symbols: int = 0
    calls: int = 0
    resolved: int = 0
    external: int = 0
    unresolved: int = 0
    ambiguous: int = 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_source_arguments(parser)
    parser.add_argument("--output", type=Path, metavar="FILE", help="the JSON file (default: output/NAME.graph.json)")
    parser.add_argument("--json", action="store_true", help="print the counts as JSON")


def run(options: argparse.Namespace, environ: Mapping[str, str]) -> None:
    """Run the command. Raises DoctownError."""
    cache, limits = cache_of(options), Limits.from_env(environ)
    with collector_paused():
        _run(options, environ, cache, limits)


def _run(options: argparse.Namespace, environ: Mapping[str, str], cache: Cache | None, limits: Limits) -> None:
    with (
        terminal.shown_progress() as progress,
        open_source(options.source, limits=limits, environ=environ) as checkout,
    ):
        analysis = analyse(checkout, selection_of(options), cache=cache, progress=progress)
    chosen = [file for file in analysis.files if options.include_tests or not file.is_test]
    if not any(file.status != "skipped" for file in chosen):
        raise SourceError("The source has tests only: give --include-tests to take them")
    rows = rows_by_language(analysis, chosen)
    output = options.output or Path("output") / f"{checkout.name}.graph.json"
    _write(output, graph_json(checkout, analysis, chosen))
    if options.json:
        print(json.dumps({name: dataclasses.asdict(row) for name, row in rows.items()}))  # noqa: T201
    else:
        terminal.print_table(*_table(rows))
        print(f"\nwritten: {output}")  # noqa: T201 - a command speaks by printing


def rows_by_language(analysis: Analysis, chosen: list[AnalysedFile]) -> dict[str, Row]:
    """Return what was found in the chosen files, by language in the order of names, and "all"."""
    rows: dict[str, Row] = defaultdict(Row)
    records = {file.path: place for place, file in enumerate(analysis.graph.files)}
    for file in chosen:
        if file.language is not None:
            _count(rows[file.language], analysis, file, records.get(file.path))
    total = Row()
    for row in rows.values():
        for field in fields(Row):
            setattr(total, field.name, getattr(total, field.name) + getattr(row, field.name))
    return {**dict(sorted(rows.items())), "all": total}


def graph_json(checkout: Checkout, analysis: Analysis, chosen: list[AnalysedFile]) -> dict[str, object]:
    """Return the chosen files with the nodes in them and the edges between these, as JSON values and iterators."""
    paths = frozenset(file.path for file in chosen)
    tests = frozenset(file.path for file in chosen if file.is_test)
    return {
        "format": "doctown-graph",
        "format_version": 1,
        "repository": {
            "name": checkout.name,
            "url": checkout.url,
            "commit": checkout.commit,
            "ref": checkout.ref,
            "dirty": checkout.dirty,
        },
        "files": [dataclasses.asdict(file) for file in chosen],
        "nodes": export.nodes(analysis.graph, paths, tests),
        "edges": export.edges(analysis.graph, paths),
    }


def _count(row: Row, analysis: Analysis, file: AnalysedFile, place: int | None) -> None:
    row.files += 1
    row.partial += file.status == "partial"
    row.skipped += file.status == "skipped"
    if place is None:
        return
    ids = analysis.graph.symbol_ids[place]
    row.symbols += len(ids)
    for symbol in (module_id(file.path), *ids):
        counts = analysis.graph.counts[symbol]
        row.calls += counts.resolved + counts.external + counts.unresolved
        row.resolved += counts.resolved
        row.external += counts.external
        row.unresolved += counts.unresolved
        row.ambiguous += counts.ambiguous


def _table(rows: Mapping[str, Row]) -> tuple[list[str], list[list[str]]]:
    headings = ["language", *(field.name for field in fields(Row))]
    return headings, [[name, *(f"{number:,}" for number in dataclasses.astuple(row))] for name, row in rows.items()]


def _write(output: Path, value: dict[str, object]) -> None:
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with output.open("w", encoding="ascii") as file:
            file.writelines(_json_pieces(value))
    except OSError as error:
        message = f"The file {str(output)!a} cannot be written ({error.strerror}): give another --output"
        raise DoctownError(message) from None


def _json_pieces(value: Mapping[str, object]) -> Iterator[str]:
    """Yield the JSON of an object and a line feed, iterators in it as arrays, in pieces: whole it takes 200 MB more."""
    encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
    for number, (key, part) in enumerate(value.items()):
        yield f"{',' if number else '{'}{encode(key)}:"
        if isinstance(part, Iterator):
            separator = "["
            while some := list(islice(part, 1_000)):
                yield separator + encode(some)[1:-1]
                separator = ","
            yield "[]" if separator == "[" else "]"
        else:
            yield encode(part)
    yield "}\n"
