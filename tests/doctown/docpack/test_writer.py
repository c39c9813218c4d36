"""What is written: the archive's form, the same bytes again, and nothing at all where something is wrong."""

from __future__ import annotations

import copy
import gzip
import hashlib
import io
import json
import os
import random
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from doctown.docpack import Pack, Vectors, make_pack, open_pack, read_embeddings, write_pack
from doctown.docpack.schema import NAMED_MEMBERS
from doctown.errors import PackError
from tests.doctown.docpack import packs
from tests.doctown.docpack.archives import members_of

REPOSITORY = Path(__file__).resolve().parents[3]
LIMIT_S = 60


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def members(path: Path) -> list[tarfile.TarInfo]:
    with tarfile.open(path) as tar:
        return tar.getmembers()


def test_members_stand_in_their_order_and_say_nothing_of_the_machine(written: Path) -> None:
    found = members(written)
    names = [member.name for member in found]
    head = written.read_bytes()[:10]

    assert names[: len(NAMED_MEMBERS)] == list(NAMED_MEMBERS)
    assert names[len(NAMED_MEMBERS) :] == [
        "docs/clusters/0.md",
        "docs/clusters/1.md",
        "docs/files/src/__init__.py.md",
        "docs/files/src/app.py.md",
        "docs/files/web/röuter [id].ts.md",
    ]
    assert {(one.mode, one.uid, one.gid, one.uname, one.gname, one.type) for one in found} == {
        (0o644, 0, 0, "", "", tarfile.REGTYPE)
    }
    assert {one.mtime for one in found} == {1769860800}, "2026-01-31T12:00:00Z, the time of the commit"
    assert head[3] == 0, "the gzip header has no file name"
    assert head[4:8] == bytes(4), "nor a time"


def test_without_a_commit_all_times_are_zero(tmp_path: Path) -> None:
    path = tmp_path / "none.docpack"
    write_pack(packs.small_pack(packs.NO_COMMIT), path)

    assert {member.mtime for member in members(path)} == {0}
    assert b"](http" not in b"".join(members_of(path).values()), "no commit, no link"


def test_what_is_written_is_described_by_what_is_returned_and_by_the_manifest(tmp_path: Path, small_pack: Pack) -> None:
    path = tmp_path / "small.docpack"
    result = write_pack(small_pack, path, packs.vectors())
    data = path.read_bytes()
    found = members_of(path)

    assert (result.path, result.size_bytes, result.sha256) == (path, len(data), hashlib.sha256(data).hexdigest())
    assert result.embeddings_path == tmp_path / "small.embeddings.bin"
    assert json.loads(found.pop("manifest.json")) == result.manifest
    assert result.manifest["members"] == {
        name: {"bytes": len(text), "sha256": hashlib.sha256(text).hexdigest()} for name, text in found.items()
    }
    assert result.manifest["counts"] == {
        "files": 5,
        "files_parsed": 3,
        "files_skipped": 2,
        "symbols": 8,
        "documented": 4,
        "failed": 1,
        "edges": 12,
        "call_sites": 11,
        "call_sites_resolved": 8,
        "call_sites_external": 1,
        "call_sites_unresolved": 2,
        "clusters": 2,
    }
    assert result.manifest["languages"] == {
        "python": {"files": 3, "symbols": 5, "level": "full"},
        "typescript": {"files": 1, "symbols": 3, "level": "symbols"},
    }


def test_the_order_of_records_changes_nothing(tmp_path: Path, small_pack: Pack) -> None:
    """A pack of the same records in another order, files included, has the same bytes."""
    chance = random.Random(7)  # noqa: S311 -- an order, no secret
    source_map = copy.deepcopy(packs.source_map())
    order = [3, 1, 4, 0, 2]
    source_map["files"] = [source_map["files"][place] for place in order]
    for span in source_map["symbols"].values():
        span["file"] = order.index(span["file"])
    source_map["symbols"] = dict(chance.sample(list(source_map["symbols"].items()), len(source_map["symbols"])))
    clusters = copy.deepcopy(packs.clusters())
    clusters["clusters"][0]["members"].reverse()
    keys_reversed = [dict(reversed(list(node.items()))) for node in packs.nodes()]
    other = make_pack(
        packs.build_info(),
        nodes=chance.sample(keys_reversed, len(keys_reversed)),  # type: ignore[arg-type]
        edges=chance.sample(packs.edges(), len(packs.edges())),
        clusters=clusters,
        source_map=source_map,
    )
    one, two = tmp_path / "one.docpack", tmp_path / "two.docpack"
    write_pack(small_pack, one)
    write_pack(other, two)

    assert one.read_bytes() == two.read_bytes()


