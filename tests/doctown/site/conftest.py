"""The sites and the browser that the tests of the site share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from doctown.commands.options import staleness_of
from doctown.docpack import Pack
from doctown.site.write import write_site
from tests.doctown.site.repository import build_repository
from tests.support.browser import LIMIT_MS, Watch, browser_missing, running_browser

MISSING = browser_missing()
# Its own limit is five seconds, whatever that of the pages is.
expect.set_options(timeout=LIMIT_MS)

# A page is there, and has all that it shows. No text, which the pages' policy would not run, but a function.
READY = "() => document.querySelector('main h1') !== null && document.querySelector('main .loading') === null"
# Resolves when the page has been told of its new address, if that is another.
GO = """address => new Promise((resolve) => {
    const before = location.hash
    addEventListener('hashchange', resolve, { once: true })
    location.hash = address
    if (location.hash === before) resolve()
}).then(() => undefined)"""
SEARCHABLE = "() => performance.getEntriesByName('doctown-search').length > 0"

# Opens an address, and waits until its page is there.
Open = Callable[[str], Page]


@pytest.fixture(scope="session")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    """The pack of the small repository, from which `repository` has moved on since."""
    return build_repository(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session")
def site(pack: Pack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of the small repository, written after a change of its source."""
    repository = tmp_path_factory.getbasetemp() / "letterpress"
    text = repository / "press" / "text.py"
    text.write_text(text.read_text().replace("text.lower().split()", "text.casefold().split()"))
    folder = tmp_path_factory.mktemp("site") / "site"
    write_site(pack, folder, staleness_of(str(repository), {})(pack))
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if MISSING is not None:
        pytest.skip(MISSING)
    with running_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def tab(browser: Browser) -> Page:
    """The one page of a module of tests: a new one for each test takes a second of the processor."""
    page = browser.new_page()
    page.set_default_timeout(LIMIT_MS)
    return page


@pytest.fixture
def open_page(tab: Page) -> Iterator[Open]:
    """How to open an address as in a new window. At the end no page has failed, opened, said or fetched anything."""
    watch = Watch()
    watch.follow(tab)

    def open_page(address: str) -> Page:
        tab.goto("about:blank")  # an address that differs after the # alone loads nothing
        tab.set_viewport_size({"width": 1280, "height": 720})
        tab.emulate_media(media="screen", color_scheme="light")
        tab.goto(address)
        tab.wait_for_function(READY)
        return tab

    yield open_page
    tab.evaluate("localStorage.clear()")
    watch.leave(tab)
    assert watch.faults == []
    assert [address for address in watch.requests if not is_own(address)] == []


def show(page: Page, address: str) -> None:
    """Go to another page of the site, as a link does."""
    page.evaluate(GO, address)
    assert page.evaluate("decodeURIComponent(location.hash)") == address
    page.wait_for_function(READY)


def search(page: Page, words: str) -> Locator:
    """Search as people do, with the keyboard; the links of the results."""
    page.wait_for_function(SEARCHABLE)
    page.keyboard.press("/")
    page.keyboard.insert_text(words)
    page.wait_for_function("words => document.title.includes(`: ${words}`)", arg=words)
    return page.locator(".results .row-head > a")


def is_own(address: str) -> bool:
    """Whether a request stays where the site is: no test has a site elsewhere."""
    return address.startswith(("file:///", "http://127.0.0.1:", "data:"))
