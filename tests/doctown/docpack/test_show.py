"""What is shown of a pack on a terminal."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from dataclasses import replace

import pytest
from rich.console import Console

from doctown.docpack import Pack
from doctown.docpack.compare import ChangedSymbol, Difference, Staleness
from doctown.docpack.show import find_symbol, show, show_difference, show_staleness
from doctown.errors import PackError
from tests.doctown.docpack import packs


def printed(action: Callable[[Console], None]) -> str:
    out = io.StringIO()
    action(Console(file=out, width=200, color_system=None))
    return out.getvalue()


def row(text: str, first: str) -> list[str]:
    """The other cells of the row that begins with `first`."""
    (line,) = (line for line in text.splitlines() if line.startswith(f"│ {first} "))
    return [cell.strip() for cell in line.strip("│").split("│")[1:]]


def test_the_overview_of_a_pack(small_pack: Pack) -> None:
    text = printed(lambda console: show(small_pack, None, console))

    assert row(text, "symbols") == ["8: 4 documented, 1 failed"]
    assert row(text, "call sites") == ["11: 8 resolved, 1 external, 2 unresolved"]
    assert row(text, "typescript") == ["1", "3", "symbols"]
    assert row(text, "0") == ["session limit", "3"]
    assert row(text, packs.CHECK) == ["1.00", "Returns what is at the address, or a guess. (from an earlier build)"]
    assert row(text, "vectors") == ["none"]
    assert "1 file was parsed in part." in text


def test_a_symbol_with_its_provenance_and_neighbours(small_pack: Pack) -> None:
    text = printed(lambda console: show(small_pack, "check", console))

    assert row(text, "place") == ["src/app.py, lines 15 to 16"]
    assert row(text, "source") == [f"https://github.com/o/r/blob/{packs.COMMIT}/src/app.py#L15-L16"]
    assert row(text, "signature") == ["function check"]
    assert row(text, "summary") == ["Returns what is at the address, or a guess. (from an earlier build)"]
    assert row(text, "check") == ["names: It names `nothing`."]
    assert row(text, "calls outside") == ["requests.get"]
    assert row(text, "calls not listed") == ["2 unresolved, 1 ambiguous"]
    assert row(text, packs.GUESS) == ["16", "unique_name", "0.40, a guess"]
    assert row(text, packs.MAIN) == ["19", "lexical", "0.98"]
    assert row(text, packs.ROUTE) == ["3", "unique_name", "0.40, a guess"]


def test_several_edges_to_one_symbol_are_one_row_and_a_symbol_is_no_caller_of_its_own() -> None:
    text = printed(lambda console: show(packs.parallel_pack(), "check", console))

    assert row(text, packs.MAIN) == ["19; 20", "lexical; unique_name", "0.98; 0.40, a guess"]
    assert row(text, "itself") == ["16", "lexical", "0.98"]
    assert text.count(f"│ {packs.CHECK} ") == 0


def test_a_failure_is_shown(small_pack: Pack) -> None:
    text = printed(lambda console: show(small_pack, packs.SETTER, console))
    assert row(text, "summary") == ["documentation failed: The model did not answer in time. (timeout)"]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        (packs.ROUTE, packs.ROUTE),
        ("Router.route", packs.ROUTE),
        ("route", packs.ROUTE),
        ("app.py::Session.limit#2", packs.SETTER),
        ("limit#2", packs.SETTER),
        ("src/app.py", packs.APP_MODULE),
    ],
    ids=["id", "qualified name", "end of a name", "end of a path", "number", "file"],
)
def test_a_symbol_is_found_by_id_name_or_end(small_pack: Pack, name: str, found: str) -> None:
    assert find_symbol(small_pack, name)["id"] == found


def test_an_ambiguous_name_lists_the_symbols(small_pack: Pack) -> None:
    with pytest.raises(PackError) as caught:
        find_symbol(small_pack, "limit")
    assert str(caught.value) == (
        f"'limit' could be 2 symbols, so give the id of one: {packs.LIMIT!r}, {packs.SETTER!r}."
    )


def test_an_unknown_name_suggests_the_nearest(small_pack: Pack) -> None:
    with pytest.raises(PackError) as caught:
        find_symbol(small_pack, "src/app.py::Sesion")
    assert str(caught.value) == (
        f"'src/app.py::Sesion' is no symbol of this pack; the nearest are {packs.SESSION!r}, {packs.LIMIT!r}."
    )
    with pytest.raises(PackError, match=r"^'zzz' is no symbol of this pack[.]$"):
        find_symbol(small_pack, "zzz")


def test_texts_of_a_pack_cannot_control_the_terminal(small_pack: Pack) -> None:
    """Escape sequences and rich's markup of a summary are shown as text."""
    nodes = copy.deepcopy(list(small_pack.nodes))
    for node in nodes:
        if node["id"] == packs.MAIN:
            node.update({"docstring": "\x1b[31mred\x07\n[bold]loud[/bold] [link=https://evil.example]x[/link]"})
    text = printed(lambda console: show(replace(small_pack, nodes=nodes), packs.MAIN, console))

    assert row(text, "docstring") == ["\ufffd[31mred\ufffd [bold]loud[/bold] [link=https://evil.example]x[/link]"]


def test_a_difference_is_shown() -> None:
    difference = Difference(
        added=["a::b"],
        removed=[],
        changed=[ChangedSymbol("a::c", ("signature", "source"))],
        edges_added=2,
        edges_removed=1,
        counts={"symbols": (3, 4), "edges": (7, 7)},
    )
    text = printed(lambda console: show_difference(difference, console))

    assert "1 added, 0 removed, 1 changed" in text
    assert "2 added, 1 removed" in text
    assert "3   │ 4   │ +1" in text
    assert row(text, "a::c") == ["signature, source"]
    assert "Removed" not in text, "empty lists are left out"


def test_staleness_is_shown_and_long_lists_are_cut() -> None:
    staleness = Staleness(stale=[f"a::s{n}" for n in range(60)], new=["a::n"], gone=[], undocumented=[], current=5)
    text = printed(lambda console: show_staleness(staleness, console))

    assert row(text, "up to date") == ["5"]
    assert row(text, "stale") == ["60"]
    assert row(text, "gone") == ["0"]
    assert "a::s49" in text
    assert "a::s50" not in text
    assert "and 10 more" in text
