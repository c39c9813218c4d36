"""Records and graphs as bytes."""

from pathlib import Path

import pytest

from doctown.graph import codec as graph_codec
from doctown.parsing import codec
from doctown.parsing.extract import extract
from doctown.parsing.languages import language_of
from tests.doctown.graph.case_format import graph_of

CASES = Path(__file__).parents[1] / "cases"
FOLDERS = sorted(path.parent.relative_to(CASES).as_posix() for path in CASES.glob("*/*/expected.txt"))


@pytest.mark.parametrize("case", FOLDERS)
def test_a_record_comes_back_with_the_types_of_its_parts(case: str) -> None:
    for path in sorted((CASES / case).rglob("*")):
        language = language_of(path.name)
        if path.is_file() and language is not None:
            record = extract(language, path.name, path.read_bytes())
            again = codec.decode(codec.encode(record))
            assert again == record
            assert repr(again) == repr(record)  # tuples of records equal plain tuples, but do not look like them


def test_a_decorator_comes_back_with_its_type() -> None:
    record = extract("python", "a.py", b"@cache\ndef f(): pass\n")
    assert codec.decode(codec.encode(record)).symbols[0].decorators[0].text == "cache"


@pytest.mark.parametrize("case", FOLDERS)
def test_a_graph_comes_back_whole(case: str) -> None:
    graph = graph_of(CASES / case)
    again = graph_codec.decode(graph_codec.encode(graph), graph.files)
    assert again == graph
    assert repr(again.edges) == repr(graph.edges)
