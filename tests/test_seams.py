"""The seams: which room knows which library, who reads the environment, who prints, and that examples run."""

from __future__ import annotations

import ast
import doctest
import json
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
SOURCES = {
    path.relative_to(REPOSITORY).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
    for path in (REPOSITORY / "handler.py", *sorted((REPOSITORY / "generation").rglob("*.py")))
}
MODULES = [name.removesuffix(".py").replace("/", ".").removesuffix(".__init__") for name in SOURCES]


def imported(tree: ast.AST) -> Iterator[str]:
    """The modules that a source imports, wherever in it, also by a function with a constant name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name their module in full"
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in {"import_module", "__import__"}:
            yield from (str(one.value) for one in node.args if isinstance(one, ast.Constant))


def importers(library: str) -> set[str]:
    return {
        source
        for source, tree in SOURCES.items()
        if any(name == library or name.startswith(f"{library}.") for name in imported(tree))
    }


@pytest.mark.parametrize(
    ("library", "door"),
    [
        ("openai", "generation/openai_client.py"),
        ("boto3", "generation/storage.py"),
        ("botocore", "generation/storage.py"),
        ("runpod", "handler.py"),
        ("fastapi", "generation/service.py"),
        ("starlette", "generation/service.py"),
        ("uvicorn", "generation/service.py"),
        ("tiktoken", "generation/token_counter.py"),
    ],
)
def test_one_file_knows_a_library(library: str, door: str) -> None:
    """Each library of the outside is imported by the one file that is its seam, and by no other."""
    assert importers(library) == {door}


@pytest.mark.parametrize("room", ["events", "progress", "report", "storage", "outcomes", "planner", "prompt_builder"])
def test_what_comes_before_and_after_the_model_does_not_know_it(room: str) -> None:
    """The rooms that plan and those that fold outcomes know neither the client nor its pace."""
    assert f"generation/{room}.py" not in importers("generation.openai_client") | importers("generation.limiter")


def environment_reads(tree: ast.AST) -> Iterator[str]:
    words = {"environ", "environb", "getenv", "putenv"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "os" and node.attr in words:
            yield node.attr
        elif isinstance(node, ast.ImportFrom) and node.module == "os":
            yield from (alias.name for alias in node.names if alias.name in words | {"*"})


def test_only_the_doors_read_the_environment() -> None:
    """`os.environ` is touched by the `main` of each door and nowhere else: everything below gets its settings."""
    reading = {source for source, tree in SOURCES.items() if any(environment_reads(tree))}
    beside_main = {
        source: [node for node in tree.body if not (isinstance(node, ast.FunctionDef) and node.name == "main")]
        for source, tree in SOURCES.items()
    }

    assert reading == {"handler.py", "generation/service.py", "generation/bulk/__main__.py"}
    assert [source for source, nodes in beside_main.items() for node in nodes if any(environment_reads(node))] == []


def outputs(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"print", "builtins.print"}:
            yield "print"
        elif isinstance(node, ast.Attribute) and ast.unparse(node) in {"sys.stdout", "sys.__stdout__"}:
            yield "standard output"


def test_nothing_prints_but_the_sink_of_events_and_the_command() -> None:
    """Standard output belongs to the events, or to the bulk command: nothing else in generation/ writes there."""
    found = {source: set(outputs(tree)) for source, tree in SOURCES.items()}

    assert {source: how for source, how in found.items() if how} == {
        "generation/events.py": {"standard output"},
        "generation/bulk/__main__.py": {"print"},
    }


def test_the_rules_above_see_what_they_look_for() -> None:
    """Each way of breaking a rule that the tests above look for is found in a source that does it."""
    breaking = ast.parse(
        "import os, sys, openai.types\n"
        "from openai import OpenAI\n"
        "def f():\n"
        "    import boto3 as b\n"
        "    import_module('tiktoken')\n"
        "    print(os.environ['A'], os.getenv('B'))\n"
        "    sys.stdout.write('')\n"
        "from os import environ as e\n"
    )

    assert {"openai.types", "openai", "boto3", "tiktoken"} <= set(imported(breaking))
    assert sorted(environment_reads(breaking)) == ["environ", "environ", "getenv"]
    assert sorted(outputs(breaking)) == ["print", "standard output"]


HEAVY = (
    "openai", "boto3", "botocore", "tiktoken", "runpod", "aiohttp", "tenacity", "fastapi", "starlette", "uvicorn",
)  # fmt: skip


def test_importing_the_handler_imports_nothing_heavy() -> None:
    """A cold start, and a job without a model or a bucket, does not pay for the libraries of the other rooms."""
    program = f"import json, sys, handler; print(json.dumps([name for name in {HEAVY} if name in sys.modules]))"
    ran = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True)

    assert json.loads(ran.stdout) == []
    assert ran.stderr == ""


def test_the_examples_in_docstrings_are_right() -> None:
    """Every example in the docstrings of handler.py and generation/ gives what stands below it, and there are some."""
    results = {module: doctest.testmod(import_module(module)) for module in MODULES}

    assert {module: result.failed for module, result in results.items() if result.failed} == {}
    assert sum(result.attempted for result in results.values()) >= 4
