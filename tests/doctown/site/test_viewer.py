"""The viewer of packs: its assets are built from its sources, and its own tests pass in Node.

How it behaves in a browser is tested beside this file.
"""

from __future__ import annotations

import gzip
import re
import shutil
from pathlib import Path

import pytest

from tests.support.node_packages import NPM_LIMIT_S, install_packages, node_missing, run
from tests.support.worker_process import REPOSITORY_ROOT

SITE = REPOSITORY_ROOT / "doctown" / "site"
VIEWER = SITE / "viewer"
ASSETS = SITE / "assets"
LOADED = ("index.html", "viewer.css", "viewer.js")
MAX_ASSETS_GZIPPED_BYTES = 150_000

MISSING = node_missing()
needs_node = pytest.mark.skipif(MISSING is not None, reason=str(MISSING))
pytestmark = pytest.mark.timeout(2 * NPM_LIMIT_S)


@pytest.fixture(scope="module")
def viewer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the viewer's sources with its packages, so that nothing is left in the repository."""
    folder = tmp_path_factory.mktemp("viewer")
    for name in ("package.json", "build.mjs", "tsconfig.json"):
        shutil.copy(VIEWER / name, folder / name)
    for name in ("src", "test"):
        shutil.copytree(VIEWER / name, folder / name)
    (folder / "node_modules").symlink_to(install_packages(VIEWER, "viewer"))
    return folder


@needs_node
def test_the_assets_are_built_from_the_sources(viewer: Path, tmp_path: Path) -> None:
    """`make assets` would write the committed assets, byte for byte."""
    run(["node", "build.mjs", str(tmp_path)], viewer)
    built = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    committed = {path.name: path.read_bytes() for path in ASSETS.iterdir()}
    assert built.keys() == committed.keys()
    assert [name for name in built if built[name] != committed[name]] == [], "run `make assets`"


@needs_node
def test_the_viewer_does_what_it_says(viewer: Path) -> None:
    """The viewer compiles in strict mode, its sources are formatted, and none of its tests is left out."""
    report = run(["npm", "test"], viewer)
    counts = {name: int(count) for name, count in re.findall(r"(?m)^# (tests|pass|skipped) (\d+)$", report)}
    assert counts["skipped"] == 0
    assert counts["pass"] == counts["tests"] > 0


def test_the_assets_are_small() -> None:
    """All that a page loads besides data is at most 150 KB, gzipped."""
    sizes = {name: len(gzip.compress((ASSETS / name).read_bytes(), 9, mtime=0)) for name in LOADED}
    assert sum(sizes.values()) <= MAX_ASSETS_GZIPPED_BYTES, sizes


def test_the_assets_ask_nobody_else() -> None:
    """No asset names an address that a browser would load, and the pages allow none."""
    for name in ("index.html", "pack.html"):
        page = (ASSETS / name).read_text(encoding="utf-8")
        assert "default-src 'none'; script-src 'self'; style-src 'self'" in page
        assert re.findall(r"""(?:src|href)=["']?(https?:|//)[^"' >]*""", page) == []
    assert re.findall(r"url\(|@import", (ASSETS / "viewer.css").read_text(encoding="utf-8")) == []


def test_the_viewer_writes_no_markup() -> None:
    """No source sets markup from text or runs text as code: what a pack says is text wherever it is shown."""
    sources = {path: path.read_text(encoding="utf-8") for path in (VIEWER / "src").rglob("*.ts*")}
    forbidden = re.compile(r"(?i)innerhtml|outerhtml|insertadjacenthtml|document\.write|\beval\(|new function")
    assert [path.name for path, text in sources.items() if forbidden.search(text)] == []
