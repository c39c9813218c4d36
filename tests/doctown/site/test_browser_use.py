"""The site of a small repository as people use it in Chromium: search, links, keys, colours, widths, paper."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, ViewportSize, expect

from tests.doctown.site.conftest import READY, Open, search, show
from tests.doctown.site.repository import FAILED, IMPORT_ORDERS, OPEN_STORE, SLUGIFY, SPLIT_WORDS
from tests.doctown.site.test_browser_pages import PAGES

PHONE = ViewportSize(width=360, height=740)
SYMBOL = f"#/symbol/{SLUGIFY}"


@pytest.fixture
def start(site: Path) -> str:
    return (site / "index.html").as_uri()


def path_of(page: Page) -> str:
    return str(page.evaluate("decodeURIComponent(location.hash)"))


def focused(page: Page) -> str:
    return str(page.evaluate("document.activeElement.id || document.activeElement.innerText"))


# What is typed, and the first symbol that is found.
QUERIES = {
    "load": "press/store.py::Store.load_order",  # a part in snake_case
    "fetchorder": "web/orderClient.ts::OrderClient.fetchOrder",
    "client": "web/orderClient.ts::OrderClient",  # a part in camelCase
    "slug": SLUGIFY,  # the beginning
    "slugfy": SLUGIFY,  # a typing error
    "split_words": SPLIT_WORDS,
    "letter costs": "press/price.py::PriceList.price_letter",  # words of the summary
    "measure": "engine/src/lib.rs::measure_line",
}


def test_the_search_finds_names_parts_errors_and_words(start: str, open_page: Open) -> None:
    """Each query has its symbol first, with kind, file and summary; the page is that of the query."""
    page = open_page(start)
    found = {}
    for query, symbol in QUERIES.items():
        results = search(page, query)
        expect(page.locator(".results .summary").first).to_be_visible()
        found[query] = (
            symbol if results.first.get_attribute("href") == f"#/symbol/{symbol}" else results.all_inner_texts()
        )
        page.keyboard.press("Escape")
        expect(page.locator("h1")).to_have_text("letterpress")
    assert found == QUERIES
    line = page.locator(".results li").first
    search(page, "slugify")
    expect(line).to_contain_text("function")
    expect(line).to_contain_text("press/text.py")
    expect(line).to_contain_text("Return the title as a part of an address")


def test_the_search_is_used_with_the_keyboard(start: str, open_page: Open) -> None:
    """`/` begins it, arrows move through results, Enter opens one, Escape leads back; in the box `/` is a letter."""
    page = open_page(f"{start}{SYMBOL}")
    results = search(page, "sto")
    page.keyboard.type("re")
    expect(page.locator("h1")).to_contain_text("“store”")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    second = results.nth(1)
    expect(second).to_be_focused()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    assert focused(page) == "search"
    page.keyboard.type("/file")
    expect(page.locator("#search")).to_have_value("store/file")
    page.keyboard.press("Escape")
    expect(page.locator("h1")).to_contain_text("slugify")
    assert path_of(page) == SYMBOL
    search(page, "open_store").first.wait_for()
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_contain_text("open_store")
    assert path_of(page) == f"#/symbol/{OPEN_STORE}"


def test_links_lead_back_to_where_they_were_followed(start: str, open_page: Open) -> None:
    """Every step is an address that can be opened again; back and forward lead through them, and to the same place."""
    page = open_page(f"{start}#/search?q=words")
    expect(page.locator("#search")).to_have_value("words")
    page.locator(".results").get_by_role("link", name="split_words").click()
    expect(page.locator("h1")).to_contain_text("split_words")
    page.get_by_role("link", name="slugify").first.click()
    expect(page.locator("h1")).to_contain_text("slugify")
    assert focused(page).endswith("slugify")
    page.go_back()
    expect(page.locator("h1")).to_contain_text("split_words")
    page.go_back()
    assert path_of(page) == "#/search?q=words"
    page.go_forward()
    expect(page.locator("h1")).to_contain_text("split_words")
    page.reload()
    expect(page.locator("h1")).to_contain_text("split_words")


# How what has the focus is drawn: an outline, or a thick line around a node of a drawing.
SEEN = """() => {
    const element = document.activeElement
    const shape = element.querySelector(':scope > circle, :scope > rect')
    const line = shape === null ? getComputedStyle(element).outlineWidth : getComputedStyle(shape).strokeWidth
    return element.matches(':focus-visible') && parseFloat(line) >= 2
}"""


def tab_to(page: Page, words: str) -> None:
    """Press Tab until what has the focus begins with these words."""
    texts: list[str] = []
    while not texts or not texts[-1].startswith(words):
        page.keyboard.press("Tab")
        texts.append(focused(page))
        assert page.evaluate(SEEN), texts[-1]
        assert len(texts) < 100, texts


def test_everything_can_be_reached_with_the_keyboard(start: str, open_page: Open) -> None:
    """By Tab and Enter one gets from the map to a folder, a file, a symbol and its graph; the focus is always seen."""
    page = open_page(f"{start}#/map?by=folders")
    steps = {
        "press/": "#/map?by=folders&folder=press",
        "text.py": "#/file/press/text.py",
        "slugify": SYMBOL,
        "graph": f"#/graph/{SLUGIFY}?hops=1&guesses=0",
        "Store.load_order": "#/symbol/press/store.py::Store.load_order",
    }
    for words, address in steps.items():
        page.wait_for_function(READY)
        tab_to(page, words)
        page.keyboard.press("Enter")
        page.wait_for_function("address => decodeURIComponent(location.hash) === address", arg=address)
        # The address is there before its page, whose heading gets the focus.
        page.wait_for_function("() => document.activeElement.matches('main h1')")


def test_a_symbol_is_told_with_what_is_sure_and_what_is_not(start: str, open_page: Open) -> None:
    """Signature, who wrote the summary, callers with lines and confidence, guesses, what is not known, neighbours."""
    page = open_page(f"{start}#/symbol/{IMPORT_ORDERS}")
    main = page.locator("main")
    for words in (
        "def import_orders(folder, source)",
        "Written without a model",
        "called in line 40",
        "98 % sure",
        "1 call could not be resolved",
        "No callers were found; 2 calls of the repository could not be resolved.",
        "Nearest neighbours",
    ):
        expect(main).to_contain_text(words)
    expect(page.locator(".signature .hljs-keyword")).to_have_text("def")
    expect(page.locator(".guessed")).to_contain_text("postpone_delivery")
    expect(page.locator(".guessed")).to_contain_text("guess")
    lines = page.get_by_role("link", name=re.compile("^lines 39.44"))
    address = r"https://github\.com/o/letterpress/blob/[0-9a-f]{40}/press/store\.py#L39-L44"
    expect(lines).to_have_attribute("href", re.compile(address))
    show(page, f"#/symbol/{FAILED}")
    expect(main).to_contain_text("The model did not answer.")
    show(page, "#/symbol/press/store.py::FileStore")
    expect(main).to_contain_text(re.compile("Extends 1.*Store.*Extended by 1.*CachedFileStore"))
    show(page, f"#/symbol/{SPLIT_WORDS}")
    expect(main).to_contain_text("The source has changed since.")
    show(page, "#/symbol/tools/ship/main.go::ShipOrder")
    expect(main).to_contain_text(re.compile(r"called in lines 5, 6\s*found by its name in scope, 98 % sure"))


def test_the_overview_says_what_the_repository_is(start: str, open_page: Open) -> None:
    """The README's first paragraph, languages, counts, commit, origin of summaries, cost, what failed or is stale."""
    page = open_page(start)
    for words in (
        "Letterpress keeps orders of printed letters, and prices them.",
        "rust: 2 symbols in 1 file",
        "2 could not be resolved",
        "2024-05-06",
        "1 failed",
        "no model",
        "$0",
        "24 summaries up to date, 1 changed since",
        "split_words",
        "store file read",
    ):
        expect(page.locator("main")).to_contain_text(words)


