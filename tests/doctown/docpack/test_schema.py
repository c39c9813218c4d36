"""The published JSON Schemas, held to the code and to what is written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from doctown.docpack.schema import DOCUMENTS, is_file_path, json_schema_of, source_hash
from tests.doctown.docpack.archives import members_of

REPOSITORY = Path(__file__).resolve().parents[3]
SCHEMAS = REPOSITORY / "schemas" / "docpack"
LIMIT_S = 60


def test_the_committed_schemas_are_those_of_the_code(tmp_path: Path) -> None:
    """`python builder/write_docpack_schemas.py` would change nothing, to the byte."""
    command = [sys.executable, "builder/write_docpack_schemas.py", str(tmp_path)]
    subprocess.run(command, cwd=REPOSITORY, check=True, timeout=LIMIT_S)

    committed = {path.name: path.read_bytes() for path in SCHEMAS.iterdir()}
    assert committed == {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(committed) == {f"{name}.schema.json" for name in DOCUMENTS}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_what_is_written_is_valid_and_every_key_counts(written: Path, name: str) -> None:
    """A written document is valid; with a key more, or with a required one less, it is not."""
    schema = json_schema_of(name)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    document = json.loads(members_of(written)[f"{name}.json"])
    validator.validate(document)
    assert not validator.is_valid({**document, "more": 1})
    for key in document:
        assert not validator.is_valid({one: value for one, value in document.items() if one != key}), key


def undescribed(schema: dict[str, Any]) -> list[str]:
    return [
        name for name, part in {"the document": schema, **schema.get("$defs", {})}.items() if "description" not in part
    ]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_type_is_described(name: str) -> None:
    assert undescribed(json_schema_of(name)) == []


@pytest.mark.parametrize(
    ("path", "fits"),
    [
        ("a/b c/ü.py", True),
        ("...", True),
        ("", False),
        ("/a", False),
        ("a//b", False),
        ("a/", False),
        ("./a", False),
        ("a/../b", False),
        ("a\\b", False),
        ("a\nb", False),
        ("a\udc80", False),
    ],
    ids=[
        "names",
        "dots",
        "empty",
        "absolute",
        "empty part",
        "slash at the end",
        "dot",
        "above",
        "backslash",
        "line",
        "bytes",
    ],
)
def test_paths_of_a_pack(path: str, fits: bool) -> None:
    assert is_file_path(path) is fits


def test_the_hash_of_a_source_is_that_of_its_lines() -> None:
    r"""`printf 'a\nb' | sha256sum`, its first half; line ends of Windows do not count, white space does."""
    assert source_hash(b"a\nb") == "7e18f737311b2dc3b2f269dd78396b03"
    assert source_hash(b"a\r\nb") == source_hash(b"a\nb") != source_hash(b"a\n b")


def properties(schema: dict[str, Any]) -> set[str]:
    parts = [schema, *schema.get("$defs", {}).values()]
    return {name for part in parts for name in part.get("properties", {})}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_documentation_names_every_key(name: str) -> None:
    """docs/docpack.md has a block for each document with all keys that its schema has."""
    text = (REPOSITORY / "docs" / "docpack.md").read_text(encoding="utf-8")
    block = text.partition(f"\n## {name}.json\n")[2].partition("\n## ")[0].split("```")[1]
    assert {key for key in properties(json_schema_of(name)) if f'"{key}"' not in block} == set()


def test_the_documentation_s_example_runs(written: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (REPOSITORY / "docs" / "docpack.md").read_text(encoding="utf-8")
    example = text.partition("```python\n")[2].partition("```")[0].replace("requests.docpack", str(written))
    exec(compile(example, "docs/docpack.md", "exec"), {})  # noqa: S102 -- the project's own text
    assert "src/app.py::Session.limit Returns the limit.\n" in capsys.readouterr().out
