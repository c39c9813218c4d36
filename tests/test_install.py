"""A lock is installed as it is, whatever newer releases an index has, and must fit together.

The real script runs the real pip in new virtual environments, against an index on the loopback whose wheels are written
here. It does so with the pip that the running Python brings and, on Python 3.11, with the oldest that any supported
Python brings: 22.3, of Python 3.11.0. `make` fetches that one by its hash (requirements-pip.lock), so that no test asks
a registry. The Makefile's own refusals and the load beside which it can run the tests are held here too. Left out: what
a registry has today, which is not the project's to hold.
"""

from __future__ import annotations

import functools
import hashlib
import http.server
import os
import re
import shutil
import subprocess
import sys
import threading
import tomllib
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
SCRIPT = REPOSITORY / "builder" / "install_dependencies.sh"
OLDEST_PIP = REPOSITORY / ".cache" / "pip" / "pip-22.3-py3-none-any.whl"
OLDEST_PIP_RUNS = sys.version_info < (3, 12)


def write_wheel(folder: Path, name: str, version: str, *requires: str) -> Path:
    """Write a wheel that holds one empty module, and return its path."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    about = f"{name}-{version}.dist-info"
    headers = [f"Requires-Dist: {requirement}" for requirement in requires]
    extras = re.findall(r'extra == "(\w+)"', " ".join(requires))
    metadata = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *headers]
    metadata += [f"Provides-Extra: {extra}" for extra in extras]
    files = {
        f"{name}.py": "",
        f"{about}/METADATA": "\n".join([*metadata, ""]),
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{member},,\n" for member in [*files, f"{about}/RECORD"])
    with zipfile.ZipFile(path, "w") as archive:
        for member, text in {**files, f"{about}/RECORD": record}.items():
            archive.writestr(member, text)
    return path


@dataclass
class Index:
    """A package index (PEP 503) in a folder, served on the loopback."""

    folder: Path
    url: str
    asked: list[str] = field(default_factory=list)  # the packages whose page was asked for, in order

    def add(self, name: str, version: str, *requires: str) -> str:
        """Offer a release, and return its line of a lock."""
        package = self.folder / "simple" / name
        package.mkdir(parents=True, exist_ok=True)
        wheel = write_wheel(package, name, version, *requires)
        links = [f'<a href="{path.name}">{path.name}</a>' for path in sorted(package.glob("*.whl"))]
        (package / "index.html").write_text("<!DOCTYPE html>\n" + "\n".join(links))
        return f"{name}=={version} --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    """An empty index."""
    folder = tmp_path / "index"
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            if page := re.fullmatch(r"/simple/([^/]+)/", self.path):
                served.asked.append(page[1])

    handler = functools.partial(Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        served = Index(folder, f"http://127.0.0.1:{server.server_port}/simple/")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield served
        server.shutdown()
        thread.join()


@dataclass(frozen=True)
class Environment:
    """A virtual environment whose pip knows one index and no settings of the machine's."""

    python: Path
    variables: Mapping[str, str]

    def run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, whatever that is."""
        return subprocess.run(command, env=dict(self.variables), capture_output=True, text=True, check=False)

    def install(self, lock: Path) -> subprocess.CompletedProcess[str]:
        """Run the script that the image build and `make` run."""
        return self.run(SCRIPT, self.python, lock)

    def installed(self) -> dict[str, str]:
        """Return the version of each package, those that every environment has left out."""
        listed = self.run(self.python, "-m", "pip", "list", "--format", "freeze").stdout.split()
        packages = dict(line.split("==") for line in listed)
        return {name: version for name, version in packages.items() if name not in {"pip", "setuptools"}}


@functools.cache
def template(folder: Path, pip: str) -> Path:
    """Make an environment with this pip once, for tests to copy."""
    venv = folder / f"template-{pip}"
    if pip == "bundled":
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        return venv
    assert OLDEST_PIP.exists(), f"{OLDEST_PIP} is not there: run `make setup` first"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    command = [
        str(venv / "bin" / "python"),
        str(OLDEST_PIP / "pip"),
        "install",
        "--quiet",
        "--no-index",
        str(OLDEST_PIP),
    ]
    subprocess.run(command, check=True)
    return venv


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the environments that are copied."""
    return tmp_path_factory.mktemp("environments")


