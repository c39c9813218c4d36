"""Ten things that someone wants to know of a repository they have never seen, in three clicks or one search each.

The repository is the installed package `requests`; what is right is read off its pack. A click is a click on a link, a
search is what is typed into the box and Enter.
"""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

import pytest
from playwright.sync_api import Page

from doctown.docpack import Pack
from doctown.site.write import write_site
from tests.doctown.site.conftest import READY, Open, search
from tests.doctown.site.repository import build_pack

MAX_CLICKS = 3


@pytest.fixture(scope="module")
def requests_pack(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    spec = importlib.util.find_spec("requests")
    assert spec is not None
    assert spec.origin is not None
    folder = tmp_path_factory.mktemp("tasks")
    shutil.copytree(Path(spec.origin).parent, folder / "source" / "requests", ignore=shutil.ignore_patterns("*.pyc"))
    return build_pack(folder / "source", folder / "packs")


@pytest.fixture(scope="module")
def start(requests_pack: Pack, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("site") / "site"
    write_site(requests_pack, folder)
    return (folder / "index.html").as_uri()


class Visitor:
    """Someone who looks for a symbol, and counts what it takes: clicks on links, and searches."""

    def __init__(self, page: Page, pack: Pack) -> None:
        self.page = page
        self.pack = pack
        self.clicks = 0
        self.searches = 0

    def click(self, *names: str) -> None:
        """Follow links by their names, one after the other."""
        for name in names:
            self.page.wait_for_function(READY)
            self.page.get_by_role("link", name=name, exact=True).first.click()
            self.clicks += 1

    def search(self, words: str) -> None:
        """Type the words and take the first result."""
        search(self.page, words).first.wait_for()
        self.page.keyboard.press("Enter")
        self.searches += 1

    def cluster_of(self, name: str) -> str:
        """The label of the cluster in which the symbol of this name is: who knows what it is about would guess it."""
        [cluster] = [node["cluster"] for node in self.pack.nodes if node["name"] == name]
        return next(one["label"] for one in self.pack.clusters["clusters"] if one["id"] == cluster)

    def answer(self) -> tuple[str, str, set[str]]:
        """What the page says: which symbol this is, where it is defined, and who calls it."""
        callers = self.page.locator("section").filter(has=self.page.locator("h2", has_text="Callers"))
        callers.wait_for()
        links = callers.locator("li .row-head > a").evaluate_all("links => links.map((link) => link.hash)")
        head = self.page.locator("main .origin").first.inner_text()
        address = unquote(self.page.url.partition("#")[2])
        return f"#{address}", head, {unquote(link).removeprefix("#/symbol/") for link in links}


# How one gets to a symbol, and which it is.
TASKS: dict[str, tuple[str, Callable[[Visitor], object]]] = {
    "words of a name": ("requests/sessions.py::merge_setting", lambda who: who.search("merge setting")),
    "another spelling": ("requests/utils.py::get_netrc_auth", lambda who: who.search("getNetrcAuth")),
    "a typing error": ("requests/cookies.py::extract_cookies_to_jar", lambda who: who.search("extract_cokies")),
    "the beginning of a name": ("requests/utils.py::select_proxy", lambda who: who.search("select_pr")),
    "a class and its method": (
        "requests/sessions.py::Session.get_adapter",
        lambda who: who.search("session get adapter"),
    ),
    "words of a summary": ("requests/utils.py::requote_uri", lambda who: who.search("re-quote the given uri")),
    "the central symbols": (
        "requests/structures.py::CaseInsensitiveDict",
        lambda who: who.click("CaseInsensitiveDict"),
    ),
    "the tree of files": (
        "requests/auth.py::_basic_auth_str",
        lambda who: who.click("Files", "auth.py", "_basic_auth_str"),
    ),
    "the map of clusters": (
        "requests/utils.py::get_auth_from_url",
        lambda who: who.click("Map", who.cluster_of("get_auth_from_url"), "get_auth_from_url"),
    ),
    "the graph of a symbol": (
        "requests/api.py::request",
        lambda who: who.click("Session", "graph", "request in requests/api.py"),
    ),
}


@pytest.mark.parametrize("way", TASKS)
def test_who_calls_it_and_where_it_is_defined(way: str, requests_pack: Pack, start: str, open_page: Open) -> None:
    """From the first page it takes three clicks or one search to the answer, which is that of the pack."""
    symbol, go = TASKS[way]
    visitor = Visitor(open_page(start), requests_pack)
    go(visitor)
    assert (visitor.searches, visitor.clicks) in {(1, 0), (0, 1), (0, 2), (0, MAX_CLICKS)}
    address, head, callers = visitor.answer()
    span = requests_pack.source_map["symbols"][symbol]
    assert address == f"#/symbol/{symbol}"
    assert f"{symbol.partition('::')[0]}, lines {span['start_line']}\N{EN DASH}{span['end_line']}" in head
    calls = [edge for edge in requests_pack.edges if edge["kind"] == "calls" and edge["to"] == symbol]
    assert callers == {edge["from"] for edge in calls}
    assert len(callers) > 0
