"""What is read: packs as they were written, and of everything else a sentence that says what is wrong with it."""

from __future__ import annotations

import copy
import gzip
import io
import json
import os
import tarfile
import tracemalloc
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from doctown.docpack import Pack, open_pack, open_previous, read_embeddings, read_manifest, write_pack
from doctown.docpack.reader import Limits
from doctown.docpack.schema import NAMED_MEMBERS, Repository
from doctown.errors import PackError
from tests.doctown.docpack import packs
from tests.doctown.docpack.archives import archive, changed, members_of, with_checksums


class Unseekable(io.RawIOBase):
    """A stream as a network gives it: forwards only, a little at a time."""

    def __init__(self, data: bytes) -> None:
        self._rest = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._rest.read(min(len(buffer), 100))
        buffer[: len(data)] = data
        return len(data)


def refusal(data: bytes, limits: Limits = Limits()) -> str:  # noqa: B008 -- a constant
    with pytest.raises(PackError) as caught:
        open_pack(io.BytesIO(data), limits)
    sentence = str(caught.value)
    assert sentence.startswith("The pack cannot be read: ")
    assert len(sentence.splitlines()) == 1
    return sentence.removeprefix("The pack cannot be read: ")


def test_what_is_read_is_what_was_written(written: Path, small_pack: Pack) -> None:
    pack = open_pack(written)

    assert pack.nodes == small_pack.nodes
    assert pack.edges == small_pack.edges
    assert pack.clusters == small_pack.clusters
    assert pack.source_map == small_pack.source_map
    assert {**pack.manifest, "members": {}, "embeddings": None} == small_pack.manifest
    assert list(pack.source_map["symbols"]) == [node["id"] for node in pack.nodes]


def test_a_stream_that_cannot_be_rewound_is_enough(written: Path) -> None:
    stream = io.BufferedReader(Unseekable(written.read_bytes()), 100)
    assert open_pack(stream) == open_pack(written)


def test_the_manifest_alone_needs_only_the_beginning(written: Path) -> None:
    """Of a pack that is cut off behind its first member, the manifest can still be read."""
    members = list(members_of(written).items())
    manifest_only = gzip.decompress(archive(members[:1]))[: -tarfile.RECORDSIZE + 2 * tarfile.BLOCKSIZE]
    cut = gzip.compress(manifest_only + gzip.decompress(archive(members))[len(manifest_only) :])

    assert read_manifest(io.BytesIO(cut)) == open_pack(written).manifest


def test_unknown_keys_are_ignored(written: Path) -> None:
    """A later writer of the same format version may add keys and members, whatever they hold."""

    def add(document: dict[str, Any]) -> None:
        document["new"] = {"a": [1]}
        for record in document.get("nodes", []):
            record["new"] = None

    before = open_pack(written)
    for name in ("nodes.json", "graph.json", "clusters.json", "source_map.json"):
        changed(written, name, add)
    members = members_of(written)
    manifest = json.loads(members["manifest.json"])
    manifest["new"] = 1
    members = with_checksums({**members, "manifest.json": json.dumps(manifest).encode(), "docs/new.json": b"{}"})
    written.write_bytes(archive(list(members.items())))

    after = open_pack(written)
    assert replace(after, manifest=before.manifest) == before


def test_texts_that_look_like_nan_are_texts(written: Path) -> None:
    changed(written, "nodes.json", lambda document: document["nodes"][0].update(docstring="NaN, Infinity"))
    assert open_pack(written).nodes[0]["docstring"] == "NaN, Infinity"


# --- Versions and repositories


def test_a_newer_format_says_which_version_is_read(written: Path) -> None:
    def newer(manifest: dict[str, Any]) -> None:
        manifest.clear()
        manifest.update(format="docpack", format_version=2)

    changed(written, "manifest.json", newer)
    for read in (open_pack, read_manifest, read_embeddings):
        with pytest.raises(PackError) as caught:
            read(written)
        assert str(caught.value) == (
            f"{written} cannot be read: it has the format version 2, and this program reads versions up to 1: "
            "use a newer program, or build the pack anew."
        )


def test_another_format_is_not_taken_for_a_pack(written: Path) -> None:
    changed(written, "manifest.json", lambda manifest: manifest.update(format="other"))
    assert "does not say that it is the format 'docpack'" in refusal(written.read_bytes())


