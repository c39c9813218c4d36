"""The site of a small repository in Chromium: every kind of page, opened as a file and through a server."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Page

from doctown.docpack import Pack, write_pack
from tests.doctown.site.conftest import Open, show
from tests.doctown.site.repository import SLUGIFY
from tests.support.node_packages import install_packages, node_missing
from tests.support.waiting import LIMIT_S
from tests.support.worker_process import REPOSITORY_ROOT, running_process

VIEWER = REPOSITORY_ROOT / "doctown" / "site" / "viewer"
NODE_MISSING = node_missing()

# The address of each kind of page, and words of its title.
PAGES = {
    "#/": "letterpress",
    "#/search?q=slugify": "Search: slugify",
    f"#/symbol/{SLUGIFY}": "slugify",
    "#/file/press/store.py": "press/store.py",
    "#/files": "Files",
    "#/cluster/0": "Cluster: ",
    "#/map?by=clusters": "Map of clusters",
    "#/map?by=folders&folder=press": "Map of press",
    f"#/graph/{SLUGIFY}?hops=2&guesses=1": "Graph of slugify",
    "#/list/failed": "Failed symbols",
    "#/list/stale": "Stale summaries",
    "#/list/warnings": "Warnings",
    "#/symbol/no/such.py::symbol": "Not found",
    "#/no/such/page": "Not found",
}

# Those that differ in what they load.
DEEP = {
    address: words
    for address, words in PAGES.items()
    if not address.startswith(("#/list", "#/no", "#/files", "#/map?by=c"))
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


def test_pages_can_be_opened_by_their_addresses(site: Path, open_page: Open) -> None:
    """As files, each kind of page is there by its address: nothing that was loaded for another page is needed."""
    for address, words in DEEP.items():
        check_page(open_page(f"{(site / 'index.html').as_uri()}{address}"), words)


def test_every_page_is_there_through_a_server(served: str, open_page: Open) -> None:
    """What `doctown view` serves has the same pages, as links lead to them."""
    page = open_page(served)
    for address, words in PAGES.items():
        show(page, address)
        check_page(page, words)


def check_page(page: Page, words: str) -> None:
    assert page.title().startswith(words)
    assert page.title().endswith("letterpress")
    assert page.locator("h1").count() == 1
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


AXE = """async (rules) => {
    const report = await axe.run(document, { runOnly: rules, preload: false })
    const sure = report.violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html.slice(0, 200)}`))
    return { sure, passes: report.passes.length }
}"""
ALL_RULES = {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
COLOURS = {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}
SCHEMES: tuple[tuple[Literal["light", "dark"], object], ...] = (("light", ALL_RULES), ("dark", COLOURS))


@pytest.mark.skipif(NODE_MISSING is not None, reason=str(NODE_MISSING))
def test_axe_finds_nothing_on_any_page(site: Path, open_page: Open) -> None:
    """No page breaks a rule of WCAG 2.2 AA or of good practice that axe can check, or is hard to read in the dark."""
    axe = (install_packages(VIEWER, "viewer") / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
    page = open_page((site / "index.html").as_uri())
    page.evaluate(f"{axe}; 0")
    found = {}
    for address, words in PAGES.items():
        show(page, address)
        check_page(page, words)
        for scheme, rules in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            report = page.evaluate(AXE, rules)
            found[address, scheme] = report["sure"]
            assert report["passes"] > 0
    assert {place: faults for place, faults in found.items() if faults} == {}
