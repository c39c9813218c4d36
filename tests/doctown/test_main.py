"""The command line, run as a user runs it."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from doctown.__main__ import main
from tests.doctown.test_analysis import PROJECT, write

ROOT = Path(__file__).parents[2]


def doctown(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command in `folder`, with a cache of its own."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(folder / "user-cache"), "HOME": str(folder)}
    command = [sys.executable, "-m", "doctown", *arguments]
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write(tmp_path / "project", PROJECT)


@pytest.fixture
def beside_project(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in the folder of the project and of sources of which there is no graph, with a cache of its own."""
    assert project.parent == tmp_path
    (tmp_path / "empty").mkdir()
    write(tmp_path, {"words/README.md": "# Words\n", "only-tests/test_a.py": "def test_a(): pass\n"})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user-cache"))


def test_a_table_is_printed_and_the_graph_is_written(project: Path, tmp_path: Path) -> None:
    ended = doctown(tmp_path, "graph", "project")
    assert (ended.returncode, ended.stderr) == (0, "")
    headings, *lines = [line.split() for line in ended.stdout.splitlines()]
    assert " ".join(headings) == "language files partial skipped symbols calls resolved external unresolved ambiguous"
    assert lines[:3] == [
        ["bash", "1", "0", "0", "1", "2", "1", "0", "1", "0"],
        ["python", "3", "1", "0", "3", "1", "1", "0", "0", "0"],
        ["all", "4", "1", "0", "4", "3", "2", "0", "1", "0"],
    ]
    graph = json.loads((tmp_path / "output" / "project.graph.json").read_text("ascii"))
    assert graph["repository"]["name"] == "project"
    assert [node["id"] for node in graph["nodes"] if node["kind"] != "module"] == [
        "app.py::f", "broken.py::whole", "lib.py::g", "run::go",
    ]  # fmt: skip
    assert {edge["to"] for edge in graph["edges"] if edge["kind"] == "calls"} == {"lib.py::g", "run::go"}
    assert (tmp_path / "user-cache" / "doctown" / "analysis").is_dir()


def test_tests_are_in_it_when_asked_for(project: Path, tmp_path: Path) -> None:
    ended = doctown(tmp_path, "graph", "project", "--include-tests", "--json", "--no-cache", "--output", "g.json")
    assert json.loads(ended.stdout)["all"]["files"] == 5
    nodes = json.loads((tmp_path / "g.json").read_text("ascii"))["nodes"]
    assert [node["id"] for node in nodes if node["is_test"]] == ["test_app.py::<module>", "test_app.py::test_f"]
    assert not (tmp_path / "user-cache").exists()


def test_files_can_be_chosen(project: Path, tmp_path: Path) -> None:
    chosen = ("--include", "*.py", "--exclude", "broken*", "--cache", "kept", "--output", "g.json")
    doctown(tmp_path, "graph", "project", *chosen)
    files = json.loads((tmp_path / "g.json").read_text("ascii"))["files"]
    assert [file["path"] for file in files if file["status"] != "skipped"] == ["app.py", "lib.py"]
    assert (tmp_path / "kept" / "analysis").is_dir()


def test_a_second_run_writes_the_same_bytes(project: Path, tmp_path: Path) -> None:
    for name in ("one.json", "two.json"):
        doctown(tmp_path, "graph", "project", "--output", name)
    doctown(tmp_path, "graph", "project", "--no-cache", "--output", "three.json")
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "three.json").read_bytes()


def test_an_archive_and_a_git_url_give_the_graph_of_the_folder(project: Path, tmp_path: Path) -> None:
    archive = shutil.make_archive(str(tmp_path / "archive"), "gztar", project)
    git = ("git", "-c", "user.name=n", "-c", "user.email=e", "-C", str(project))
    for command in (("init", "-q"), ("add", "-A"), ("commit", "-q", "-m", "all")):
        subprocess.run([*git, *command], check=True)
    graphs = []
    for source in (str(project), archive, project.as_uri()):
        ended = doctown(tmp_path, "graph", source, "--output", "g.json")
        assert ended.returncode == 0, ended.stderr
        graph = json.loads((tmp_path / "g.json").read_text("ascii"))
        graphs.append((graph["nodes"], graph["edges"]))
    assert graphs[0] == graphs[1] == graphs[2]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "There is no such folder"),
        (["empty"], "The source has no files"),
        (["words"], "can be parsed (1 not in a language that is parsed)"),
        (["only-tests"], "tests only: give --include-tests"),
        (["project", "--subdir", "nowhere"], "no folder 'nowhere'"),
        (["project", "--cache", "words/README.md"], "The cache folder cannot be used"),
        (["project", "--output", "words/README.md/g.json"], "cannot be written"),
    ],
    ids=["missing", "empty", "no language", "only tests", "subdir", "cache", "output"],
)
@pytest.mark.usefixtures("beside_project")
def test_what_is_wrong_is_said_in_one_line(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["graph", *arguments], os.environ)
    said = capsys.readouterr()
    assert (code, said.out) == (1, "")
    assert said.err.startswith("doctown: ")
    assert words in said.err
    assert len(said.err.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["graph"],
        ["graph", "a", "--cache", "b", "--no-cache"],
        ["check", "a.docpack", "a", "--max-stale", "9" * 5_000],  # more digits than Python converts
        ["mcp", "a.docpack", "--http", "--port", "65536"],
    ],
    ids=["no source", "cache and none", "too many stale", "no port"],
)
def test_a_wrong_command_line_ends_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments, os.environ)

    assert ended.value.code == 2


def test_a_user_cache_that_cannot_be_used_is_done_without(project: Path, tmp_path: Path) -> None:
    (tmp_path / "user-cache").write_bytes(b"")
    assert doctown(tmp_path, "graph", "project").returncode == 0


def test_ctrl_c_ends_with_130_and_one_line(project: Path, tmp_path: Path) -> None:
    """The command is interrupted while git, a stand-in, fetches for ever."""
    fake = tmp_path / "bin"
    write(fake, {"git": '#!/bin/sh\necho > "$0.started"\nexec sleep 1000\n'})
    (fake / "git").chmod(0o755)
    environ = {"PATH": f"{fake}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}
    command = [sys.executable, "-m", "doctown", "graph", "https://127.0.0.1:1/o/r"]
    running = subprocess.Popen(
        command, cwd=tmp_path, env=environ, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    while not (fake / "git.started").exists():
        assert running.poll() is None
    os.killpg(running.pid, signal.SIGINT)
    _, words = running.communicate()
    assert running.returncode == 130
    assert words == "doctown: interrupted\n"