@pytest.mark.parametrize(
    ("url", "name", "same"),
    [
        ("https://github.com/o/r.git", "o/r", True),
        ("https://token@GitHub.com/o/r/", "renamed", True),
        ("https://github.com/O/R", "O/R", True),
        (None, "o/r", True),
        ("https://github.com/o/other", "o/r", False),
        (None, "other", False),
    ],
    ids=["as it is", "another form", "other capitals", "by name", "another address", "another name"],
)
def test_a_previous_pack_must_be_of_the_same_repository(written: Path, url: str | None, name: str, same: bool) -> None:
    repository: Repository = {**packs.REPOSITORY, "url": url, "name": name}
    if same:
        assert open_previous(written, repository) == open_pack(written)
    else:
        with pytest.raises(PackError, match=f"{written} documents the repository 'o/r', not '{name}'"):
            open_previous(written, repository)


# --- Files that are no packs


def test_every_cut_is_noticed(written: Path) -> None:
    """Whatever number of bytes is missing at the end, the pack is refused."""
    data = written.read_bytes()
    for end in [*range(0, len(data), 97), *range(len(data) - 20, len(data))]:
        assert refusal(data[:end])


def test_every_changed_byte_of_the_data_is_noticed(written: Path) -> None:
    """A flipped bit behind the gzip header is damage, but for the few bits on which nothing that is read depends."""
    data = bytearray(written.read_bytes())
    whole = gzip.decompress(data)
    for place in range(10, len(data), 61):
        data[place] ^= 0x10
        if decompressed(bytes(data)) == whole:
            assert open_pack(io.BytesIO(data))
        else:
            assert refusal(bytes(data))
        data[place] ^= 0x10


def decompressed(data: bytes) -> bytes | None:
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error):
        return None


@given(st.binary(max_size=300))
def test_noise_is_refused(noise: bytes) -> None:
    assert refusal(noise)
    assert refusal(gzip.compress(noise))
    assert refusal(gzip.compress(noise.ljust(512, b"\0") * 3))


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(PackError, match=f"^{tmp_path}/none cannot be read: No such file or directory[.]$"):
        open_pack(tmp_path / "none")
    with pytest.raises(PackError, match=f"^{tmp_path} cannot be read: Is a directory[.]$"):
        read_manifest(tmp_path)


def test_an_empty_archive_misses_its_manifest() -> None:
    assert "is missing" in refusal(archive([]))
    with pytest.raises(PackError, match="is missing"):
        read_manifest(io.BytesIO(archive([])))


def test_something_behind_the_archive_is_refused(written: Path) -> None:
    data = written.read_bytes()
    assert refusal(data + b"more") == "it is no .docpack, or it is damaged or cut off."
    assert refusal(data + gzip.compress(b"more")) == "something follows its last member."
    assert refusal(data + gzip.compress(bytes(1 << 20))) == "something follows its last member."


