"""A pack in other formats: whole, readable by those who know the format, and harmless."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from google.protobuf.empty_pb2 import Empty  # type: ignore[import-untyped]
from google.protobuf.unknown_fields import UnknownFieldSet  # type: ignore[import-untyped]

from doctown.__main__ import main
from doctown.docpack import Pack
from doctown.docpack.schema import Node, is_guess
from doctown.docpack.scip import scip_index, symbol_name
from tests.doctown.docpack import packs
from tests.doctown.docpack.archives import members_of
from tests.doctown.docpack.test_markdown import hostile_pack


def test_markdown_is_the_pages_of_the_pack(written: Path) -> None:
    """The folder has the README and every page of the archive, byte for byte; one that is not empty is left alone."""
    assert main(["export", str(written), "--to", "markdown"], {}) == 0
    folder = written.with_name("small-markdown")
    files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    members = members_of(written)
    assert files == {name: text for name, text in members.items() if name.endswith(".md")}
    assert main(["export", str(written), "--to", "markdown"], {}) == 1


def test_json_lines_have_every_node_and_edge(written: Path, tmp_path: Path, small_pack: Pack) -> None:
    """A line is an object of the pack; a node also says where it is."""
    assert main(["export", str(written), "--to", "jsonl", "--output", str(tmp_path / "lines")], {}) == 0
    nodes, edges = (
        [json.loads(line) for line in (tmp_path / "lines" / f"{name}.jsonl").read_text("utf-8").splitlines()]
        for name in ("nodes", "edges")
    )
    assert edges == list(small_pack.edges)
    place = ("start_line", "end_line", "url")
    assert [{key: value for key, value in node.items() if key not in place} for node in nodes] == list(small_pack.nodes)
    [check] = [node for node in nodes if node["id"] == packs.CHECK]
    url = f"https://github.com/o/r/blob/{packs.COMMIT}/src/app.py#L15-L16"
    assert [check[key] for key in place] == [15, 16, url]


def fields(data: bytes) -> dict[int, list[Any]]:
    """The fields of a message by number, read without its schema: integers, and bytes of texts and messages."""
    message = Empty()
    message.ParseFromString(data)
    found: dict[int, list[Any]] = {}
    for field in UnknownFieldSet(message):
        found.setdefault(field.field_number, []).append(field.data)
    return found


def numbers(packed: bytes) -> Iterator[int]:
    """Packed integers below 128, as the small pack has them."""
    yield from packed


def test_scip_has_definitions_calls_and_summaries(small_pack: Pack) -> None:
    """Read by the numbers that scip.proto gives its fields: documents, symbols, occurrences and relationships."""
    index = fields(scip_index(small_pack, "file:///src"))
    metadata = fields(index[1][0])
    assert metadata[3] == [b"file:///src"]
    documents = {fields(one)[1][0].decode(): fields(one) for one in index[2]}
    parsed = [file["path"] for file in small_pack.source_map["files"] if file["status"] != "skipped"]
    assert sorted(documents) == sorted(parsed)

    app = documents["src/app.py"]
    symbols = {fields(one)[1][0].decode(): fields(one) for one in app[3]}
    check = f"doctown . {packs.REPOSITORY['name']} {packs.COMMIT} src/`app.py`/check()."
    assert symbols[check][3] == [b"Returns what is at the address, or a guess."]
    assert (symbols[check][5], symbols[check][6]) == ([17], [b"check"])
    occurrences = [fields(one) for one in app[2]]
    [definition] = [one for one in occurrences if one[2] == [check.encode()] and one.get(3) == [1]]
    assert [list(numbers(definition[number][0])) for number in (1, 7)] == [[14, 0, 0], [14, 0, 15, 0]]
    calls = [list(numbers(one[1][0])) for one in occurrences if one[2] == [check.encode()] and 3 not in one]
    assert sorted(calls) == [[12, 0, 0], [18, 0, 0]], "lines 13 and 19"


def test_scip_leaves_guesses_out_and_names_every_symbol_once(small_pack: Pack) -> None:
    """Symbols of one name in one file stay apart, and an edge that is only a guess is no occurrence."""
    index = fields(scip_index(small_pack, "file:///src"))
    names = [fields(symbol)[1][0] for one in index[2] for symbol in fields(one).get(3, ())]
    assert len(names) == len(set(names)) == len(small_pack.nodes)
    assert any("(+2)." in name.decode() or "#2`" in name.decode() for name in names)
    occurrences = [fields(found) for one in index[2] for found in fields(one).get(2, ())]
    sure = [line for edge in small_pack.edges if not is_guess(edge) for line in edge["lines"]]
    assert (
        len([one for one in occurrences if 3 not in one])
        == len(sure)
        < sum(len(edge["lines"]) for edge in small_pack.edges)
    )


def test_scip_tells_methods_of_types_of_other_files_apart() -> None:
    """A method whose type stands in another file has the type in its name, as its id has."""
    pack = packs.small_pack()
    nodes = {node["id"]: node for node in pack.nodes}
    apart = [{**nodes[packs.ROUTE], "qualified_name": f"{name}.route", "parent": None} for name in ("A", "B")]
    names = [symbol_name(cast("Node", node), nodes, pack) for node in apart]
    assert [name.rpartition("/")[2] for name in names] == ["A#route().", "B#route()."]


@pytest.mark.parametrize("text", ["`a` b", "a/b#c().", "  ", "\n"], ids=["backticks", "marks", "spaces", "line"])
def test_hostile_texts_do_not_break_an_index(text: str) -> None:
    """A pack full of a text makes an index with as many documents and symbols, which can be read."""
    index = fields(scip_index(hostile_pack(text), "file:///src"))
    harmless = fields(scip_index(hostile_pack("harmless"), "file:///src"))
    assert [len(fields(one).get(3, ())) for one in index[2]] == [len(fields(one).get(3, ())) for one in harmless[2]]


def test_the_scip_command_writes_one_file(written: Path) -> None:
    """It stands beside the pack, and is the same for the same pack."""
    assert main(["export", str(written), "--to", "scip", "--root", "/src"], {}) == 0
    first = written.with_name("small.scip").read_bytes()
    assert main(["export", str(written), "--to", "scip", "--root", "/src"], {}) == 0
    assert written.with_name("small.scip").read_bytes() == first
    assert fields(fields(first)[1][0])[3] == [b"file:///src"]