def test_another_process_writes_the_same_bytes(tmp_path: Path, written: Path) -> None:
    """Hash seed, time zone, locale and umask of the process that writes leave no trace."""
    script = (
        "import os, sys; os.umask(0o077); from pathlib import Path; from doctown.docpack import write_pack; "
        "from tests.doctown.docpack import packs; "
        "write_pack(packs.small_pack(), Path(sys.argv[1]), packs.vectors())"
    )
    folder = tmp_path / "other"
    folder.mkdir()
    environ = {**os.environ, "PYTHONHASHSEED": "77", "TZ": "Asia/Kathmandu", "LC_ALL": "C"}
    other = folder / written.name
    subprocess.run([sys.executable, "-c", script, other], cwd=REPOSITORY, env=environ, check=True, timeout=LIMIT_S)

    assert other.read_bytes() == written.read_bytes()
    assert (
        other.with_name("small.embeddings.bin").read_bytes() == written.with_name("small.embeddings.bin").read_bytes()
    )


def test_a_pack_that_was_read_is_written_to_the_same_bytes(tmp_path: Path, small_pack: Pack) -> None:
    path, again = tmp_path / "one.docpack", tmp_path / "two.docpack"
    write_pack(small_pack, path)
    write_pack(open_pack(path), again)

    assert path.read_bytes() == again.read_bytes()


def test_vectors_stand_in_the_order_of_the_nodes(written: Path, small_pack: Pack) -> None:
    """Each vector stands in the row of its symbol, and symbols without one have zeros."""
    data = written.with_name("small.embeddings.bin").read_bytes()
    matrix = read_embeddings(written)
    rows = {node["id"]: row for row, node in enumerate(small_pack.nodes)}

    assert data[:24] == b"DOCEMBED" + np.array([1, 11, 3, 0], dtype="<u4").tobytes()
    assert len(data) == 24 + 11 * 3 * 4
    assert matrix is not None
    assert matrix[rows[packs.MAIN]].tolist() == [1, 0, 0.5]
    assert matrix[rows[packs.SESSION]].tolist() == [0, 1, 0]
    assert np.count_nonzero(matrix) == 3


def test_a_build_without_vectors_leaves_none_beside_the_pack(written: Path, small_pack: Pack) -> None:
    """The vectors of the pack that was there before would belong to no pack."""
    write_pack(small_pack, written)

    assert list(contents(written.parent)) == [written.name]
    assert read_embeddings(written) is None


@pytest.mark.parametrize(
    ("vectors", "sentence"),
    [
        (Vectors(["a::b"], np.ones((1, 2), np.float32), "m", None), "no symbol has the id 'a::b'"),
        (Vectors([packs.MAIN] * 2, np.ones((2, 2), np.float32), "m", None), "a symbol has two"),
        (Vectors([packs.MAIN], np.ones((2, 2), np.float32), "m", None), r"the shape \(2, 2\), and there are 1 ids"),
        (Vectors([packs.MAIN], np.full((1, 2), np.nan, np.float32), "m", None), "not finite"),
    ],
    ids=["stray", "twice", "shape", "nan"],
)
def test_vectors_that_do_not_fit_are_refused(tmp_path: Path, small_pack: Pack, vectors: Vectors, sentence: str) -> None:
    with pytest.raises(PackError, match=sentence):
        write_pack(small_pack, tmp_path / "p.docpack", vectors)
    assert contents(tmp_path) == {}


# --- Packs that contradict themselves


def merged(record: Any, **values: Any) -> Any:
    return {**record, **values}


def change_node(node_id: str, **values: Any) -> Callable[[Pack], Pack]:
    def change(pack: Pack) -> Pack:
        return replace(pack, nodes=[merged(node, **values) if node["id"] == node_id else node for node in pack.nodes])

    return change


