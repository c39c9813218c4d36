"""Packs of strangers that try to run something, lead somewhere or break the page: nothing happens, and it still works.

The sites are written of packs in memory, since the reader of packs refuses some of what is tried here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from doctown.docpack import Pack
from doctown.site.write import write_site
from tests.doctown.docpack import packs
from tests.doctown.site.conftest import Open, search, show

SCRIPT = "<script>window.ran=1</script>"
IMAGE = "<img src=x onerror='window.ran=1'>"
BREAK_OUT = "\"'`--></title></textarea></style></script><svg onload=window.ran=1>"
ADDRESS = "javascript:window.ran=1//"
BIDI = "\u202egnp.\u2066exe\u2069\u200f"
LONG = "x" * 1_000_000
NODES = len(packs.nodes())
# A page of a name of a million characters shows a part of it.
MAX_CHARACTERS = 100_000

# What a page says of itself. Marks of markup are elements that the viewer never makes.
LOOK = """() => {
    const all = [...document.querySelectorAll('*')]
    const markup = 'body script, iframe, object, embed, base, img, body style, meta[http-equiv=refresh]'
    return {
        ran: window.ran ?? null,
        markup: [...document.querySelectorAll(markup)].map((element) => element.outerHTML.slice(0, 200)),
        handlers: all.flatMap((element) => element.getAttributeNames()).filter((name) => name.startsWith('on')),
        links: all.map((element) => element.getAttribute('href'))
            .filter((address) => address !== null && !/^(#|https?:[/][/]|viewer[.]css$|data:,$)/.test(address)),
        characters: document.body.innerText.length,
        prototype: Object.keys(Object.prototype),
    }
}"""

# What of the small pack is written differently, wherever it stands: in ids, names, paths, signatures, edges, clusters.
MARKUP = {
    "src/app.py": f"src/{IMAGE.replace('/', '')}/{ADDRESS}.py",
    "Session": SCRIPT,
    "Router": IMAGE,
    "guess": BREAK_OUT,
    "limit": f"limit{BIDI}",
    "cookies": f"{SCRIPT} {IMAGE} {BREAK_OUT} [link]({ADDRESS}) {{{{constructor}}}}",
    "session limit": f"{IMAGE}{BIDI}",
    "requests.get": f"{IMAGE}.{SCRIPT}",
    "timeout": IMAGE,
    "The model did not answer in time.": SCRIPT,
    "It names `nothing`.": IMAGE,
    "line 3 is not understood.": SCRIPT,
    "python": IMAGE,
    "MIT": SCRIPT,
    "o/r": BREAK_OUT,
    "gpt-6-luna": IMAGE,
    "https://github.com/": ADDRESS,
    "1 file was parsed in part.": f"{SCRIPT}{IMAGE}",
}
# Names that mean something to JavaScript's objects.
PROTOTYPE = {
    "src/app.py": "__proto__",
    "Session": "__proto__",
    "Router": "constructor",
    "guess": "toString",
    "limit": "hasOwnProperty",
    "main": "valueOf",
    "python": "__proto__",
    "session limit": "__proto__",
}
HUGE = {"src/app.py": f"src/{LONG}.py", "Session": LONG, "guess": f"{LONG}y", "cookies": LONG, "session limit": LONG}


def rewritten(pack: Pack, words: Mapping[str, str]) -> Pack:
    """The pack with words replaced in all of its texts; of the keys, in ids and names of languages only."""

    def change(value: Any) -> Any:
        if isinstance(value, str):
            for word, other in words.items():
                value = value.replace(word, other)
            return value
        if isinstance(value, Mapping):
            return {change(key) if is_text(key) else key: change(each) for key, each in value.items()}
        return [change(each) for each in value] if isinstance(value, list) else value

    def is_text(key: str) -> bool:
        return "::" in key or key in pack.manifest["languages"]

    parts: Any = {
        name: change(getattr(pack, name)) for name in ("manifest", "nodes", "edges", "clusters", "source_map")
    }
    return replace(pack, **parts)


def addresses() -> list[str]:
    """Of every page of the pack; symbols by their numbers, which stand for long ids."""
    symbols = [f"#/symbol/{number}" for number in range(NODES)]
    graphs = [f"#/graph/{number}?hops=2&guesses=1" for number in (3, 6, 9)]
    maps = ["#/map?by=clusters", "#/map?by=folders", "#/map?by=folders&folder=src"]
    lists = ["#/list/failed", "#/list/stale", "#/list/warnings"]
    searches = ["#/search?q=<script>", "#/search?q=__proto__", "#/search?q=xxxx", "#/search?q=check"]
    return ["#/", "#/files", "#/cluster/0", "#/cluster/1", *symbols, *graphs, *maps, *lists, *searches]


def check_harmless(page: Page) -> None:
    """Nothing of the pack has run or became markup, and every link stays in the page or leads to the web."""
    found = page.evaluate(LOOK)
    assert found["ran"] is None
    assert found["markup"] == []
    assert found["handlers"] == []
    assert found["links"] == []
    assert found["prototype"] == []
    assert found["characters"] < MAX_CHARACTERS


@pytest.mark.parametrize("words", [MARKUP, PROTOTYPE, HUGE], ids=["markup", "prototype", "huge"])
def test_a_hostile_pack_does_nothing(words: dict[str, str], tmp_path: Path, open_page: Open) -> None:
    """On no page does anything run, open or lead elsewhere, and the search finds what it is asked for."""
    write_site(rewritten(packs.small_pack(), words), tmp_path / "site")
    page = open_page((tmp_path / "site" / "index.html").as_uri())
    check_harmless(page)
    for address in addresses():
        show(page, address)
        check_harmless(page)
    search(page, "check").first.wait_for()
    page.keyboard.press("Enter")
    page.wait_for_function("() => location.hash.includes('symbol')")
    check_harmless(page)
    assert page.locator("h1").inner_text().endswith("check")


def test_markup_in_a_pack_is_shown_as_text(tmp_path: Path, open_page: Open) -> None:
    """Who looks at a symbol that is named as a script sees that name, and its direction cannot be turned."""
    write_site(rewritten(packs.small_pack(), MARKUP), tmp_path / "site")
    nodes = [node["id"] for node in packs.small_pack().nodes]
    start = (tmp_path / "site" / "index.html").as_uri()
    page = open_page(f"{start}#/symbol/{nodes.index(packs.SESSION)}")
    assert SCRIPT in page.locator("h1").inner_text()
    assert IMAGE in page.locator("main").inner_text()
    show(page, f"#/symbol/{nodes.index(packs.LIMIT)}")
    assert not set(BIDI) & set(page.locator("body").inner_text()) - set("gnp.exe")
