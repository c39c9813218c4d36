"""The shards of a pack, worked out by hand for a small one."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from doctown.docpack import Pack
from doctown.docpack.compare import Staleness
from doctown.site import data
from doctown.site.data import make_shards
from tests.doctown.docpack import packs

# In the order of the nodes: by file and place.
EMPTY_MODULE, APP_MODULE, SESSION, LIMIT, SETTER, CHECK, MAIN, ROUTER_MODULE, ROUTER, ROUTE, GUESS = range(11)
NODES = 11
APP, ROUTER_FILE = 1, 4  # places of files


def shards_of(pack: Pack, staleness: Staleness | None = None) -> dict[str, Any]:
    return {shard.name: json.loads(shard.json) for shard in make_shards(pack, staleness)}


@pytest.fixture(scope="module")
def shards() -> dict[str, Any]:
    return shards_of(packs.small_pack())


def test_the_overview_has_what_the_first_page_shows(shards: dict[str, Any]) -> None:
    """The manifest without the list of members, the clusters without theirs, and the central symbols in order."""
    found = dict(shards["overview"])
    manifest = {name: value for name, value in packs.small_pack().manifest.items() if name != "members"}
    assert found.pop("manifest") == manifest
    central = found.pop("central")
    assert found == {
        "version": 1,
        "url_template": f"https://github.com/o/r/blob/{packs.COMMIT}/{{path}}#L{{start_line}}-L{{end_line}}",
        "clusters": [
            {"id": 0, "label": "session limit", "terms": ["session", "limit"], "size": 3},
            {"id": 1, "label": "router", "terms": [], "size": 2},
        ],
        "cluster_basis": "words",
        "shards": [0],
        "staleness": None,
    }
    assert central[:2] == [
        {
            "node": CHECK,
            "id": packs.CHECK,
            "kind": "function",
            "summary": "Returns what is at the address, or a guess.",
        },
        {"node": ROUTE, "id": packs.ROUTE, "kind": "method", "summary": "Führt zum Ziel ✓."},
    ]
    assert [one["node"] for one in central] == [CHECK, ROUTE, SESSION, LIMIT, SETTER, MAIN, ROUTER, GUESS]


def test_the_columns_have_a_row_for_each_node(shards: dict[str, Any]) -> None:
    """Places, parents, flags and centrality are those of the nodes; path and local name make up the id."""
    found = shards["names"]
    paths = [file["path"] for file in found["files"]]
    ids = [f"{paths[file]}::{name}" for file, name in zip(found["file"], found["local"], strict=True)]
    assert ids == [node["id"] for node in packs.small_pack().nodes]
    assert [found["kinds"][kind] for kind in found["kind"]] == [node["kind"] for node in packs.small_pack().nodes]
    assert found["languages"] == ["python", "typescript"]
    assert found["files"][ROUTER_FILE] == {
        "path": packs.ROUTER,
        "language": "typescript",
        "lines": 5,
        "bytes": len(packs.SOURCES[packs.ROUTER]),
        "status": "partial",
        "reason": "line 3 is not understood.",
    }
    assert found["parent"] == [-1, -1, APP, SESSION, SESSION, APP, APP, -1, ROUTER_MODULE, ROUTER, ROUTER_MODULE]
    assert (found["start"][CHECK], found["end"][CHECK]) == (15, 16)
    exported, test, failed, documented = 1, 2, 4, 8
    assert found["flags"][SESSION : MAIN + 1] == [
        exported + documented,
        exported + documented,
        exported + failed,
        exported + documented,
        test,
    ]
    assert found["centrality"] == [0, 0, 0, 0, 0, 1000, 0, 0, 0, 250, 0]
    assert found["cluster"] == [-1, -1, 0, 0, 0, 1, -1, -1, 1, -1, -1]


def test_summaries_say_who_wrote_them(shards: dict[str, Any]) -> None:
    """Each row has the summary and its source, or neither."""
    found = shards["summaries"]
    assert found["summaries"][LIMIT] == "Returns the limit."
    assert found["summaries"][MAIN] is None
    assert found["sources"] == [0, 0, 2, 1, 0, 3, 0, 0, 0, 1, 0]


def test_a_symbol_has_its_edges_of_both_ends(shards: dict[str, Any]) -> None:
    """Edges name the other end by number, in the order of the graph, guesses with theirs; containment is left out."""
    first, symbols = shards["symbols-0"]["first"], shards["symbols-0"]["symbols"]
    assert (first, len(symbols)) == (0, NODES)
    node = next(one for one in packs.nodes() if one["id"] == packs.CHECK)
    assert symbols[CHECK] == {
        "signature": "function check",
        "docstring": None,
        "documentation": node["documentation"],
        "failure": None,
        "external_calls": ["requests.get"],
        "unresolved_calls": 2,
        "ambiguous_calls": 1,
        "nearest": [[GUESS, 0.5], [SESSION, 0.25]],
        "out": [[GUESS, "calls", [16], "unique_name", 0.4]],
        "in": [
            [SETTER, "calls", [13], "lexical", 0.98],
            [MAIN, "calls", [19], "lexical", 0.98],
            [ROUTE, "calls", [3], "unique_name", 0.4],
        ],
    }
    assert symbols[SESSION]["out"] == [], "it contains the limit, which the parent of that says"
    assert symbols[SETTER]["failure"] == {"failure": "timeout", "message": "The model did not answer in time."}
    assert symbols[MAIN]["nearest"] == []


def test_the_map_has_sure_calls_between_different_ones() -> None:
    """Guesses, other edges and calls within a file or cluster are left out; the others are counted."""
    pack = packs.small_pack()
    callers = (packs.GUESS, packs.ROUTER_CLASS, packs.SESSION)
    more = [packs.edge(one, packs.LIMIT, "calls", [4], "typed", 0.9) for one in callers]
    found = shards_of(replace(pack, edges=[*pack.edges, *more]))["map"]
    assert found == {"files": [[ROUTER_FILE, APP, 2]], "clusters": [[0, 1, 1], [1, 0, 1]]}


def test_numbers_are_those_that_javascript_would_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole ones have no point, and halves are rounded up; of the central symbols there are as many as wanted."""
    pack = packs.small_pack()
    values = {packs.MAIN: 0.0005, packs.GUESS: 0.4995, packs.LIMIT: 0.00049}
    nodes = [{**node, "centrality": values.get(node["id"], 0.0)} for node in pack.nodes]
    monkeypatch.setattr(data, "MAX_CENTRAL", 2)
    found = shards_of(replace(pack, nodes=nodes))  # type: ignore[arg-type]
    assert [found["names"]["centrality"][one] for one in (MAIN, GUESS, LIMIT)] == [1, 500, 0]
    assert [one["node"] for one in found["overview"]["central"]] == [GUESS, MAIN]
    assert b'[1,"imports",[1],"import",1]' in next(make_shards(pack)).json


