"""Sites of repositories that are unusual without being hostile: empty ones, and names with signs that addresses use."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from playwright.sync_api import expect

from doctown.docpack import Pack
from doctown.site.write import write_site
from tests.doctown.docpack import packs
from tests.doctown.site.conftest import Open, search, show
from tests.doctown.site.test_browser_hostile import NODES, rewritten

FOLDER = "a b#c%20\N{LATIN SMALL LETTER E WITH ACUTE}?&"
PATH = f"src/{FOLDER}/50%.py"
NAMES = {"src/app.py": PATH, "Session": "S %2F?#x", "guess": "r\N{LATIN SMALL LETTER E WITH ACUTE}#2"}


def emptied(pack: Pack) -> Pack:
    """The pack of a repository of which no file is known."""
    counts = dict.fromkeys(pack.manifest["counts"], 0)
    parts: Any = {
        "manifest": {**pack.manifest, "counts": counts, "languages": {}},
        "nodes": [],
        "edges": [],
        "clusters": {**pack.clusters, "k": 0, "clusters": []},
        "source_map": {**pack.source_map, "files": [], "symbols": {}},
    }
    return replace(pack, **parts)


def test_an_empty_repository_has_all_its_pages(tmp_path: Path, open_page: Open) -> None:
    """Each page says that there is nothing, and what is asked for is not found."""
    write_site(emptied(packs.small_pack()), tmp_path / FOLDER / "site")
    page = open_page((tmp_path / FOLDER / "site" / "index.html").as_uri())
    for address, words in (
        ("#/files", "0 files"),
        ("#/search?q=main", "Nothing was found"),
        ("#/symbol/0", "Not found"),
        ("#/file/a.py", "Not found"),
        ("#/cluster/0", "Not found"),
        ("#/map?by=clusters", "no clusters"),
        ("#/map?by=folders", "No file of this documentation has symbols."),
        ("#/list/failed", "None has failed."),
        ("#/", "0 files"),
    ):
        show(page, address)
        assert words in page.locator("main").inner_text()


def test_names_with_signs_of_addresses_have_addresses(tmp_path: Path, open_page: Open) -> None:
    """Every link leads to what it names, also when its address is opened again."""
    pack = rewritten(packs.small_pack(), NAMES)
    write_site(pack, tmp_path / "site")
    start = (tmp_path / "site" / "index.html").as_uri()
    page = open_page(start)
    for number in (1, 2, NODES - 1):  # a file, a class and a function
        node = pack.nodes[number]
        show(page, f"#/symbol/{number}")
        page.get_by_role("link", name="graph", exact=True).click()
        page.wait_for_function("() => document.title.startsWith('Graph of ')")
        page.locator("h1 a").click()
        page.wait_for_function("() => !document.title.startsWith('Graph of ')")
        address = page.evaluate("location.hash")
        page = open_page(f"{start}{address}")
        name = (
            node["file"].rpartition("/")[2] if node["qualified_name"] == "<module>" else node["id"].partition("::")[2]
        )
        expect(page.locator("h1 .name")).to_have_text(name)
        page.locator(".trail a").first.click()
        page.wait_for_function("() => location.hash.startsWith('#/file/')")
        expect(page.locator("h1 .name")).to_have_text(node["file"])
    show(page, "#/map?by=folders")
    page.get_by_role("link", name="src/", exact=True).click()
    page.locator(".trail").get_by_role("link", name=FOLDER).click()
    expect(page.locator("h1")).to_have_text(f"Map of src/{FOLDER}")
    search(page, "50%").first.wait_for()


def test_a_caller_is_one_however_often_it_was_found_and_never_its_own(tmp_path: Path, open_page: Open) -> None:
    """Counts are of symbols, one with a sure call is sure, and of a symbol that calls itself that is said."""
    write_site(packs.parallel_pack(), tmp_path / "site")
    page = open_page(f"{(tmp_path / 'site' / 'index.html').as_uri()}#/symbol/{packs.CHECK}")
    callers = page.locator("section").filter(has=page.get_by_role("heading", name="Callers"))
    expect(callers.get_by_role("heading")).to_have_text("Callers 3")
    expect(callers).to_contain_text("1 guess among them")
    twice = callers.locator("li").filter(has_text="main")
    expect(twice).to_have_count(1)
    expect(twice.locator(".found")).to_have_text([re.compile("called in line 19.*98 % sure"), re.compile("guess.*20")])
    expect(twice.locator(".guessed")).to_have_count(0)
    calls = page.locator("section").filter(has=page.get_by_role("heading", name="Calls"))
    expect(calls.get_by_role("heading", level=2)).to_have_text("Calls 1")
    expect(calls).to_contain_text("It calls itself: called in line 16")
    page.get_by_role("link", name="graph", exact=True).click()
    expect(page.locator("main")).to_contain_text("The symbol calls itself in line 16.")
    assert page.locator(".cell").count() == 3
