"""A pack as files for other tools: a folder of Markdown pages, or of JSON Lines.

A pack's texts are data here too: the pages are those of the pack, in which names and summaries are escaped. Leaves out
SCIP (`scip`), and whether the pack is whole: its reader has seen to that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic_core import to_json

from doctown.docpack.markdown import pages, readme, source_link
from doctown.docpack.pack import Pack, index_pack
from doctown.docpack.schema import README
from doctown.errors import OutputError


def export_markdown(pack: Pack, folder: Path) -> None:
    """Write README.md and a page for each file and cluster, with relative links. Raise OutputError."""
    _write_all(folder, _markdown(pack))


def _markdown(pack: Pack) -> Iterator[tuple[str, Iterable[bytes]]]:
    yield README, [readme(pack).encode()]
    for name, page in pages(pack, index_pack(pack)):
        yield name, [page.encode()]


def export_json_lines(pack: Pack, folder: Path) -> None:
    """Write nodes.jsonl and edges.jsonl, one object a line. Raise OutputError.

    A node has the keys of the pack's, its lines, and the address of its source at the commit, or null.
    """
    _write_all(folder, [("nodes.jsonl", _lines(_nodes(pack))), ("edges.jsonl", _lines(pack.edges))])


def _nodes(pack: Pack) -> Iterator[Mapping[str, Any]]:
    for node in pack.nodes:
        span = pack.source_map["symbols"][node["id"]]
        lines = {"start_line": span["start_line"], "end_line": span["end_line"]}
        yield {**node, **lines, "url": source_link(pack.source_map, node["id"])}


def _lines(records: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    return (to_json(record) + b"\n" for record in records)


def _write_all(folder: Path, files: Iterable[tuple[str, Iterable[bytes]]]) -> None:
    """Write files below a folder that is new or empty."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            message = f"{folder} is not empty: name another folder with --output, or empty it."
            raise OutputError(message)
        for name, parts in files:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                file.writelines(parts)
    except OSError as error:
        message = f"{error.filename or folder} cannot be written: {error.strerror}."
        raise OutputError(message) from None
