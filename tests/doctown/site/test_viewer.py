"""The viewer of packs: its assets are built from its sources, and its own tests pass in Node.

How it behaves in a browser is tested beside this file.
"""

from __future__ import annotations

import gzip
import re
import shutil
from dataclasses import replace
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from doctown.docpack import Pack, open_pack, write_pack
from doctown.site.data import make_shards
from tests.doctown.docpack import packs
from tests.support.node_packages import NPM_LIMIT_S, install_packages, node_missing, run
from tests.support.real_pack import build_real_pack
from tests.support.worker_process import REPOSITORY_ROOT

CLIENT = Path("clients") / "typescript" / "src"
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
    checkout = tmp_path_factory.mktemp("checkout")
    # It reads packs by the client's sources.
    shutil.copytree(REPOSITORY_ROOT / CLIENT, checkout / CLIENT)
    folder = checkout / "doctown" / "site" / "viewer"
    folder.mkdir(parents=True)
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


# Each folder of the sources imports of itself and of those before it; "" are `app.tsx` and `main.tsx`.
LAYERS = ("data", "parts", "pages", "graphs", "")
# Texts, words, addresses: of no layer, and without imports of one.
BESIDE = frozenset({"navigation", "routes", "text", "tree", "words"})


def test_the_viewers_modules_import_in_one_direction() -> None:
    """Components import hooks and hooks import data, never the other way, and no module imports itself in a circle."""
    source = VIEWER / "src"
    modules = {path.relative_to(source).with_suffix("").as_posix(): path for path in source.rglob("*.ts*")}
    imports: dict[str, set[str]] = {}
    for module, path in modules.items():
        found = re.findall(r"from '(\.[^']+)\.js'", path.read_text(encoding="utf-8"))
        places = [(path.parent / name).resolve() for name in found]
        imports[module] = {one.relative_to(source).as_posix() for one in places if one.is_relative_to(source)}
    assert imports["parts/links"] >= {"data/model", "parts/context", "words"}
    TopologicalSorter(imports).prepare()
    for module, others in imports.items():
        for other in others:
            assert modules[other].suffix == ".ts" or modules[module].suffix == ".tsx", f"{module} imports {other}"
            assert other in BESIDE or layer_of(other) <= layer_of(module), f"{module} imports {other}"


def layer_of(module: str) -> int:
    return -1 if module in BESIDE else LAYERS.index(module.rpartition("/")[0])


def write_with_shards(pack: Pack, folder: Path) -> None:
    folder.mkdir(parents=True)
    write_pack(pack, folder / "pack.docpack")
    for shard in make_shards(open_pack(folder / "pack.docpack")):
        (folder / f"{shard.name}.json").write_bytes(shard.json)


@needs_node
def test_the_viewer_does_what_it_says(viewer: Path, tmp_path: Path) -> None:
    """The viewer compiles in strict mode, its sources are formatted, and none of its tests is left out."""
    real = open_pack(build_real_pack(tmp_path / "build"))
    # So long that a shard has a few symbols.
    long = [{**node, "docstring": "\u00fc\n" * (20_000 + number)} for number, node in enumerate(real.nodes)]
    for name, pack in (("real", real), ("long", replace(real, nodes=long)), ("small", packs.small_pack())):  # type: ignore[arg-type]
        write_with_shards(pack, tmp_path / "packs" / name)
    report = run(["npm", "test"], viewer, PACKS_FOLDER=str(tmp_path / "packs"))
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
