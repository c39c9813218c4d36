"""What a report says of a pack, and that a hostile pack can do nothing in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from doctown.__main__ import main
from doctown.docpack import Pack
from doctown.docpack.report import NOT_RECORDED, pack_page
from generation import render_page
from tests.doctown.docpack import packs
from tests.doctown.docpack.test_markdown import HOSTILE, hostile_pack
from tests.support.pages import check_harmless


def test_a_report_has_the_figures_of_the_pack(small_pack: Pack) -> None:
    """Counts, causes, checks and the most central symbol without a summary are those of the pack."""
    words = check_harmless(render_page(pack_page([small_pack]))).words

    assert "symbols documented 4 of 8" in words
    assert "resolved 8" in words
    assert "Symbols without a summary timeout 1" in words
    assert f"{packs.SETTER}" in words
    assert NOT_RECORDED in words, "what a pack does not have is said"


def test_hostile_packs_do_nothing(small_pack: Pack) -> None:
    """A pack full of a hostile text makes a page of the elements and attributes of the harmless one."""
    harmless = check_harmless(render_page(pack_page([hostile_pack("harmless")] * 2)))
    for text in HOSTILE:
        seen = check_harmless(render_page(pack_page([hostile_pack(text)] * 2)))
        assert (seen.elements, seen.attributes) == (harmless.elements, harmless.attributes)


def test_the_command_writes_one_file(written: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It names the file, which stands beside the pack; one that cannot be written ends with a sentence."""
    assert main(["report", str(written), str(written)], {}) == 0
    page = written.with_name(f"{written.name}.html")
    assert capsys.readouterr().out == f"report: {page}\n"
    assert check_harmless(page.read_bytes()).elements["h3"] == 12, "each of six sections names both packs"
    assert main(["report", str(written), "--output", str(tmp_path / "none" / "r.html")], {}) == 1
    assert "cannot be written" in capsys.readouterr().err