def special(name: str, kind: bytes, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def sparse(name: str) -> tarfile.TarInfo:
    """A regular file by its type, of which a header of the newer form says that it has holes."""
    info = tarfile.TarInfo(name)
    info.pax_headers = {"GNU.sparse.size": "10", "GNU.sparse.map": "0,0"}
    return info


MEMBERS: dict[str, tuple[tarfile.TarInfo, str]] = {
    "symlink": (special("README.md", tarfile.SYMTYPE, "/etc/passwd"), "the member 'README.md' is no regular file"),
    "hard link": (special("README.md", tarfile.LNKTYPE, "manifest.json"), "is no regular file"),
    "device": (special("README.md", tarfile.CHRTYPE), "is no regular file"),
    "fifo": (special("README.md", tarfile.FIFOTYPE), "is no regular file"),
    "folder": (special("docs", tarfile.DIRTYPE), "is no regular file"),
    "sparse": (special("README.md", tarfile.GNUTYPE_SPARSE), "is no regular file"),
    "sparse by a header": (sparse("README.md"), "is no regular file"),
    "absolute": (special("/etc/passwd", tarfile.REGTYPE), "the name of the member '/etc/passwd' is no relative path"),
    "above": (special("docs/../../x.md", tarfile.REGTYPE), "is no relative path"),
    "backslash": (special("docs\\x.md", tarfile.REGTYPE), "is no relative path"),
    "control": (special("docs/\n.md", tarfile.REGTYPE), "is no relative path"),
    "twice": (special("manifest.json", tarfile.REGTYPE), "two members with the name 'manifest.json'"),
    "order": (special("nodes.json", tarfile.REGTYPE), "its member 2 should be README.md, and is 'nodes.json'"),
}


@pytest.mark.parametrize("name", MEMBERS)
def test_unsafe_members_are_refused(written: Path, name: str) -> None:
    """Links, devices, folders, names that lead elsewhere, and names twice or in another order end the reading."""
    member, sentence = MEMBERS[name]
    before, *rest = members_of(written).items()
    assert sentence in refusal(archive([before, (member, b""), *rest]))


def test_a_member_that_the_manifest_does_not_name_is_refused(written: Path) -> None:
    members = [*members_of(written).items(), ("docs/more.md", b"")]
    assert refusal(archive(members)) == "its manifest does not name the member 'docs/more.md'."


@pytest.mark.parametrize("name", [*NAMED_MEMBERS, "docs/clusters/1.md", "docs/files/src/app.py.md"])
def test_a_missing_member_is_named(written: Path, name: str) -> None:
    """The manifest's word counts first, then what every pack of such files must have."""
    members = {one: data for one, data in members_of(written).items() if one != name}
    assert name in refusal(archive(list(members.items())))
    if name != "manifest.json":
        assert name in refusal(archive(list(with_checksums(members).items())))


@pytest.mark.parametrize("name", [*NAMED_MEMBERS[1:], "docs/clusters/1.md"])
def test_a_changed_member_is_noticed(written: Path, name: str) -> None:
    """Other bytes of the same length, and bytes of another length, are not what the manifest describes."""
    members = members_of(written)
    for data in (bytes(reversed(members[name])), members[name] + b" "):
        sentence = refusal(archive(list({**members, name: data}.items())))
        assert sentence == f"the member {name!r} is not the one that the manifest describes: bytes or SHA-256 differ."


# --- Limits


def test_limits_hold_before_anything_is_read(written: Path) -> None:
    """A member that is announced too large is refused by its header, as are too many members or bytes in all."""
    data = written.read_bytes()
    assert "the member 'nodes.json' is too large" in refusal(data, Limits(member_bytes=5_000))
    assert "is too large" in refusal(data, Limits(unpacked_bytes=10_000))
    assert refusal(data, Limits(members=3)) == "it has more than 3 members."


def peak_of(data: bytes) -> tuple[str, int]:
    tracemalloc.start()
    try:
        return refusal(data), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def bomb(header: bytes, size_bytes: int) -> bytes:
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb") as file:
        file.write(header)
        for _ in range(size_bytes >> 20):
            file.write(bytes(1 << 20))
    return out.getvalue()


def test_a_bomb_takes_no_memory() -> None:
    """A member, and a header of tar's, that unpack to 64 MiB are refused with less than 8 MiB taken."""
    member = tarfile.TarInfo("manifest.json")
    member.size = 1 << 40
    longer = tarfile.TarInfo("pax")
    longer.size, longer.type = 64 << 20, tarfile.XHDTYPE
    for info, sentence in ((member, "is too large"), (longer, "the headers of a member are larger than")):
        said, peak = peak_of(bomb(info.tobuf(tarfile.GNU_FORMAT), 64 << 20))
        assert sentence in said
        assert peak < 8 << 20


def test_zeros_without_end_are_refused() -> None:
    said, peak = peak_of(bomb(b"", 64 << 20))
    assert "is missing" in said
    assert peak < 8 << 20


# --- JSON


def text_of(member: str, old: bytes, new: bytes) -> Callable[[dict[str, bytes]], dict[str, bytes]]:
    def change(members: dict[str, bytes]) -> dict[str, bytes]:
        assert old in members[member]
        return {**members, member: members[member].replace(old, new, 1)}

    return change


TEXTS: dict[str, tuple[Callable[[dict[str, bytes]], dict[str, bytes]], str]] = {
    "nan": (text_of("graph.json", b"0.98", b"NaN"), "graph.json is no JSON"),
    "nan in an ignored key": (text_of("graph.json", b'"lines"', b'"new":NaN,"lines"'), "graph.json is no JSON"),
    "infinity": (text_of("nodes.json", b"1.0", b"Infinity"), "nodes.json is no JSON"),
    "half a surrogate": (text_of("nodes.json", b'"Runs all."', b'"\\ud800"'), "nodes.json: Invalid JSON"),
    "no utf-8": (text_of("nodes.json", "✓".encode(), b"\xff"), "nodes.json: Invalid JSON"),
    "a number as text": (text_of("graph.json", b"[21]", b'["21"]'), "graph.json: edges[0].lines[0]: Input should be"),
    "a missing key": (
        text_of("graph.json", b'"origin"', b'"from where"'),
        "graph.json: edges[0].origin: Field required",
    ),
    "a huge number": (
        text_of("graph.json", b"[21]", b"[1" + b"0" * 300 + b"]"),
        "edges[0].lines[0]: Input should be less",
    ),
    "depth": (text_of("clusters.json", b'"router"', b"[" * 100_000), "clusters.json: Invalid JSON: recursion limit"),
    "cut": (text_of("source_map.json", b"}", b""), "source_map.json: "),
    "a list": (lambda members: {**members, "nodes.json": b"[]"}, "nodes.json: Input should be an object"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_what_is_no_json_of_the_right_form_is_refused(written: Path, name: str) -> None:
    """The sentence names the document and the place in it, and repeats no value."""
    change, sentence = TEXTS[name]
    members = with_checksums(change(members_of(written)))
    assert sentence in refusal(archive(list(members.items())))


def test_a_contradiction_of_a_foreign_writer_is_found(written: Path) -> None:
    """The reader looks at references itself: an edge to nowhere is refused although all checksums are true."""
    changed(written, "graph.json", lambda document: document["edges"][0].update({"to": "a::b"}))
    assert "an edge names 'a::b', which is no symbol" in refusal(written.read_bytes())


def test_sentences_stay_short(written: Path) -> None:
    """An id of a megabyte is not repeated in full."""
    changed(written, "graph.json", lambda document: document["edges"][0].update({"to": "a" * (1 << 20)}))
    assert len(refusal(written.read_bytes())) < 1000


# --- Vectors


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda data: data[:-1], "has 155 bytes, and the pack says 156"),
        (lambda data: b"X" + data[1:], "does not begin as the vectors of this pack do"),
        (lambda data: data[:8] + b"\2" + data[9:], "does not begin as the vectors of this pack do"),
        (lambda data: data[:-1] + b"\1", "has another SHA-256 than the pack says"),
    ],
    ids=["cut", "magic", "version", "numbers"],
)
def test_vectors_of_another_build_are_refused(written: Path, change: Callable[[bytes], bytes], sentence: str) -> None:
    beside = written.with_name("small.embeddings.bin")
    beside.write_bytes(change(beside.read_bytes()))

    with pytest.raises(PackError, match=sentence):
        read_embeddings(written)
    assert open_pack(written), "the pack itself can be read without them"


