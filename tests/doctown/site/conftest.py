"""The sites and the browser that the tests of the site share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page

from doctown.commands.options import staleness_of
from doctown.docpack import Pack
from doctown.site.write import write_site
from tests.doctown.site.repository import build_repository
from tests.support.browser import browser_missing, running_browser, watched_context

MISSING = browser_missing()

# Opens a page: the options are those of a browser's context.
Open = Callable[..., Page]


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


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """How to open a page in a context of its own. At the end no page has failed, opened or said anything."""
    with ExitStack() as stack:
        watches = []

        def open_page(address: str, **options: object) -> Page:
            context, watch = stack.enter_context(watched_context(browser, **options))
            watches.append(watch)
            page = context.new_page()
            page.goto(address)
            page.wait_for_selector("h1")
            return page

        yield open_page
        assert [fault for watch in watches for fault in watch.faults] == []
        foreign = [address for watch in watches for address in watch.requests if not is_own(address)]
        assert foreign == []


# A page is there, and has all that it shows. No text, which the pages' policy would not run, but a function.
READY = "() => document.querySelector('main h1') !== null && document.querySelector('main .loading') === null"
SEARCHABLE = "() => performance.getEntriesByName('doctown-search').length > 0"


def show(page: Page, address: str) -> None:
    """Go to another page of the site, as a link does."""
    page.evaluate("address => { location.hash = address }", address)
    page.wait_for_function("address => decodeURIComponent(location.hash) === address", arg=address)
    page.wait_for_function(READY)


def search(page: Page, words: str) -> Locator:
    """Search as people do, with the keyboard; the links of the results."""
    page.wait_for_function(SEARCHABLE)
    page.keyboard.press("/")
    page.keyboard.type(words)
    page.wait_for_function("words => document.title.includes(`: ${words}`)", arg=words)
    return page.locator(".results .row-head > a")


def is_own(address: str) -> bool:
    """Whether a request stays where the site is: no test has a site elsewhere."""
    return address.startswith(("file:///", "http://127.0.0.1:", "data:"))
