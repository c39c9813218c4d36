"""The pages: what they say, and that nothing from a repository or a model becomes Markdown, HTML or a link in them."""

from __future__ import annotations

import copy
import posixpath
import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from doctown.docpack import Pack, index_pack, markdown, write_pack
from doctown.docpack.markdown import code, code_block, escape, file_page
from doctown.docpack.schema import MAX_DESCRIPTION_CHARACTERS
from tests.doctown.docpack import packs
from tests.doctown.docpack.archives import members_of

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[click](javascript:alert(1))",
    "![pixel](https://evil.example/p.png)",
    "[ref]: https://evil.example",
    "`code` ``more`` ```",
    "**bold** _emphasis_ __init__ ~~gone~~",
    "# Heading",
    "- item",
    "1. item",
    "1) item",
    "> quote",
    "---",
    "===",
    "```\nfence\n```",
    "~~~",
    "    indented",
    "a | b\n|---|---|\n| c | d |",
    "<https://evil.example>",
    "&lt;b&gt; &copy; &#60;",
    "\\`back\\",
    "line\n\n# Heading\n\n<b>",
    "a\u2028b\x00c\x1b[31md\u202ee",
    "$x$ <!-- comment -->",
    "trailing \\",
]


def tokens(markdown: str) -> list[Token]:
    """All tokens, block and inline, of CommonMark with the tables and strikethrough of GitHub."""
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    flat: list[Token] = []
    for token in parser.parse(markdown):
        flat += [token, *(token.children or [])]
    return flat


def shown(text: str) -> str:
    return re.sub("[\x00-\x1f\x7f-\x9f\u202e]", "\ufffd", " ".join(text.split()))


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_texts_are_shown_as_they_are(text: str) -> None:
    """An escaped text is one paragraph of text and nothing else, and reads as the text does."""
    found = tokens(escape(text))

    assert {token.type for token in found} <= {"paragraph_open", "inline", "paragraph_close", "text", "text_special"}
    assert "".join(token.content for token in found if token.type == "text") == shown(text)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_names_stay_in_their_code_span(text: str) -> None:
    found = [token for token in tokens(f"- {code(text)} and **more**") if token.type == "code_inline"]
    assert [token.content.strip() for token in found] == [shown(text)]


@given(st.text(max_size=60))
def test_any_text_is_one_paragraph(text: str) -> None:
    kinds = {token.type for token in tokens(f"before\n\n{escape(text)}\n\nafter")}
    assert kinds <= {"paragraph_open", "inline", "paragraph_close", "text", "text_special"}


@given(st.text(max_size=60))
def test_any_text_is_one_code_block(text: str) -> None:
    found = tokens(f"{code_block(text, 'c<b>`')}\n\nafter")
    assert [token.type for token in found if token.type not in {"inline", "text"}] == [
        "fence",
        "paragraph_open",
        "paragraph_close",
    ]
    assert found[0].info == "cb"


def hostile_pack(text: str) -> Pack:
    """A pack with the text wherever a repository or a model can put one."""
    pack = packs.small_pack(
        {
            **packs.REPOSITORY,
            "name": text,
            "ref": text,
            "licence": text,
            "url": f"javascript:{text}",
            "description": text[:MAX_DESCRIPTION_CHARACTERS],
        }
    )
    clusters = copy.deepcopy(pack.clusters)
    for cluster in clusters["clusters"]:
        cluster.update({"label": text, "terms": [text]})
    nodes = copy.deepcopy(list(pack.nodes))
    for node in nodes:
        node.update({"signature": text, "docstring": text, "external_calls": [text]})
        if node["documentation"] is not None:
            node["documentation"].update({"summary": text})
            node["documentation"]["checks"]["findings"][0].update({"reason": text, "check": text})
        if node["failure"] is not None:
            node["failure"].update({"message": text})
    source_map = copy.deepcopy(pack.source_map)
    for file in source_map["files"]:
        file.update({"reason": text})
    return replace(
        pack,
        manifest={**pack.manifest, "warnings": [text]},
        nodes=nodes,
        clusters=clusters,
        source_map=source_map,
    )


def structure(pages: dict[str, bytes]) -> dict[str, list[tuple[str, str, object]]]:
    """Headings, lists, links, HTML and code of each page, without their texts."""
    return {
        name: [
            (token.type, token.tag, token.attrs.get("href"))
            for token in tokens(page.decode())
            if token.type not in {"text", "text_special"}
        ]
        for name, page in pages.items()
        if not name.endswith(".json")
    }


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_texts_do_not_change_a_page(tmp_path: Path, text: str) -> None:
    """Every page of a pack full of a hostile text has the structure that it has with a harmless one."""
    path = tmp_path / "p.docpack"
    found = []
    for given_text in ("harmless", text):
        write_pack(hostile_pack(given_text), path)
        found.append(structure(members_of(path)))

    assert found[0] == found[1]


