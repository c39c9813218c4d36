"""The most central symbols are the same ones, in the same order, wherever a pack names them."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from doctown.docpack.markdown import readme
from doctown.docpack.pack import most_central
from doctown.docpack.show import overview as shown
from doctown.mcp.answers import overview as answered
from doctown.site.data import overview as drawn
from tests.doctown.docpack.packs import small_pack


@pytest.mark.parametrize("centrality", [0.0, 0.5])
def test_equal_symbols_are_named_in_the_order_of_the_pack(centrality: float) -> None:
    """Also where nothing calls them; a node that stands for a whole file is never named."""
    pack = small_pack()
    pack = replace(pack, nodes=[{**node, "centrality": centrality} for node in reversed(pack.nodes)])
    ids = [node["id"] for node in pack.nodes if node["kind"] != "module"]
    assert [node["id"] for node in most_central(pack.nodes)] == ids
    assert len(ids) > 1

    numbers = {node["id"]: number for number, node in enumerate(pack.nodes)}
    central = readme(pack).partition("## Central symbols")[2].partition("\n## ")[0]
    named = {
        "README": re.findall(r"^- \[`(.+?)`", central, re.MULTILINE),
        "show": [row[0] for section in shown(pack) if section.title == "Central symbols" for row in section.rows],
        "mcp": [line["id"] for line in answered(pack)["central"]],
        "site": [line["id"] for line in drawn(pack, numbers, [0])["central"]],
    }
    assert named == dict.fromkeys(named, ids)