def text_of(value: Any) -> bytes:
    """Compact JSON, as JavaScript writes it too."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def test_a_shard_ends_before_it_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each symbol is in one shard, in order; one that is larger than a shard may be has its own."""
    pack = packs.small_pack()
    limit = 2 * len(next(make_shards(pack)).json) // NODES
    monkeypatch.setattr(data, "MAX_SHARD_BYTES", limit)
    huge = [{**node, "docstring": "x" * limit} if node["id"] == packs.MAIN else node for node in pack.nodes]
    found = shards_of(replace(pack, nodes=huge))  # type: ignore[arg-type]
    starts = found["overview"]["shards"]
    parts = [found[f"symbols-{number}"] for number in range(len(starts))]
    assert [part["first"] for part in parts] == starts
    assert [starts[0] + sum(len(one["symbols"]) for one in parts[:place]) for place in range(len(parts))] == starts
    assert MAIN in starts
    assert MAIN + 1 in starts
    sizes = [[len(text_of(one)) + 1 for one in part["symbols"]] for part in parts]
    assert all(sum(size) <= limit for size in sizes if len(size) > 1)
    assert all(sum(size) + after[0] > limit for size, after in pairwise(sizes)), "none ends early"


def test_a_shard_is_filled_to_its_last_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two symbols of exactly the size are one shard, and with a byte less they are two."""
    pack = packs.small_pack()
    size = sum(len(text_of(one)) + 1 for one in shards_of(pack)["symbols-0"]["symbols"][:2])
    for limit, second in ((size, 2), (size - 1, 1)):
        monkeypatch.setattr(data, "MAX_SHARD_BYTES", limit)
        assert shards_of(pack)["overview"]["shards"][1] == second


def test_an_empty_repository_has_all_shards_but_symbols() -> None:
    """A pack without a parsed file has an overview, and nothing in the columns."""
    pack = packs.small_pack()
    source_map: Any = {**pack.source_map, "files": [], "symbols": {}}
    clusters: Any = {**pack.clusters, "k": 0, "clusters": []}
    found = shards_of(replace(pack, nodes=[], edges=[], clusters=clusters, source_map=source_map))
    assert sorted(found) == ["map", "names", "overview", "summaries"]
    assert found["overview"]["shards"] == found["names"]["local"] == []


def test_what_is_stale_is_in_the_overview() -> None:
    """With a source the overview says how the pack fits it; a name that is no Unicode does not stop that."""
    staleness = Staleness(stale=["a"], new=["b\udcff.py::f"], gone=[], undocumented=["c"], current=7)
    assert shards_of(packs.small_pack(), staleness)["overview"]["staleness"] == {
        "up_to_date": 7,
        "stale": ["a"],
        "new": ["b?.py::f"],
        "gone": [],
        "undocumented": ["c"],
    }