def change_edge(**values: Any) -> Callable[[Pack], Pack]:
    return lambda pack: replace(pack, edges=[merged(pack.edges[0], **values), *pack.edges[1:]])


def change_span(node_id: str, **values: Any) -> Callable[[Pack], Pack]:
    def change(pack: Pack) -> Pack:
        spans = pack.source_map["symbols"]
        symbols = {**spans, node_id: merged(spans[node_id], **values)}
        return replace(pack, source_map=merged(pack.source_map, symbols=symbols))

    return change


def change_map(**values: Any) -> Callable[[Pack], Pack]:
    return lambda pack: replace(pack, source_map=merged(pack.source_map, **values))


def change_count(**values: int) -> Callable[[Pack], Pack]:
    def change(pack: Pack) -> Pack:
        return replace(pack, manifest=merged(pack.manifest, counts=merged(pack.manifest["counts"], **values)))

    return change


def change_manifest(**values: Any) -> Callable[[Pack], Pack]:
    return lambda pack: replace(pack, manifest=merged(pack.manifest, **values))


def change_cluster(**values: Any) -> Callable[[Pack], Pack]:
    def change(pack: Pack) -> Pack:
        first, *others = pack.clusters["clusters"]
        return replace(pack, clusters=merged(pack.clusters, clusters=[merged(first, **values), *others]))

    return change


def near(symbol_id: str, similarity: float) -> dict[str, Any]:
    return {"id": symbol_id, "similarity": similarity}


def twice(pack: Pack) -> Pack:
    return replace(pack, nodes=[*pack.nodes[:2], *pack.nodes[1:]])


