"""Run the compilers on a tree. What they found is kept in the cache beside the sources."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.graph.python_oracle import PROJECT, python_truth
from benchmarks.graph.tools import run, tool
from benchmarks.graph.truth import Truth, read_truth

HERE = Path(__file__).resolve().parent
PACKAGES = ("typescript@5.9.3", "@types/node@24.10.1", "@sourcegraph/scip-python@0.6.6")
NODE = "node", "--max-old-space-size=6000"  # MB; svelte needs 1,500


def node_modules(cache: Path) -> Path:
    """Return the folder with the compilers of Python and TypeScript, installed if they are not. Raises Unmeasured."""
    folder = cache / "npm"
    stamp = folder / "installed.json"
    if not stamp.is_file() or json.loads(stamp.read_text()) != list(PACKAGES):
        folder.mkdir(parents=True, exist_ok=True)
        options = ["--prefix", str(folder), "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
        run([tool("npm", "npm"), "install", *options, *PACKAGES])
        stamp.write_text(json.dumps(PACKAGES))
    return folder / "node_modules"


def of_python(folder: Path, cache: Path) -> Truth:
    """Return what pyright knows, through scip-python, with none of the tree's dependencies installed."""
    program = node_modules(cache) / "@sourcegraph" / "scip-python" / "index.js"
    with tempfile.TemporaryDirectory(dir=cache) as temporary:
        work = Path(temporary)
        shutil.copytree(folder, work / "tree")  # the indexer may not take the project around it for the tree's
        (work / "environment.json").write_text("[]")  # or else it asks pip what is installed
        options = ["--project-name", PROJECT, "--project-version", "0", "--environment", str(work / "environment.json")]
        output = ["--quiet", "--output", str(work / "index.scip")]
        run([*node(), str(program), "index", *options, *output], folder=work / "tree")
        return python_truth(folder, (work / "index.scip").read_bytes())


def of_typescript(folder: Path, cache: Path) -> Truth:
    """Return what the TypeScript compiler knows."""
    modules = node_modules(cache)
    environ = {**os.environ, "NODE_PATH": str(modules)}
    command = [*node(), str(HERE / "typescript_oracle.js"), str(folder), str(modules / "@types")]
    return read_truth(run(command, environ=environ).splitlines())


def of_go(folder: Path, cache: Path) -> Truth:
    """Return what go/types knows of a package that imports the standard library alone."""
    environ = {**os.environ, "GO111MODULE": "off", "GOCACHE": str(cache / "go")}
    return read_truth(
        run([tool("go", "golang-go"), "run", str(HERE / "go_oracle.go"), str(folder)], environ=environ).splitlines()
    )


def of_java(folder: Path, _cache: Path) -> Truth:
    """Return what javac knows of a tree that imports the JDK alone."""
    tool("javac", "default-jdk-headless")
    command = [tool("java", "default-jdk-headless"), str(HERE / "JavaOracle.java"), str(folder)]
    return read_truth(run(command).splitlines())


def node() -> list[str]:
    program, *options = NODE
    return [tool(program, "nodejs"), *options]


Oracle = Callable[[Path, Path], Truth]  # the folder, the cache