def test_the_graph_shows_guesses_as_guesses(start: str, open_page: Open) -> None:
    """A guess is left out and counted; asked for, it is a dashed line, and is called a guess in the list below."""
    page = open_page(f"{start}#/graph/{IMPORT_ORDERS}?hops=1&guesses=0")
    expect(page.locator("main")).to_contain_text("1 guess is left out.")
    assert page.locator(".cell").count() == 4
    page.get_by_role("link", name="With guesses").click()
    expect(page.locator(".drawing .line.guess")).to_have_count(1)
    assert page.locator(".drawing .line.guess").evaluate("line => getComputedStyle(line).strokeDasharray") != "none"
    assert (
        page.locator(".drawing .line.calls").first.evaluate("line => getComputedStyle(line).strokeDasharray") == "none"
    )
    expect(page.locator(".neighbours .guess")).to_contain_text("a guess, confidence 0.40")
    names = [name.split("\n")[0] for name in page.locator(".neighbours > li > a").all_inner_texts()]
    assert sorted(names) == ["PriceList.postpone_delivery", "Store.load_order", "open_store", "split_words"]


def test_a_drawing_is_enlarged_by_buttons_and_leaves_the_wheel_to_the_page(start: str, open_page: Open) -> None:
    """Larger, smaller and as it was; turned over a drawing, the wheel scrolls the page."""
    page = open_page(f"{start}#/map?by=folders")
    drawing = page.locator(".drawing svg")
    width = drawing.evaluate("svg => svg.clientWidth")
    page.get_by_role("button", name="Larger").click()
    assert drawing.evaluate("svg => svg.clientWidth") > width
    page.get_by_role("button", name="Reset").click()
    assert drawing.evaluate("svg => svg.clientWidth") == width
    page.set_viewport_size({"width": 800, "height": 300})
    drawing.hover(position={"x": 50, "y": 20})
    page.mouse.wheel(0, 120)
    page.wait_for_function("() => scrollY > 0")


def brightness(page: Page) -> float:
    colour = str(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    return sum(float(part) for part in re.findall(r"[\d.]+", colour)[:3])


def test_dark_mode_is_that_of_the_system_until_it_is_switched(start: str, open_page: Open) -> None:
    """The page follows the system; the button changes it, and the choice is there after a reload."""
    page = open_page(start)
    page.emulate_media(color_scheme="dark")
    assert brightness(page) < 200
    page.emulate_media(color_scheme="light")
    assert brightness(page) > 600
    page.get_by_role("button", name="Use dark colours").click()
    assert brightness(page) < 200
    page.reload()
    page.wait_for_function(READY)
    assert brightness(page) < 200


def test_every_page_fits_a_phone_and_paper(start: str, open_page: Open) -> None:
    """At 360 pixels no page is wider than the screen; on paper there is the content without what is to be clicked."""
    page = open_page(start)
    page.set_viewport_size(PHONE)
    for address in PAGES:
        show(page, address)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, address
    page.emulate_media(media="print")
    for address in (SYMBOL, f"#/graph/{SLUGIFY}?hops=1&guesses=0"):
        show(page, address)
        expect(page.locator("h1")).to_be_visible()
        expect(page.locator("#search")).to_be_hidden()
        assert page.locator("main button:visible").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, address