def test_hostile_paths_and_names_are_data(tmp_path: Path) -> None:
    """Paths and names with the marks of Markdown and HTML lead to their own pages, and are text there."""
    path = 'a(b)/[c](d) <i>&amp;#x?%20|"`.py'
    target = tmp_path / "p.docpack"
    write_pack(packs.one_file_pack(path, docstring="<b>"), target)
    pages = members_of(target)
    page = f"docs/files/{path}.md"

    assert f"links to {page}" == f"links to {unquote(links(pages, 'README.md')[-1])}"
    html = [token for token in tokens(pages[page].decode()) if token.type.startswith("html")]
    assert html == []


def links(pages: dict[str, bytes], name: str) -> list[str]:
    return [str(token.attrs["href"]) for token in tokens(pages[name].decode()) if token.type == "link_open"]


def test_links_lead_to_members_and_to_lines_of_the_commit(written: Path) -> None:
    """Every link of every page is a member of the pack with an anchor that is there, or lines at the commit."""
    pages = members_of(written)
    source = re.compile(
        rf"https://github\.com/o/r/blob/{packs.COMMIT}/(src/.*\.py|web/r%C3%B6uter%20%5Bid%5D\.ts)#L\d+-L\d+"
    )
    seen = 0
    for name in pages:
        for link in links(pages, name) if not name.endswith(".json") else ():
            parts = urlsplit(link)
            if parts.scheme:
                assert source.fullmatch(link) or link == "https://github.com/o/r.git", (name, link)
                continue
            member = (
                posixpath.normpath(posixpath.join(posixpath.dirname(name), unquote(parts.path))) if parts.path else name
            )
            assert member in pages, (name, link)
            if parts.fragment:
                assert f'<a id="{unquote(parts.fragment)}"></a>' in pages[member].decode(), (name, link)
            seen += 1
    assert seen > 50


def page_of(pack: Pack, path: str) -> str:
    (file,) = (file for file in pack.source_map["files"] if file["path"] == path)
    return file_page(pack, index_pack(pack), file)


def test_a_page_says_what_is_known_and_what_is_not(small_pack: Pack) -> None:
    """Provenance, failure, missing documentation, guesses and unresolved calls are said where they belong."""
    page = page_of(small_pack, packs.APP)
    sections = {re.match('[^"]*', part)[0]: part for part in page.split('<a id="')[1:]}  # type: ignore[index]

    assert list(sections) == ["Session", "Session.limit", "Session.limit#2", "check", "main"]
    assert "Keeps cookies between requests. (written without a model)" in sections["Session"]
    assert "**Documentation failed:** The model did not answer in time. (`timeout`)" in sections["Session.limit#2"]
    assert "a guess. (from an earlier build)" in sections["check"]
    assert "Calls outside of the repository: `requests.get`" in sections["check"]
    assert "Calls that are not in the lists: 2 unresolved, 1 ambiguous" in sections["check"]
    assert "line 16 (a guess, confidence 0.40)" in sections["check"]
    assert "line 13\n" in sections["check"], "a sure call is no guess"
    assert "**Not documented.**" in sections["main"]
    assert "test code" in sections["main"]


def test_several_edges_to_one_symbol_are_one_line_and_a_symbol_is_no_caller_of_its_own() -> None:
    check = page_of(packs.parallel_pack(), packs.APP).partition("## `check`")[2].partition("## `")[0]
    called_by = check.partition("**Called by**")[2]
    assert "- itself, line 16\n" in check
    assert "`src/app.py::check`" not in called_by
    assert called_by.count("`src/app.py::main`") == 1
    assert ", line 19, line 20 (a guess, confidence 0.40)" in called_by


def test_a_partly_parsed_file_says_why(small_pack: Pack) -> None:
    assert "**Parsed in part:** line 3 is not understood." in page_of(small_pack, packs.ROUTER)


def test_the_overview_names_what_was_skipped_and_what_failed(written: Path) -> None:
    readme = members_of(written)["README.md"].decode()

    assert readme.startswith("# o/r\n\nKeeps &lt;b&gt;cookies&lt;/b&gt;.\n\n")
    assert "- `src/huge.py`: skipped, it is larger than 1 byte." in readme
    assert "8 symbols in 3 files, 4 of them documented" in readme
    assert "src/app.py::Session.limit#2`](docs/files/src/app.py.md#Session.limit%232): The model did not" in readme


def test_llms_txt_has_the_form_of_its_specification(written: Path) -> None:
    """One title, a quoted summary, then only sections of links with notes: https://llmstxt.org."""
    title, summary, description, _, *sections = members_of(written)["llms.txt"].decode().strip().split("\n\n")

    assert title == "# o/r"
    assert summary.startswith("> Documentation of ")
    assert description == "Keeps &lt;b&gt;cookies&lt;/b&gt;."
    assert sections[::2] == ["## Clusters", "## Files"]
    for section in sections[1::2]:
        assert all(re.fullmatch(r"- \[.+\]\([^)]+\): .+", line) for line in section.splitlines())


def test_long_lists_are_cut_and_say_so(small_pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(markdown, "MAX_LISTED_EDGES", 1)
    page = page_of(small_pack, packs.APP)
    assert "- and 2 more, in graph.json" in page