@pytest.fixture
def pip() -> str:
    """Which pip the environment has: "bundled" with the running Python, or "oldest"."""
    return "bundled"


@pytest.fixture
def environment(pip: str, templates: Path, index: Index, tmp_path: Path) -> Environment:
    """A fresh environment: pip and nothing else."""
    venv = tmp_path / "venv"
    shutil.copytree(template(templates, pip), venv, symlinks=True)
    variables = {
        "PATH": os.environ["PATH"],
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_INDEX_URL": index.url,
        "PIP_NO_CACHE_DIR": "1",
    }
    return Environment(venv / "bin" / "python", variables)


WITH_EACH_PIP = pytest.mark.parametrize("pip", ["bundled", *(["oldest"] if OLDEST_PIP_RUNS else [])])


def lock_beside_newer_releases(index: Index, folder: Path) -> Path:
    """Write a lock of three packages, each of which has a newer release, one of them locked with an extra."""
    lines = [
        index.add("alpha", "1.0", "beta>=1.0"),
        index.add("beta", "1.0", 'gamma; extra == "extra"').replace("beta==", "beta[extra]=="),
        index.add("gamma", "1.0"),
    ]
    index.add("alpha", "2.0")
    index.add("beta", "2.0", "delta")
    index.add("gamma", "2.0")
    lock = folder / "requirements.lock"
    lock.write_text("".join(lines))
    return lock


@WITH_EACH_PIP
def test_newer_releases_do_not_change_what_a_lock_installs(
    environment: Environment, index: Index, tmp_path: Path
) -> None:
    ended = environment.install(lock_beside_newer_releases(index, tmp_path))

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert environment.installed() == {"alpha": "1.0", "beta": "1.0", "gamma": "1.0"}
    assert environment.run(environment.python, "-m", "pip", "check").returncode == 0
    assert index.asked == ["alpha", "beta", "gamma"], "each is asked for once, and nothing else"


@pytest.mark.skipif(not OLDEST_PIP_RUNS, reason="every pip that runs on this Python sees that beta[extra] is beta")
@pytest.mark.parametrize("pip", ["oldest"])
def test_the_same_lock_cannot_be_resolved_by_the_oldest_pip(
    environment: Environment, index: Index, tmp_path: Path
) -> None:
    """The test above can fail: with resolution, the newest release is taken, which has no hash."""
    lock = lock_beside_newer_releases(index, tmp_path)
    options = ["--require-hashes", "--only-binary", ":all:", "--requirement", str(lock)]

    ended = environment.run(environment.python, "-m", "pip", "install", *options)

    assert ended.returncode == 1
    assert "In --require-hashes mode, all requirements must have their versions pinned" in ended.stderr
    assert "beta-2.0" in ended.stderr
    assert environment.installed() == {}


@WITH_EACH_PIP
def test_a_lock_that_does_not_fit_together_is_refused_with_what_is_missing(
    environment: Environment, index: Index, tmp_path: Path
) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text(index.add("alpha", "1.0", "beta>=2.0", "delta") + index.add("beta", "1.0"))
    index.add("beta", "2.0")
    index.add("delta", "1.0")

    for ended in (environment.install(lock), environment.install(lock)):
        assert ended.returncode == 1, "also where a first try has left its packages"
        sentence, *complaints = ended.stderr.splitlines()
        assert sentence == f"{lock} does not fit together; lock the dependencies anew (make lock):"
        assert sorted(complaints) == [
            "alpha 1.0 has requirement beta>=2.0, but you have beta 1.0.",
            "alpha 1.0 requires delta, which is not installed.",
        ]


