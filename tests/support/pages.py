"""What a test sees of an HTML page: its elements, and whether it can do anything beside being read."""

from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser

# All that a page may consist of. None of them loads or runs anything.
ALLOWED = frozenset(
    [
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "main",
        "section",
        "h1",
        "h2",
        "h3",
        "h4",
        "div",
        "table",
        "caption",
        "tr",
        "th",
        "td",
        "p",
        "ul",
        "li",
        "span",
        "i",
        "figure",
        "figcaption",
        "svg",
        "polyline",
    ]
)
ATTRIBUTES = frozenset(
    [
        "lang",
        "charset",
        "http-equiv",
        "content",
        "name",
        "class",
        "scope",
        "style",
        "viewbox",
        "preserveaspectratio",
        "role",
        "aria-label",
        "points",
    ]
)


class Seen(HTMLParser):
    """The elements of a page by name, and its text."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.elements: Counter[str] = Counter()
        self.attributes: Counter[str] = Counter()
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(page.decode("utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements[tag] += 1
        self.attributes.update(name for name, _ in attrs)
        self._open.append(tag)

    def handle_data(self, data: str) -> None:
        if self._open[-1:] != ["style"]:
            self.text.append(data)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


def check_harmless(page: bytes) -> Seen:
    """Return what the page has, after a look at whether it is complete in itself and only to be read."""
    seen = Seen(page)
    assert seen.elements.keys() <= ALLOWED
    assert seen.attributes.keys() <= ATTRIBUTES
    assert b"default-src 'none'" in page
    [style] = re.findall(r"<style>(.*?)</style>", page.decode("utf-8"), re.DOTALL)
    assert "url(" not in style
    assert "@import" not in style
    assert "prefers-color-scheme: dark" in style
    assert not re.search(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]", page)
    return seen
