"""Every case folder says what its project's symbols and edges are, and that is what is found."""

from pathlib import Path

import pytest

from tests.doctown.graph.case_format import EXPECTED, counted_sites, expected_claims, found_claims, graph_of

CASES = Path(__file__).parent.parent / "cases"
FOLDERS = sorted(path.parent.relative_to(CASES).as_posix() for path in CASES.rglob(EXPECTED))


@pytest.mark.parametrize("case", FOLDERS)
def test_a_case_has_the_symbols_and_edges_that_it_lists(case: str) -> None:
    folder = CASES / case
    expected = expected_claims(folder)
    assert found_claims(graph_of(folder), expected) == expected


@pytest.mark.parametrize("case", FOLDERS)
def test_every_call_site_of_a_case_is_counted_once(case: str) -> None:
    in_records, counted = counted_sites(graph_of(CASES / case))
    assert counted == in_records