def test_missing_vectors_are_named(written: Path) -> None:
    written.with_name("small.embeddings.bin").unlink()
    with pytest.raises(PackError, match=r"small[.]embeddings[.]bin cannot be read: No such file"):
        read_embeddings(written)


# --- Any texts


UNICODE = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)


@settings(max_examples=25)
@given(docstring=UNICODE, label=UNICODE, name=UNICODE, external=st.lists(UNICODE, max_size=3, unique=True))
def test_any_text_comes_back(
    tmp_path_factory: pytest.TempPathFactory, docstring: str, label: str, name: str, external: list[str]
) -> None:
    """Whatever a repository or a model writes comes back as it was, and is written to the same bytes again."""
    folder = tmp_path_factory.mktemp("any")
    pack = packs.small_pack({**packs.REPOSITORY, "name": name})
    nodes = copy.deepcopy(list(pack.nodes))
    nodes[3].update({"docstring": docstring, "signature": label, "external_calls": sorted(external)})
    clusters = copy.deepcopy(pack.clusters)
    clusters["clusters"][0].update({"label": label, "terms": [docstring]})
    one, two = folder / "one.docpack", folder / "two.docpack"
    write_pack(replace(pack, nodes=nodes, clusters=clusters), one)
    read = open_pack(one)
    write_pack(read, two)

    assert (read.nodes, read.clusters) == (nodes, clusters)
    assert one.read_bytes() == two.read_bytes()
    assert sorted(os.listdir(folder)) == ["one.docpack", "two.docpack"]  # noqa: PTH208 -- names alone