WRONG: dict[str, tuple[Callable[[Pack], Pack], str]] = {
    "id_twice": (twice, "nodes.json: two symbols have the id 'src/app.py::<module>'"),
    "id_of_another_name": (change_node(packs.MAIN, qualified_name="mean"), "should have the id 'src/app.py::mean'"),
    "unknown_parent": (change_node(packs.MAIN, parent="src/app.py::x"), "parent of 'src/app.py::main' is no symbol"),
    "parent_of_another_file": (
        change_node(packs.MAIN, parent=packs.GUESS),
        "parent of 'src/app.py::main' is no symbol",
    ),
    "own_ancestor": (change_node(packs.SESSION, parent=packs.LIMIT), "is its own ancestor"),
    "no_span": (change_map(symbols={}), "source_map.json: the symbol .* has no span"),
    "second_without_a_first": (change_node(packs.MAIN, id=f"{packs.MAIN}#2"), "should have the id 'src/app.py::main'"),
    "stray_span": (
        lambda pack: replace(pack, nodes=[node for node in pack.nodes if node["id"] != packs.MAIN]),
        "the span of 'src/app.py::main' belongs to no symbol",
    ),
    "span_beyond_the_file": (change_span(packs.MAIN, end_byte=10_000), "span of 'src/app.py::main' is empty or goes"),
    "lines_beyond_the_file": (change_span(packs.MAIN, end_line=22), "span of 'src/app.py::main' is empty or goes"),
    "empty_span": (change_span(packs.LIMIT, end_byte=100, start_byte=100), "is empty or goes beyond its file"),
    "span_of_another_file": (change_span(packs.MAIN, file=0), "is not in the symbol's file"),
    "order_of_nodes": (lambda pack: replace(pack, nodes=[*pack.nodes[1:], pack.nodes[0]]), "not in the order"),
    "documented_and_failed": (
        change_node(packs.CHECK, failure={"failure": "timeout", "message": "Late."}),
        "has a summary and a failure",
    ),
    "external_calls_unsorted": (change_node(packs.CHECK, external_calls=["b", "a"]), "external calls"),
    "near_to_nothing": (change_node(packs.MAIN, nearest=[near("x::y", 0.5)]), "'x::y', which .* is no other symbol"),
    "near_to_itself": (change_node(packs.MAIN, nearest=[near(packs.MAIN, 0.5)]), "is no other symbol"),
    "nearest_unsorted": (
        change_node(packs.MAIN, nearest=[near(packs.CHECK, 0.1), near(packs.GUESS, 0.2)]),
        "the nearest of 'src/app.py::main' are not in their order",
    ),
    "nearest_twice": (
        change_node(packs.MAIN, nearest=[near(packs.CHECK, 0.2), near(packs.CHECK, 0.2)]),
        "or one is there twice",
    ),
    "long_description": (
        change_manifest(repository={**packs.REPOSITORY, "description": "x" * 501}),
        "repository.description: String should have at most 500 characters",
    ),
    "edge_to_nowhere": (change_edge(to="x::y"), "graph.json: an edge names 'x::y', which is no symbol"),
    "edge_from_nowhere": (change_edge(**{"from": "a::b"}), "graph.json: an edge names 'a::b', which is no symbol"),
    "edge_twice": (lambda pack: replace(pack, edges=[pack.edges[0], *pack.edges]), "is there twice"),
    "edges_unsorted": (lambda pack: replace(pack, edges=[*pack.edges[1:], pack.edges[0]]), "is not in its order"),
    "lines_unsorted": (change_edge(lines=[3, 2]), "are not sorted or not in the file"),
    "line_beyond_the_file": (change_edge(lines=[22]), "are not sorted or not in the file"),
    "call_without_a_line": (change_edge(lines=[]), "has no line"),
    "sure_guess": (change_edge(origin="unique_name", confidence=0.7), "confidence of 0.7 or more"),
    "unknown_kind": (change_edge(kind="likes"), r"edges\[0\].kind: Input should be 'calls'"),
    "cluster_of_nobody": (change_cluster(members=["a::b"], size=1), "cluster 0 names 'a::b'"),
    "cluster_size": (change_cluster(size=9), "the size of cluster 0 is 9, and it has 3 members"),
    "cluster_id": (change_cluster(id=5), "the cluster at place 0 has the id 5"),
    "cluster_of_the_node": (change_node(packs.SESSION, cluster=1), "names another cluster"),
    "count": (change_count(documented=5), "manifest.json: counts.documented is 5, and it should be 4"),
    "call_sites": (change_count(call_sites=10), "counts.call_sites is 10, and it should be 11"),
    "huge_count": (change_count(edges=2**53), "counts.edges: Input should be less than or equal to"),
    "no_time": (
        change_manifest(created_at="2026-13-31T12:00:00Z"),
        "created_at is '2026-13-31T12:00:00Z', which is no time",
    ),
    "branch_in_links": (
        change_map(url_template="https://github.com/o/r/blob/main/{path}#L{start_line}-L{end_line}"),
        "url_template does not name the commit",
    ),
    "script_in_links": (
        change_map(url_template=f"javascript:{packs.COMMIT}{{path}}"),
        "url_template: String should match",
    ),
    "not_finite": (change_node(packs.MAIN, centrality=float("nan")), r"nodes\[\d+\].centrality: Input should be"),
    "half_a_surrogate": (change_node(packs.MAIN, docstring="\ud800"), "half of a surrogate pair"),
    "unknown_key": (change_node(packs.MAIN, colour="red"), r"nodes\[\d+\].colour: Extra inputs are not permitted"),
    "no_module_node": (
        lambda pack: replace(pack, nodes=[node for node in pack.nodes if node["id"] != packs.EMPTY_MODULE]),
        "the parsed file 'src/__init__.py' has no node of kind 'module'",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_pack_that_contradicts_itself_gets_no_name(written: Path, small_pack: Pack, name: str) -> None:
    """One sentence says what is wrong, the pack that was there before is still there, and nothing else is."""
    change, sentence = WRONG[name]
    before = contents(written.parent)

    with pytest.raises(PackError, match=sentence) as caught:
        write_pack(change(small_pack), written)

    assert len(str(caught.value).splitlines()) == 1
    assert contents(written.parent) == before


def test_a_pack_is_made_only_where_spans_files_and_levels_are_known() -> None:
    def made(**changes: Any) -> None:
        parts: dict[str, Any] = {
            "nodes": packs.nodes(),
            "edges": packs.edges(),
            "clusters": packs.clusters(),
            "source_map": packs.source_map(),
        }
        make_pack(packs.build_info()._replace(**changes.pop("info", {})), **{**parts, **changes})

    with pytest.raises(PackError, match="has no span"):
        made(source_map={**packs.source_map(), "symbols": {}})
    with pytest.raises(PackError, match="names file 0, and there are 0"):
        made(source_map={**packs.source_map(), "files": []})
    with pytest.raises(PackError, match="the level of the language 'typescript' is not given"):
        made(info={"levels": {"python": "full"}})


# --- Disks


def test_a_full_disk_loses_nothing(written: Path) -> None:
    """Where a file cannot grow, the old pack stays, no temporary file is left, and one sentence says why."""
    before = contents(written.parent)
    script = (
        "import resource, sys; from pathlib import Path; from doctown.docpack import write_pack; "
        "from doctown.errors import PackError; from tests.doctown.docpack import packs\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))\n"
        "try: write_pack(packs.small_pack(), Path(sys.argv[1]), packs.vectors())\n"
        "except PackError as error: print(error)"
    )
    for limit in ("100", "16000"):
        command = [sys.executable, "-c", script, str(written), limit]
        environ = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            command, cwd=REPOSITORY, env=environ, capture_output=True, text=True, check=True, timeout=LIMIT_S
        )

        assert done.stdout == f"{written} cannot be written: File too large.\n", limit
        assert contents(written.parent) == before


def test_a_folder_that_is_not_there_is_named(tmp_path: Path, small_pack: Pack) -> None:
    path = tmp_path / "none" / "p.docpack"
    with pytest.raises(PackError, match=f"{path} cannot be written: No such file or directory"):
        write_pack(small_pack, path)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """Without the permission to write there, one sentence says so. A superuser gives up its rights first."""
    script = (
        "import os, sys; from pathlib import Path; from doctown.docpack import write_pack; "
        "from doctown.errors import PackError; from tests.doctown.docpack import packs\n"
        "if os.geteuid() == 0: os.setuid(65534)\n"
        "try: write_pack(packs.small_pack(), Path(sys.argv[1]), packs.vectors())\n"
        "except PackError as error: print(error)"
    )
    tmp_path.chmod(0o500)
    path = tmp_path / "p.docpack"
    command = [sys.executable, "-c", script, str(path)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True, timeout=LIMIT_S)
    tmp_path.chmod(0o700)

    assert done.stdout == f"{path} cannot be written: Permission denied.\n"


def test_the_kernel_s_own_folder_cannot_be_written_even_by_the_superuser(small_pack: Pack) -> None:
    with pytest.raises(PackError, match=r"/proc/p[.]docpack cannot be written"):
        write_pack(small_pack, Path("/proc/p.docpack"))


def test_a_name_must_be_that_of_a_pack(tmp_path: Path, small_pack: Pack) -> None:
    with pytest.raises(PackError, match=r"should be a name that ends in [.]docpack"):
        write_pack(small_pack, tmp_path / "p.tar.gz")
    (tmp_path / "folder.docpack").mkdir()
    with pytest.raises(PackError, match="is a folder: name a file"):
        write_pack(small_pack, tmp_path / "folder.docpack")


def test_long_and_foreign_paths_are_members(tmp_path: Path) -> None:
    """Names of more than 100 bytes and of any script come back, also through the plain tar of Python."""
    path = f"{'a' * 120}/{'ж' * 100}/{'b' * 120}.py"
    pack = packs.one_file_pack(path)
    target = tmp_path / "p.docpack"
    write_pack(pack, target)

    assert f"docs/files/{path}.md" in members_of(target)
    assert open_pack(target).nodes == pack.nodes


def test_what_the_reader_does_not_take_gets_no_name(tmp_path: Path) -> None:
    """A path that is too long for the reader's limit of headers agrees with all else, and is found by reading back."""
    target = tmp_path / "p.docpack"
    with pytest.raises(PackError, match="is not written, as its reader refuses it: the headers of a member are larger"):
        write_pack(packs.one_file_pack("a/" * 100_000 + "b.py"), target)
    assert contents(tmp_path) == {}


def test_a_stream_of_a_pack_begins_with_the_manifest(written: Path) -> None:
    """Whoever reads a stream has the manifest before anything else."""
    start = gzip.GzipFile(fileobj=io.BytesIO(written.read_bytes())).read(512)
    assert tarfile.TarInfo.frombuf(start, "utf-8", "strict").name == "manifest.json"
