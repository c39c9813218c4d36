"""What commands ask on a terminal."""

import io

import pytest

from doctown.commands.display import ask


@pytest.mark.parametrize(("typed", "is_wanted"), [("y\n", True), ("YES\n", True), ("\n", False), ("", False)])
def test_nothing_but_a_yes_is_a_yes(typed: str, is_wanted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither an empty line nor the end of the input (Ctrl-D) buys anything."""
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    assert ask("Buy summaries for about $2.00?") is is_wanted
