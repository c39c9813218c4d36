"""The files of a site: what is replaced and what is refused, and the same bytes again."""

from __future__ import annotations

import json
import resource
import socket
from pathlib import Path
from typing import Any

import pytest

from doctown.__main__ import main
from doctown.docpack import Pack, write_pack
from doctown.errors import OutputError
from doctown.site import write
from doctown.site.data import Shard
from doctown.site.write import MARKER, script_of, write_site
from tests.doctown.docpack import packs

DATA = [f"data/{name}.js" for name in ("map", "names", "overview", "summaries", "symbols-0")]


@pytest.fixture(scope="module")
def small_pack() -> Pack:
    return packs.small_pack()


@pytest.fixture
def written(tmp_path: Path, small_pack: Pack) -> Path:
    path = tmp_path / "small.docpack"
    write_pack(small_pack, path)
    return path


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def shard_in(script: bytes) -> tuple[str, Any]:
    """What a script hands to the viewer: a literal of JavaScript without other escapes is one of JSON."""
    call = script.decode()
    start, end = "doctownShard(", ");\n"
    assert call.startswith(start)
    assert call.endswith(end)
    name, text = json.loads(f"[{call[len(start) : -len(end)]}]")
    return name, json.loads(text)


def test_a_site_has_the_viewer_and_all_shards(tmp_path: Path, small_pack: Pack) -> None:
    """Each shard is a script of one line that hands over one text; the marker names all other files."""
    site = write_site(small_pack, tmp_path / "new" / "site")
    found = contents(site.folder)
    names = sorted([*write.ASSETS, *DATA])
    assert sorted(found) == sorted([*names, MARKER])
    assert json.loads(found[MARKER])["files"] == names
    assert (site.files, site.size_bytes) == (len(found), sum(map(len, found.values())))
    for path in DATA:
        name, document = shard_in(found[path])
        assert path == f"data/{name}.js"
        assert document
    assert [one.name for one in site.folder.parent.iterdir()] == ["site"], "nothing else is left"


def test_a_shard_is_handed_over_unchanged() -> None:
    """Quotes, backslashes, line ends and the ends of scripts in a text stay in it."""
    texts = {"a": "\"'\\\n\r\t\0`${x}</script>\u2028\u2029é😀", "__proto__": "no prototype"}
    script = script_of(Shard("x", json.dumps(texts, ensure_ascii=False).encode()))
    assert shard_in(script) == ("x", texts)
    assert script.count(b"\n") == 1


def test_a_site_replaces_an_earlier_one_with_the_same_bytes(tmp_path: Path, small_pack: Pack) -> None:
    """Written again it is the same to the byte; files of the earlier site that are none of this one are gone."""
    folder = tmp_path / "site"
    write_site(small_pack, folder)
    before = contents(folder)
    marker = json.loads(before[MARKER])
    (folder / "data/symbols-1.js").touch()
    (folder / MARKER).write_text(json.dumps({**marker, "files": [*marker["files"], "data/symbols-1.js"]}))
    write_site(small_pack, folder)
    assert contents(folder) == before
    assert [one.name for one in tmp_path.iterdir()] == ["site"]


@pytest.mark.parametrize("foreign", ["mine.txt", "data/mine.js", ".git/config", "site-marker", "file"])
def test_what_is_no_site_is_not_replaced(tmp_path: Path, small_pack: Pack, foreign: str) -> None:
    """A folder with one file that no site has written stays as it is, and so does a file."""
    folder = tmp_path / "site"
    if foreign == "file":
        folder.write_text("mine")
        sentence = "is a file: name a folder"
    elif foreign == "site-marker":
        folder.mkdir()
        (folder / MARKER).write_text('["mine"]')
        sentence = "holds something else than a site: name another folder"
    else:
        write_site(small_pack, folder)
        (folder / foreign).parent.mkdir(exist_ok=True)
        (folder / foreign).write_text("mine")
        sentence = f"holds more than a site, such as {foreign.partition('/')[0]}"
    before = contents(tmp_path)
    with pytest.raises(OutputError, match=sentence):
        write_site(small_pack, folder)
    assert contents(tmp_path) == before


def test_a_full_disk_leaves_the_earlier_site(tmp_path: Path, small_pack: Pack) -> None:
    """Where a file cannot grow, one sentence says so, the earlier site stays, and nothing is left beside it."""
    folder = tmp_path / "site"
    write_site(small_pack, folder)
    before = contents(folder)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(OutputError, match=f"^{folder} cannot be written: File too large[.]$"):
            write_site(small_pack, folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert contents(folder) == before
    assert [one.name for one in tmp_path.iterdir()] == ["site"]


def test_a_folder_that_cannot_be_written_is_named(small_pack: Pack) -> None:
    """The kernel's own folder cannot be written by anybody; one sentence says so."""
    with pytest.raises(OutputError, match=r"^/proc/site cannot be written: No such file or directory\.$"):
        write_site(small_pack, Path("/proc/site"))


def test_an_installation_without_the_viewer_says_so(
    tmp_path: Path, small_pack: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the viewer's files are missing no site is left, and a sentence says what to do."""
    monkeypatch.setattr(write, "ASSETS_FOLDER", tmp_path / "none")
    with pytest.raises(OutputError, match=r"index\.html is not in this installation: install doctown anew"):
        write_site(small_pack, tmp_path / "site")
    assert list(tmp_path.iterdir()) == []


# --- The commands


def test_the_command_writes_a_site_and_tells_what_is_stale(
    written: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`doctown site` names the page to open; with the source the overview has what has changed in it."""
    source = tmp_path / "source"
    packs.write_sources(source)
    (source / packs.APP).write_text("def added():\n    pass\n")
    assert main(["site", str(written), str(tmp_path / "site"), "--source", str(source)], {}) == 0
    assert f"site: {tmp_path}/site/index.html (10 files, " in capsys.readouterr().out
    _, overview = shard_in((tmp_path / "site/data/overview.js").read_bytes())
    assert overview["staleness"]["new"] == [f"{packs.APP}::added"]
    assert packs.CHECK in overview["staleness"]["gone"]


def test_wrong_arguments_are_answered_with_a_sentence(
    written: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A missing pack, a folder of something else, a port that is taken and one that is none end in a sentence each."""
    assert main(["site", str(tmp_path / "none.docpack"), str(tmp_path / "site")], {}) == 1
    assert "none.docpack cannot be read: No such file" in capsys.readouterr().err
    assert main(["site", str(written), str(tmp_path)], {}) == 1
    assert "holds something else than a site" in capsys.readouterr().err
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["view", str(written), "--no-open", "--port", str(port)], {}) == 1
    assert f"port {port} cannot be used: Address already in use; name another" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["view", str(written), "--port", "65536"], {})
    assert "must be a whole number from 0 to 65535" in capsys.readouterr().err
