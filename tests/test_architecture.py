"""The seams: which room knows which library, who reads the environment, who prints, and that examples run."""

from __future__ import annotations

import ast
import doctest
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from graphlib import TopologicalSorter
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
    ("library", "seam"),
    [
        ("openai", "generation/model/"),
        ("boto3", "generation/storage/r2.py"),
        ("botocore", "generation/storage/r2.py"),
        ("runpod", "handler.py"),
        ("fastapi", "generation/service/"),
        ("starlette", "generation/service/"),
        ("fastapi_offline", "generation/service/"),
        ("dotenv", "generation/command_line.py"),
        ("uvicorn", "generation/service/server.py"),
        ("prometheus_client", "generation/service/metrics.py"),
        ("tiktoken", "generation/prompts/tokens.py"),
    ],
)
def test_one_place_knows_a_library(library: str, seam: str) -> None:
    """Each library of the outside is imported in the one file or package that is its seam, and nowhere else."""
    assert importers(library)
    assert [source for source in importers(library) if not source.startswith(seam)] == []


# What each part of generation/ may import of the others. A part that is not here may not be imported by any.
MAY_IMPORT = {
    "domain": set(),
    "errors": {"domain"},
    "logs": set(),
    "backoff": set(),
    "fan_out": {"errors"},
    "process": set(),
    "config": {"domain", "errors"},
    "intake": {"domain", "errors"},
    "prompts": {"domain", "config"},
    "checks": {"domain"},
    "repairs": {"domain", "checks"},
    "figures": {"domain"},
    "planning": {"domain", "config", "prompts"},
    "offline": {"domain", "checks"},
    "model": {"domain", "offline", "errors", "config", "backoff", "figures", "prompts", "checks", "repairs"},
    "storage": {"errors", "config", "backoff", "fan_out"},
    "results": {"domain", "errors", "config", "backoff", "storage"},
    "reporting": {"domain", "results"},
    "contract": {"domain", "config", "intake"},
    "executor": {"domain", "errors", "planning"},
}
# job.py puts the parts together, and whatever calls it may use them too.
PARTS = set(MAY_IMPORT)
MAY_IMPORT |= {
    "pages": set(),
    "command_line": {"domain", "errors", "config"},
    "job": PARTS - {"contract"},
    "local": PARTS - {"contract"} | {"job", "bulk"},
    "service": {
        "job",
        "contract",
        "reporting",
        "results",
        "prompts",
        "config",
        "command_line",
        "domain",
        "errors",
        "figures",
        "intake",
        "logs",
        "model",
        "storage",
    },
    "bulk": (PARTS - {"contract"}) | {"job", "command_line", "pages"},
}


def part_of(module: str) -> str:
    """The part of generation/ that a module belongs to: `generation.model.limiter` is of `model`."""
    return module.split(".")[1] if "." in module else "generation"


def test_parts_import_only_what_the_table_allows() -> None:
    """Imports between the parts of generation/ are those of the table, for the type checker's eyes too."""
    found = {
        (part_of(module), part_of(name))
        for module, tree in zip(MODULES, SOURCES.values(), strict=True)
        for name in imported(tree)
        if module.startswith("generation.") and name.startswith("generation.")
    }
    assert sorted((one, other) for one, other in found if one != other and other not in MAY_IMPORT[one]) == []
    assert {part_of(module) for module in MODULES if module.startswith("generation.")} <= set(MAY_IMPORT)


def test_no_modules_import_each_other_in_a_circle() -> None:
    """The imports of generation/ can be put in an order, `TYPE_CHECKING` and imports inside functions included."""
    known = set(MODULES) - {"generation"}
    graph = {
        module: {name for name in imported(tree) if name in known and name != module}
        for module, tree in zip(MODULES, SOURCES.values(), strict=True)
        if module in known
    }
    assert len(tuple(TopologicalSorter(graph).static_order())) == len(graph)


def test_no_folder_has_more_than_ten_modules() -> None:
    """A folder of generation/ can be taken in at a glance."""
    folders = Counter(str(Path(source).parent) for source in SOURCES if not source.endswith("__init__.py"))
    assert {folder: count for folder, count in folders.items() if count > 10} == {}


def test_the_public_api_is_cheap_to_import_and_complete() -> None:
    """`import generation` loads no other module of the project, and each public name can be had from it."""
    program = (
        "import sys, generation\n"
        "print([name for name in sys.modules if name.startswith('generation.')])\n"
        "print(all(getattr(generation, name) for name in generation.__all__))"
    )
    ran = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True)

    assert ran.stdout.splitlines() == ["[]", "True"]


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

    assert reading == {"handler.py", "generation/service/__main__.py", "generation/bulk/__main__.py"}
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
        "generation/process.py": {"standard output"},
        "generation/reporting/events.py": {"standard output"},
        "generation/bulk/__main__.py": {"print"},
        "handler.py": {"print"},  # warnings, to standard error, before logging is set up
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
    "prometheus_client", "doctown", "numpy", "onnxruntime", "tree_sitter",
)  # fmt: skip


def test_importing_the_handler_imports_nothing_heavy() -> None:
    """A cold start, and a job without a model or a bucket, does not pay for what other jobs need."""
    program = f"import json, sys, handler; print(json.dumps([name for name in {HEAVY} if name in sys.modules]))"
    ran = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True)

    assert json.loads(ran.stdout) == []
    assert ran.stderr == ""


def test_the_examples_in_docstrings_are_right() -> None:
    """Every example in the docstrings of handler.py and generation/ gives what stands below it, and there are some."""
    results = {module: doctest.testmod(import_module(module)) for module in MODULES}

    assert {module: result.failed for module, result in results.items() if result.failed} == {}
    assert sum(result.attempted for result in results.values()) >= 4
