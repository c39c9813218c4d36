"""What differs between two packs, and between a pack and its source."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace

import pytest

from doctown.docpack import Pack, make_pack, source_hash
from doctown.docpack.compare import (
    ChangedSymbol,
    CurrentFile,
    Staleness,
    compare_packs,
    files_to_parse,
    find_stale,
)
from tests.doctown.docpack import packs


def hashes_in(pack: Pack, path: str, source: bytes, moved_bytes: int = 0) -> dict[str, str]:
    """The hashes of a file's symbols, as a parser would give them of a source where they stand so much later."""
    spans = ((node["id"], pack.source_map["symbols"][node["id"]]) for node in pack.nodes if node["file"] == path)
    return {
        symbol_id: source_hash(source[span["start_byte"] + moved_bytes : span["end_byte"] + moved_bytes])
        for symbol_id, span in spans
    }


def current(pack: Pack, changed: Mapping[str, CurrentFile | None] = {}) -> list[CurrentFile]:
    """All files as they are in the pack, but for those that are given; None: it is gone."""
    files = {file["path"]: CurrentFile(file["path"], file["sha256"], None) for file in pack.source_map["files"]}
    return [file for file in {**files, **changed}.values() if file is not None]


NOTHING_NEW = Staleness(
    stale=[],
    new=[],
    gone=[],
    undocumented=[packs.SETTER, packs.MAIN, packs.ROUTER_CLASS, packs.GUESS],
    current=4,
)


def test_a_pack_of_the_same_source_is_up_to_date(small_pack: Pack) -> None:
    """Files of the pack's SHA-256 need not be parsed: nothing in them is stale; some have no summary, as before."""
    assert find_stale(small_pack, current(small_pack)) == NOTHING_NEW
    assert files_to_parse(small_pack, {file["path"]: file["sha256"] for file in small_pack.source_map["files"]}) == []


def test_only_what_differs_is_parsed(small_pack: Pack) -> None:
    hashes = {file["path"]: file["sha256"] for file in small_pack.source_map["files"]}
    assert files_to_parse(small_pack, {**hashes, packs.APP: "0" * 64, "new.py": "1" * 64}) == ["new.py", packs.APP]


def test_only_symbols_whose_own_text_changed_are_stale(small_pack: Pack) -> None:
    """An edit of the same length makes its symbol stale, and the class around it, but no other symbol of the file."""
    source = packs.SOURCES[packs.APP].replace(b"return self._limit", b"return self._timil")
    changed = CurrentFile(packs.APP, "0" * 64, hashes_in(small_pack, packs.APP, source))
    found = find_stale(small_pack, current(small_pack, {packs.APP: changed}))

    assert found == NOTHING_NEW._replace(stale=[packs.SESSION, packs.LIMIT], current=2)


def test_what_only_moved_is_up_to_date(small_pack: Pack) -> None:
    """The hash knows no lines: a file that begins with another comment has no stale symbols."""
    comment = b"# New.\n"
    hashes = hashes_in(small_pack, packs.APP, comment + packs.SOURCES[packs.APP], len(comment))
    changed = CurrentFile(packs.APP, "0" * 64, hashes)
    assert find_stale(small_pack, current(small_pack, {packs.APP: changed})) == NOTHING_NEW


def test_symbols_come_and_go(small_pack: Pack) -> None:
    hashes = hashes_in(small_pack, packs.APP, packs.SOURCES[packs.APP])
    del hashes[packs.CHECK]
    hashes[f"{packs.APP}::verify"] = "0" * 32
    changed = {
        packs.APP: CurrentFile(packs.APP, "0" * 64, hashes),
        packs.ROUTER: None,
        "new.py": CurrentFile("new.py", "1" * 64, {"new.py::<module>": "0" * 32, "new.py::f": "0" * 32}),
    }
    assert find_stale(small_pack, current(small_pack, changed)) == Staleness(
        stale=[],
        new=["new.py::f", f"{packs.APP}::verify"],
        gone=[packs.CHECK, packs.ROUTER_CLASS, packs.ROUTE, packs.GUESS],
        undocumented=[packs.SETTER, packs.MAIN],
        current=2,
    )


@pytest.mark.parametrize("parsed", [True, False])
def test_what_cannot_be_told_is_called_stale(small_pack: Pack, parsed: bool) -> None:
    """In a changed file that cannot be parsed, or whose pack noted no hashes, documented symbols are stale."""
    nodes = copy.deepcopy(list(small_pack.nodes))
    if parsed:
        for node in nodes:
            if node["documentation"] is not None:
                del node["documentation"]["checks"]["source_hash"]
    pack = replace(small_pack, nodes=nodes)
    symbols = hashes_in(pack, packs.APP, packs.SOURCES[packs.APP]) if parsed else None
    found = find_stale(pack, current(pack, {packs.APP: CurrentFile(packs.APP, "0" * 64, symbols)}))

    assert found.stale == [packs.SESSION, packs.LIMIT, packs.CHECK]
    assert found.gone == []


def test_a_pack_does_not_differ_from_itself(small_pack: Pack) -> None:
    found = compare_packs(small_pack, small_pack)
    assert (found.added, found.removed, found.changed, found.edges_added, found.edges_removed) == ([], [], [], 0, 0)
    assert found.counts["symbols"] == (8, 8)


def changed_pack() -> Pack:
    """The small pack without `main` and its edges, with a new function, and with changes in three symbols."""
    nodes = {node["id"]: node for node in packs.nodes()}
    source_map = copy.deepcopy(packs.source_map())
    new = f"{packs.APP}::run"
    nodes[new] = {**nodes.pop(packs.MAIN), "id": new, "name": "run", "qualified_name": "run"}
    source_map["symbols"][new] = source_map["symbols"].pop(packs.MAIN)
    nodes[packs.ROUTER_CLASS] = {**nodes[packs.ROUTER_CLASS], "kind": "struct", "signature": "struct Router"}
    nodes[packs.CHECK] = {
        **nodes[packs.CHECK],
        "documentation": {
            **packs.documentation(packs.CHECK, "Checks the value."),
            "checks": {"passed": [], "findings": [], "source_hash": "0" * 32},
        },
    }
    source_map["symbols"][packs.GUESS]["end_byte"] -= 1
    source_map["files"] = [{**file, "sha256": "0" * 64} for file in source_map["files"]]
    edges = [edge for edge in packs.edges() if packs.MAIN not in edge.values()]
    return make_pack(
        packs.build_info(),
        nodes=nodes.values(),
        edges=[*edges, packs.edge(new, packs.CHECK, "calls", [19])],
        clusters=packs.clusters(),
        source_map=source_map,
    )


def test_two_packs_differ_by_symbols_edges_and_counts(small_pack: Pack) -> None:
    """Each aspect is told: kind and signature, source by hash or else by length, summary and what it rests on."""
    found = compare_packs(small_pack, changed_pack())

    assert found.added == [f"{packs.APP}::run"]
    assert found.removed == [packs.MAIN]
    assert found.changed == [
        ChangedSymbol(packs.CHECK, ("basis", "summary", "source")),
        ChangedSymbol(packs.ROUTER_CLASS, ("kind", "signature")),
        ChangedSymbol(packs.GUESS, ("source",)),
    ]
    assert (found.edges_added, found.edges_removed) == (1, 4)
    assert found.counts["edges"] == (12, 9)
