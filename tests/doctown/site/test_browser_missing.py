"""A site of which a file is missing or damaged says so, and goes on when the file is there."""

from __future__ import annotations

import shutil
from pathlib import Path

from playwright.sync_api import Browser, expect

from tests.doctown.site.conftest import READY
from tests.doctown.site.repository import SLUGIFY
from tests.support.browser import watched_context

# A file of the site, a page that needs it, and what is there when it has come.
NEEDED = (
    ("overview", "#/", "Most central symbols"),
    ("names", "#/files", "how folders call each other"),
    ("summaries", "#/search?q=slug", "slugify"),
    ("map", "#/map?by=clusters", "The same as a table"),
    ("symbols-0", f"#/symbol/{SLUGIFY}", "Callers"),
    ("symbols-0", f"#/graph/{SLUGIFY}?hops=1&guesses=0", "Callers"),
)
DAMAGED = 'doctownShard("names", "{")\n'


def test_a_missing_or_damaged_file_is_told_and_can_be_tried_again(site: Path, browser: Browser, tmp_path: Path) -> None:
    """The page names the file in a sentence, keeps what it has, and shows the rest after a press of the button."""
    copy = tmp_path / "site"
    shutil.copytree(site, copy)
    with watched_context(browser) as (context, watch):
        for name, address, text in NEEDED:
            file = copy / "data" / f"{name}.js"
            whole = file.read_bytes()
            for said in ("could not be loaded", "is damaged") if name == "names" else ("could not be loaded",):
                file.unlink()
                if said == "is damaged":
                    file.write_text(DAMAGED)
                page = context.new_page()
                page.goto(f"{(copy / 'index.html').as_uri()}{address}")
                expect(page.get_by_role("alert")).to_contain_text(f"data/{name}.js {said}")
                expect(page.locator("h1")).to_have_count(1)
                file.write_bytes(whole)
                page.get_by_role("button", name="Try again").click()
                page.wait_for_function(READY)
                expect(page.locator("main")).to_contain_text(text)
                expect(page.get_by_role("alert")).to_have_count(0)
                page.close()
    assert all("ERR_FILE_NOT_FOUND" in fault for fault in watch.faults)


def test_a_page_that_is_loaded_again_is_where_it_was(site: Path, browser: Browser) -> None:
    """The place on a page is there after a reload, and after leaving the page and coming back."""
    with watched_context(browser, viewport={"width": 500, "height": 300}) as (context, watch):
        page = context.new_page()
        page.goto(f"{(site / 'index.html').as_uri()}#/")
        page.wait_for_function(READY)
        page.mouse.move(200, 200)
        page.mouse.wheel(0, 150)
        page.wait_for_function("() => scrollY === 150 && history.state.scroll === 150")
        page.reload()
        page.wait_for_function("() => scrollY === 150")
        page.evaluate("() => { location.hash = '#/files' }")
        page.wait_for_function("() => scrollY === 0 && document.title.startsWith('Files')")
        page.go_back()
        page.wait_for_function("() => scrollY === 150")
    assert watch.faults == []