def test_a_package_of_other_content_is_refused(environment: Environment, index: Index, tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text(index.add("alpha", "1.0"))
    index.add("alpha", "1.0", "beta")

    ended = environment.install(lock)

    assert ended.returncode == 1
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in ended.stderr
    assert environment.installed() == {}


def test_a_package_that_was_there_before_is_not_held_against_the_lock(
    environment: Environment, index: Index, tmp_path: Path
) -> None:
    before, lock = tmp_path / "before.lock", tmp_path / "requirements.lock"
    before.write_text(index.add("zeta", "1.0", "eta"))
    lock.write_text(index.add("alpha", "1.0"))
    assert environment.install(before).returncode == 1

    ended = environment.install(lock)

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert environment.installed() == {"alpha": "1.0", "zeta": "1.0"}


# --- The Makefile


def make(*arguments: str, folder: Path = REPOSITORY) -> subprocess.CompletedProcess[str]:
    command = ["make", "--no-print-directory", *arguments]
    environment = {"PATH": os.environ["PATH"]}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_one_oldest_python_is_named_everywhere() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    makefile = (REPOSITORY / "Makefile").read_text()

    assert project["project"]["requires-python"] == ">=3.11"
    assert project["tool"]["ruff"]["target-version"] == "py311"
    assert project["tool"]["mypy"]["python_version"] == "3.11"
    assert re.findall(r"(?:--python-version |version_info < \(|Python |needs )(\d\.\d+|\d, \d+)\b", makefile) == [
        "3.11",
        "3.11",
        "3, 11",
        "3.11",
    ]


def test_an_older_python_is_refused_with_its_version(tmp_path: Path) -> None:
    python = tmp_path / "python3"
    python.write_text('#!/bin/sh\n[ "$1" = -V ] && echo "Python 3.10.13" || exit 1\n')
    python.chmod(0o755)

    ended = make("run", f"PYTHON={python}", f"VENV={tmp_path / 'venv'}")

    assert ended.returncode == 2
    assert f"{python} is Python 3.10.13; Doctown needs 3.11 or newer" in ended.stderr
    assert not (tmp_path / "venv").exists()


def test_a_folder_that_is_no_virtual_environment_is_not_cleared(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")

    ended = make("run", f"PYTHON={sys.executable}", f"VENV={tmp_path}")

    assert ended.returncode == 2
    assert f"{tmp_path} is there and is no virtual environment" in ended.stderr
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_what_the_projects_of_node_have_built_is_cleaned_and_settings_and_results_are_kept(tmp_path: Path) -> None:
    projects = ("clients/typescript", "doctown/site/viewer", "examples/sveltekit")
    ignored = [f"{project}/node_modules/" for project in projects]
    for folder in ("", *(f"{project}/" for project in projects)):
        file = REPOSITORY / folder / ".gitignore"
        folders = [line for line in file.read_text().splitlines() if line.endswith("/")] if file.exists() else []
        ignored += [f"{folder}{line}" for line in folders if folder or line.strip("/").startswith(projects)]
    kept = ["results", "output", "examples/sveltekit/static/icons"]
    ignored = [name.strip("/") for name in ignored]
    for name in (*ignored, *kept):
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
    (tmp_path / "examples" / "sveltekit" / ".env").touch()
    shutil.copy(REPOSITORY / "Makefile", tmp_path)

    ended = make("clean", folder=tmp_path)

    assert ended.returncode == 0, ended.stderr
    assert "examples/sveltekit/.svelte-kit" in ignored
    assert [name for name in ignored if (tmp_path / name).exists()] == []
    assert [name for name in (*kept, "examples/sveltekit/.env") if not (tmp_path / name).exists()] == []


def test_the_check_of_a_commit_types_what_a_newcomer_types() -> None:
    lines = (REPOSITORY / ".ci" / "run").read_text().splitlines()

    assert [line for line in lines if line.startswith("make ") and "--" not in line] == [
        "make run",
        "make lint",
        "make test",
    ]


# --- The tests under load


@pytest.mark.parametrize(
    ("end", "returncode"),
    [("raise SystemExit(3)", 3), ("os.kill(os.getpid(), 9)", -9)],
    ids=["exits", "is killed"],
)
def test_the_load_runs_beside_its_command_and_ends_however_that_ends(end: str, returncode: int) -> None:
    # The loops inherit the pipe's write end, and the command closes its own: while one of them is there, the pipe is.
    read_end, write_end = os.pipe()
    code = f"import os; os.close({write_end}); print('runs', flush=True); input(); {end}"
    command = [str(REPOSITORY / "builder" / "under_load.sh"), sys.executable, "-c", code]

    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, pass_fds=[write_end]
    ) as process:
        os.close(write_end)
        assert process.stdout is not None
        assert process.stdout.readline() == "runs\n"
        os.set_blocking(read_end, False)
        with pytest.raises(BlockingIOError):
            os.read(read_end, 1)
        process.communicate("end\n")

    assert process.returncode == returncode
    os.set_blocking(read_end, True)
    assert os.read(read_end, 1) == b"", "the end of the last loop is awaited"
    os.close(read_end)
