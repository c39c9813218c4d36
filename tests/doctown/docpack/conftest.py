from __future__ import annotations

from pathlib import Path

import pytest

from doctown.docpack import Pack, write_pack
from tests.doctown.docpack import packs


@pytest.fixture(scope="session")
def small_pack() -> Pack:
    return packs.small_pack()


@pytest.fixture
def written(tmp_path: Path, small_pack: Pack) -> Path:
    path = tmp_path / "small.docpack"
    write_pack(small_pack, path, packs.vectors())
    return path
