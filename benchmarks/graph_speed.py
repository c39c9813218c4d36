"""How long a graph takes for a large repository, and how much memory: `python -m benchmarks.graph_speed`.

The repository is sympy 1.14.0 from PyPI (1,500 files of Python, 26 MB), or the folder that is given. Four runs of
`python -m doctown graph`, each in its own process: nothing known, again unchanged, ten files changed, and without a
cache. Memory is the largest that the main process held, and the largest that a worker did; the system counts to a
worker what the main process held when it started it.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

SYMPY = "sympy==1.14.0"
CHANGED = 10
# The run, in a process of its own: its time, and its children's and its own largest memory, go to standard error.
PROGRAM = """
import json, os, resource, sys
from doctown.__main__ import main
code = main(sys.argv[1:], os.environ)
held = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(json.dumps([[one.ru_maxrss, one.ru_utime + one.ru_stime] for one in held]), file=sys.stderr)
sys.exit(code)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, nargs="?", help=f"what is analysed (default: {SYMPY}, downloaded)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        source = work / "source"
        shutil.copytree(options.folder or download(work), source)
        cache = ["--cache", str(work / "cache")]
        print(f"{'run':<20}{'wall s':>8}{'CPU s':>8}{'workers s':>11}{'MB':>7}{'worker MB':>11}")
        measure("nothing known", work, cache)
        measure("again unchanged", work, cache)
        change(source)
        measure(f"{CHANGED} files changed", work, cache)
        measure("without a cache", work, ["--no-cache"])


def download(work: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--dest", str(work), SYMPY]
    subprocess.run(command, check=True)
    with zipfile.ZipFile(next(work.glob("*.whl"))) as wheel:
        wheel.extractall(work / "wheel")
    return work / "wheel"


def change(source: Path) -> None:
    """Add a function to ten files of middling size."""
    files = sorted((path for path in source.rglob("*.py")), key=lambda path: (path.stat().st_size, path))
    middle = len(files) // 2
    for file in files[middle : middle + CHANGED]:
        with file.open("a", encoding="utf-8") as opened:
            opened.write("\n\ndef added_function():\n    return None\n")


def measure(name: str, work: Path, arguments: list[str]) -> None:
    command = [sys.executable, "-c", PROGRAM, "graph", str(work / "source"), "--include-tests", *arguments]
    output = ["--output", str(work / "graph.json")]
    begin_s = time.perf_counter()
    ended = subprocess.run(
        [*command, *output], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, check=True
    )
    wall_s = time.perf_counter() - begin_s
    own, children = json.loads(ended.stderr.splitlines()[-1])
    scale = 1024**2 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    numbers = f"{wall_s:>8.1f}{own[1]:>8.1f}{children[1]:>11.1f}{own[0] / scale:>7.0f}{children[0] / scale:>11.0f}"
    print(f"{name:<20}{numbers}", flush=True)


if __name__ == "__main__":
    main()
