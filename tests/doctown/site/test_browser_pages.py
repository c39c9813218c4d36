"""The site of a small repository in Chromium: every kind of page, opened as a file and through a server."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from doctown.docpack import Pack, write_pack
from tests.doctown.site.conftest import Open
from tests.doctown.site.repository import SLUGIFY
from tests.support.waiting import LIMIT_S
from tests.support.worker_process import REPOSITORY_ROOT, running_process

PAGES = {
    "#/": "letterpress",
    "#/search?q=slugify": "slugify",
    f"#/symbol/{SLUGIFY}": "slugify",
    "#/file/press/store.py": "store.py",
    "#/files": "Files",
    "#/cluster/0": "",
    "#/map?by=clusters": "Map of clusters",
    "#/map?by=folders&folder=press": "Map of press",
    f"#/graph/{SLUGIFY}?hops=2&guesses=1": "Graph of slugify",
    "#/list/failed": "ailed",
    "#/list/stale": "tale",
    "#/list/warnings": "arnings",
    "#/symbol/no/such.py::symbol": "",
    "#/no/such/page": "",
}


@pytest.fixture(scope="module")
def served(pack: Pack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address at which `doctown view` serves the pack."""
    path = tmp_path_factory.mktemp("view") / "letterpress.docpack"
    write_pack(pack, path)
    command = [sys.executable, "-m", "doctown", "view", str(path), "--no-open"]
    environment = {"TMPDIR": str(path.parent)}
    with running_process(command, environment, REPOSITORY_ROOT) as view:
        said = view.wait_for_output("(until Ctrl-C)", LIMIT_S)
        yield said.partition(" ")[0]
        view.terminate()
        assert view.wait(LIMIT_S) == 0
    assert list(path.parent.glob("doctown-*")) == []


@pytest.mark.parametrize("way", ["file", "server"])
def test_every_page_can_be_opened_by_its_address(
    site: Path, way: str, request: pytest.FixtureRequest, open_page: Open
) -> None:
    """Each kind of page has a heading, says in its title what it shows, and fits the window."""
    start = (site / "index.html").as_uri() if way == "file" else request.getfixturevalue("served")
    page = open_page(start)
    for address, words in PAGES.items():
        page.goto("about:blank")  # an address that differs after the # alone loads nothing
        page.goto(f"{start}{address}")
        page.wait_for_selector("main h1")
        page.wait_for_function("words => document.title.includes(words)", arg=words)
        assert page.title().endswith("letterpress")
        assert page.locator("h1").count() == 1
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
