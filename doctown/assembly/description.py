"""What a repository says of itself: the first paragraph of its README, as plain text. Pure.

Markdown is parsed by CommonMark; of anything else (reStructuredText, plain text) blocks between empty lines are looked
at. Headings, lists, tables, images, HTML and the targets of links are left out, and so is a paragraph that is mostly
links: a row of badges or of pages. What is left is one line of text, and data like any text of a repository.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from doctown.docpack.markdown import one_line
from doctown.docpack.schema import MAX_DESCRIPTION_CHARACTERS

if TYPE_CHECKING:
    from markdown_it.token import Token

# Some paragraph begins before this, and no text of this length takes a parser a second.
MAX_README_CHARACTERS = 20_000
MARKDOWN_SUFFIXES = (".md", ".markdown")

_ADDRESS = re.compile(r"(https?://\S+)")
_BLOCK_END = re.compile(r"\n[ \t]*\n")
# A line of one and the same mark, above or below a title.
_ADORNMENT = re.compile(r"([!-/:-@\[-`{-~])\1{2,}[ \t]*")
# Directives, comments and targets, fields, lists, quoted lines, tables and prompts; and indented text, which is theirs.
_NO_PARAGRAPH = re.compile(r"[ \t]|\.\.(\s|$)|__ |:[^:\n]+:|[-*+#|>] ?|\d+[.)] |>>>|[+=]-")
_LINK = re.compile(r"`([^`<>]{1,500}?)\s*(?:<[^`<>]{1,2000}>)?`__?")
_ROLE = re.compile(r":[a-z:]{1,40}:`([^`<>]{1,500}?)\s*(?:<[^`<>]{1,2000}>)?`")
_SUBSTITUTION = re.compile(r"\|[^|\s](?:[^|\n]{0,100}[^|\s])?\|_{0,2}")
_MARKED = re.compile(r"(``|\*\*|\*|`)(?=\S)([^`*]{1,500}?)\1")
_REFERENCE = re.compile(r"(?<!\w)([^\W_](?:\w{0,100}[^\W_])?)__?(?!\w)")


class _Run(NamedTuple):
    """A piece of a paragraph: its text, and whether that is the text of a link."""

    text: str
    is_link: bool


def description_of(file_name: str, text: str) -> str | None:
    """Return the first paragraph of a README, at most 500 characters; None where there is none."""
    head = text[:MAX_README_CHARACTERS].replace("\r\n", "\n")
    paragraphs = _of_markdown(head) if file_name.lower().endswith(MARKDOWN_SUFFIXES) else _of_plain_text(head)
    for runs in paragraphs:
        if _letters(runs, is_link=False) > _letters(runs, is_link=True):
            return _cut(" ".join(one_line("".join(run.text for run in runs)).split()))
    return None


def _letters(runs: Iterable[_Run], *, is_link: bool) -> int:
    return sum(character.isalnum() for run in runs if run.is_link is is_link for character in run.text)


def _cut(text: str) -> str:
    if len(text) <= MAX_DESCRIPTION_CHARACTERS:
        return text
    cut = text[: MAX_DESCRIPTION_CHARACTERS - 1]
    return f"{cut.rpartition(' ')[0] or cut}…"


def _of_markdown(text: str) -> Iterator[list[_Run]]:
    # Imported here: most commands read no README.
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark")
    parser.validateLink = lambda url: True  # type: ignore[method-assign]  # noqa: ARG005 - no target is kept
    tokens = parser.parse(text)
    for before, token in pairwise(tokens):
        # Those of lists and quotes are deeper.
        if before.type == "paragraph_open" and before.level == 0:
            yield list(_runs(token.children or []))


def _runs(tokens: Iterable[Token]) -> Iterator[_Run]:
    link: Token | None = None  # links are never in links
    for token in tokens:
        if token.type in {"link_open", "link_close"}:
            link = token if token.nesting > 0 else None
        elif token.type in {"text", "code_inline"}:
            if link is None or link.info != "auto":  # the text of such a link is its target
                yield from _with_addresses(token.content, is_link=link is not None)
        elif token.type in {"softbreak", "hardbreak", "html_inline"}:
            yield _Run(" " if token.type != "html_inline" or token.content.startswith("<br") else "", is_link=False)


def _with_addresses(text: str, *, is_link: bool) -> Iterator[_Run]:
    """Yield the text, with addresses in it as the links that they are."""
    for place, part in enumerate(_ADDRESS.split(text)):
        yield _Run(part, is_link or place % 2 == 1)


def _of_plain_text(text: str) -> Iterator[list[_Run]]:
    for block in _BLOCK_END.split(text):
        lines = block.strip("\n").split("\n")
        while any(_ADORNMENT.fullmatch(line) for line in lines[:2]):
            del lines[0]
        if lines and lines[0].strip() and not _NO_PARAGRAPH.match(lines[0]):
            yield list(_plain_runs(" ".join(lines)))


def _plain_runs(text: str) -> Iterator[_Run]:
    text = _SUBSTITUTION.sub("", _ROLE.sub(r"\1", text))
    end = 0
    for link in _LINK.finditer(text):
        yield from _with_addresses(_without_marks(text[end : link.start()]), is_link=False)
        yield _Run(link[1], is_link=True)
        end = link.end()
    yield from _with_addresses(_without_marks(text[end:]), is_link=False)


def _without_marks(text: str) -> str:
    text = _MARKED.sub(r"\2", text)
    return _REFERENCE.sub(r"\1", text).replace("::", ":")
