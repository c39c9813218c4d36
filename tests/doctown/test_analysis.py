"""From a source to records and graph: every file accounted for, nothing parsed twice, bad sources in a sentence."""

import os
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from doctown.analysis import NO_LANGUAGE, AnalysedFile, Analysis, analyse
from doctown.errors import SourceError
from doctown.parsing.cache import Cache
from doctown.parsing.pool import Limits
from doctown.repository import Limits as FetchLimits
from doctown.repository import Selection, open_source

BAD = "tests.doctown.parsing.bad_extractors:extract"
NEVER = "tests.no_such_module:extract"  # workers that parse would fail to start
PROJECT = {
    "app.py": "from lib import g\n\ndef f():\n    return g()\n",
    "lib.py": "def g(): pass\n",
    "test_app.py": "from app import f\n\ndef test_f(): f()\n",
    "README.md": "# Project\n",
    "run": "#!/bin/sh\ngo() { :; }\ngo\n",
    "broken.py": "def whole(): pass\n\ndef (\n",
}


def write(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def analysed(folder: Path, selection: Selection = Selection(), **options: object) -> Analysis:  # noqa: B008 - frozen
    with open_source(str(folder), limits=FetchLimits(), environ=os.environ) as checkout:
        return analyse(checkout, selection, **options)  # type: ignore[arg-type]


def by_path(analysis: Analysis) -> dict[str, AnalysedFile]:
    return {file.path: file for file in analysis.files}


def test_every_file_is_accounted_for(tmp_path: Path) -> None:
    files = by_path(analysed(write(tmp_path, {**PROJECT, "logo.png": b"\x89PNG\0", "vendor/x.py": "x = 1\n"})))
    assert {path: (file.status, file.language, file.reason) for path, file in files.items()} == {
        "README.md": ("skipped", None, NO_LANGUAGE),
        "app.py": ("parsed", "python", None),
        "broken.py": ("partial", "python", None),
        "lib.py": ("parsed", "python", None),
        "logo.png": ("skipped", None, "binary"),
        "run": ("parsed", "bash", None),
        "test_app.py": ("parsed", "python", None),
        "vendor/x.py": ("skipped", None, "vendored"),
    }
    assert [path for path, file in files.items() if file.is_test] == ["test_app.py"]
    assert (files["app.py"].lines, files["app.py"].size_bytes, files["app.py"].encoding) == (4, 43, "utf-8")
    assert files["logo.png"].sha256 is None


def test_calls_lead_from_file_to_file(tmp_path: Path) -> None:
    graph = analysed(write(tmp_path, PROJECT)).graph
    calls = {(edge.source, edge.target) for edge in graph.edges if edge.kind == "calls"}
    assert calls == {
        ("app.py::f", "lib.py::g"),
        ("test_app.py::test_f", "app.py::f"),
        ("run::<module>", "run::go"),
    }


def test_an_unchanged_source_is_read_from_the_cache(tmp_path: Path) -> None:
    folder, cache = write(tmp_path / "source", PROJECT), Cache(tmp_path / "cache")
    first = analysed(folder, cache=cache)
    assert analysed(folder, cache=cache, extractor=NEVER) == first


def test_only_changed_files_are_parsed_again(tmp_path: Path) -> None:
    folder, cache = write(tmp_path / "source", PROJECT), Cache(tmp_path / "cache")
    analysed(folder, cache=cache)
    write(folder, {"lib.py": "def g(): pass\n\ndef crash(): pass\n", "crash.py": "x = 1\n"})
    files = by_path(analysed(folder, cache=cache, extractor=BAD))
    assert files["lib.py"].lines == 3
    assert files["crash.py"].reason == "the parser crashed"
    assert files["app.py"].status == "parsed"


def test_skipped_files_are_tried_again(tmp_path: Path) -> None:
    folder, cache = write(tmp_path / "source", {"a.py": "x = 1\n", "hang.py": "y = 1\n"}), Cache(tmp_path / "cache")
    files = by_path(analysed(folder, cache=cache, extractor=BAD, limits=Limits(file_s=0.3)))
    assert (files["hang.py"].status, files["hang.py"].reason) == ("skipped", "over 0.3 s")
    assert by_path(analysed(folder, cache=cache))["hang.py"].status == "parsed"


def test_a_cache_that_is_damaged_while_it_is_read_changes_nothing(tmp_path: Path) -> None:
    """Entries are damaged and removed as the first files are done: what is lost is parsed again, and kept again."""
    folder, cache = write(tmp_path / "source", PROJECT), Cache(tmp_path / "cache")
    first = analysed(folder, cache=cache)
    entries = sorted(path for path in (tmp_path / "cache").rglob("*") if path.is_file())

    def damage(_step: str, _done: int, _total: int) -> None:
        for number, entry in enumerate(entries):
            entry.write_bytes(b"damaged") if number % 2 else entry.unlink(missing_ok=True)
        entries.clear()

    assert analysed(folder, cache=cache, progress=damage) == first
    assert analysed(folder, cache=cache) == first
    assert analysed(folder, cache=cache, extractor=NEVER) == first


def test_two_runs_share_a_cache(tmp_path: Path) -> None:
    folder = write(tmp_path / "source", {f"m{number}.py": f"def f{number}(): pass\n" for number in range(30)})
    found: list[Analysis] = []

    def run() -> None:
        found.append(analysed(folder, cache=Cache(tmp_path / "cache")))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found[0] == found[1] == analysed(folder, cache=Cache(tmp_path / "cache"), extractor=NEVER)


def test_headers_are_in_the_language_of_the_repository(tmp_path: Path) -> None:
    c = analysed(write(tmp_path / "c", {"a.c": "int f;\n", "b.c": "int g;\n", "a.h": "int f;\n", "x.cpp": "int h;\n"}))
    cpp = analysed(write(tmp_path / "cpp", {"a.cc": "int f;\n", "a.h": "class A {};\n"}))
    assert by_path(c)["a.h"].language == "c"
    assert by_path(cpp)["a.h"].language == "cpp"


def test_other_encodings_are_parsed(tmp_path: Path) -> None:
    text = "def größe(): pass\n"
    files = {
        "latin.py": text.encode("latin-1"),
        "wide.py": text.encode("utf-16"),
        "marked.py": text.encode("utf-8-sig"),
    }
    analysis = analysed(write(tmp_path, files))
    assert {file.symbols[0].name for file in analysis.graph.files} == {"größe"}
    assert {file.encoding for file in analysis.files} == {"latin-1", "utf-16", "utf-8-sig"}


def test_progress_ends_at_the_number_of_files(tmp_path: Path) -> None:
    steps: list[tuple[str, int, int]] = []
    analysed(write(tmp_path, PROJECT), progress=lambda *step: steps.append(step))
    done = [number for step, number, _ in steps if step == "parse"]
    assert done == sorted(done)
    assert steps[-1] == ("resolve", 6, 6)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "The source has no files: give one that has"),
        (
            {"README.md": "# Words\n", "data.csv": "1,2\n"},
            "None of the source's files can be parsed (2 not in a language",
        ),
        ({"vendor/a.py": "x = 1\n"}, "None of the source's files can be parsed (1 vendored)"),
    ],
    ids=["empty", "no language", "vendored"],
)
def test_a_source_with_nothing_to_parse_is_refused_in_a_sentence(
    files: Mapping[str, str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(SourceError) as caught:
        analysed(write(tmp_path, files))
    assert message in str(caught.value)


def test_a_source_with_tests_only_is_analysed(tmp_path: Path) -> None:
    assert by_path(analysed(write(tmp_path, {"tests/test_a.py": "def test_a(): pass\n"})))["tests/test_a.py"].is_test
