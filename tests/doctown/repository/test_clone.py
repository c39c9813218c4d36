"""Git URLs, against the real `git http-backend` on the loopback and repositories on the disk."""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from doctown.errors import SourceError
from doctown.repository import Limits, Selection, open_source, select_files
from tests.doctown.repository.repositories import ENVIRON, git, listing, make_repository
from tests.loopback.git_http import PASSWORD, GitServer, running_git_server

LIMITS = Limits(max_bytes=5_000_000, max_files=100, timeout_s=60)
FILES = {"LICENSE": "MIT", "src/a.py": "def a(): pass\n", "src/b.py": "def b(): pass\n"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitServer]:
    folder = tmp_path / "served"
    folder.mkdir()
    with running_git_server(folder) as server:
        yield server


@pytest.fixture
def work_dir(tmp_path: Path) -> Iterator[Path]:
    """A folder for temporary folders, which must be empty when the test ends."""
    folder = tmp_path / "work"
    folder.mkdir()
    yield folder
    assert list(folder.iterdir()) == []


def refusal(source: str, work_dir: Path, limits: Limits = LIMITS, environ: dict[str, str] = ENVIRON) -> str:
    with pytest.raises(SourceError) as caught, open_source(source, limits=limits, environ=environ, work_dir=work_dir):
        pass
    assert caught.value.__cause__ is None
    return str(caught.value)


def test_default_branch_is_fetched_with_all_that_is_known_of_it(server: GitServer, work_dir: Path) -> None:
    commit = make_repository(server.folder / "demo.git", FILES)
    with open_source(f"{server.url}/open/demo.git", limits=LIMITS, environ=ENVIRON, work_dir=work_dir) as checkout:
        assert (checkout.name, checkout.url) == ("demo", f"{server.url}/open/demo")
        assert (checkout.commit, checkout.ref, checkout.dirty) == (commit, "main", False)
        assert checkout.committed_at == datetime(2024, 5, 6, 5, 8, 9, tzinfo=UTC)
        assert (checkout.licence_file, checkout.is_git) == ("LICENSE", True)
        assert [file.path for file in select_files(checkout, Selection())] == ["LICENSE", "src/a.py", "src/b.py"]
        assert (checkout.root / "src/a.py").read_text() == "def a(): pass\n"
    assert not checkout.root.exists()


@pytest.mark.parametrize("kind", ["branch", "tag", "annotated", "commit"])
def test_ref_may_be_a_branch_a_tag_or_a_full_commit_id(kind: str, server: GitServer, work_dir: Path) -> None:
    folder = server.folder / "demo"
    first = make_repository(folder, FILES)
    git(folder, "branch", "feature/x")
    git(folder, "tag", "v1@2")
    git(folder, "tag", "--annotate", "--message=v2", "v2")
    git(folder, "rm", "--quiet", "src/b.py")
    git(folder, "commit", "--quiet", "--message=second")
    ref = {"branch": "feature/x", "tag": "v1@2", "annotated": "v2", "commit": first}[kind]
    source = f"{server.url}/open/demo@{ref}"
    with open_source(source, limits=LIMITS, environ=ENVIRON, work_dir=work_dir) as checkout:
        assert (checkout.commit, checkout.ref) == (first, ref)
        assert (checkout.root / "src/b.py").exists()


def test_file_url_is_fetched_and_its_folder_not_touched(tmp_path: Path, work_dir: Path) -> None:
    commit = make_repository(tmp_path / "de@mo", FILES)
    before = listing(tmp_path / "de@mo")
    source = f"file://{tmp_path}/de@mo@main"
    with open_source(source, limits=LIMITS, environ=ENVIRON, work_dir=work_dir) as checkout:
        assert (checkout.commit, checkout.name, checkout.url) == (commit, "de@mo", None)
    assert listing(tmp_path / "de@mo") == before


@pytest.mark.parametrize(
    ("ref", "words"),
    [
        ("nowhere", "has no branch or tag nowhere"),
        ("1234567", "give it in full"),
        ("0" * 40, "does not give out a commit"),
    ],
)
def test_ref_that_does_not_exist_is_named(ref: str, words: str, server: GitServer, work_dir: Path) -> None:
    make_repository(server.folder / "demo", FILES)
    assert words in refusal(f"{server.url}/open/demo@{ref}", work_dir)


def test_repository_without_a_commit_is_refused(server: GitServer, work_dir: Path) -> None:
    git(server.folder, "init", "--quiet", "empty")
    assert "has no commit yet" in refusal(f"{server.url}/open/empty", work_dir)


def test_repository_that_is_not_there_may_need_a_token(server: GitServer, work_dir: Path) -> None:
    assert "is not there or is private" in refusal(f"{server.url}/open/nothing", work_dir)


def test_server_that_does_not_answer_is_named(server: GitServer, work_dir: Path) -> None:
    with running_git_server(server.folder) as other:
        url = other.url
    assert "cannot be reached" in refusal(f"{url}/open/demo", work_dir)


def test_private_repository_is_refused_without_a_token_and_with_a_wrong_one(server: GitServer, work_dir: Path) -> None:
    make_repository(server.folder / "demo", FILES)
    for environ in (ENVIRON, {**ENVIRON, "GIT_TOKEN": "another"}):
        assert "GIT_TOKEN" in refusal(f"{server.url}/private/demo", work_dir, environ=environ)


def test_token_of_github_is_for_github_alone(server: GitServer, work_dir: Path) -> None:
    make_repository(server.folder / "demo", FILES)
    refusal(f"{server.url}/private/demo", work_dir, environ={**ENVIRON, "GITHUB_TOKEN": PASSWORD})
    assert {request.authorization for request in server.requests} == {None}


def test_token_opens_a_private_repository_and_is_in_no_argument_file_or_log(
    tmp_path: Path, server: GitServer, work_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_repository(server.folder / "demo", FILES)
    arguments = tmp_path / "arguments"
    environ = {"PATH": f"{_recording_git(tmp_path, arguments)}:{ENVIRON['PATH']}", "GIT_TOKEN": PASSWORD}
    with (
        caplog.at_level(logging.DEBUG),
        open_source(f"{server.url}/private/demo", limits=LIMITS, environ=environ, work_dir=work_dir) as checkout,
    ):
        files = [path for path in checkout.root.parent.rglob("*") if path.is_file()]
        written = b"".join(path.read_bytes() for path in files)
    recorded = arguments.read_text()
    assert "fetch" in recorded
    sent = {request.authorization for request in server.requests}
    credentials = next(header for header in sent if header).removeprefix("Basic ")
    for secret in (PASSWORD, credentials):
        assert secret not in recorded
        assert secret not in repr(checkout) + caplog.text
        assert secret.encode() not in written


def test_token_is_in_no_error(server: GitServer, work_dir: Path) -> None:
    make_repository(server.folder / "demo", FILES)
    environ = {**ENVIRON, "GIT_TOKEN": PASSWORD}
    assert PASSWORD not in refusal(f"{server.url}/private/demo@nowhere", work_dir, environ=environ)
    spoiled = refusal(f"{server.url}/private/demo", work_dir, environ={**ENVIRON, "GIT_TOKEN": f"{PASSWORD}\nHost: x"})
    assert "GIT_TOKEN" in spoiled
    assert PASSWORD not in spoiled


def test_token_follows_no_redirect(tmp_path: Path, server: GitServer, work_dir: Path) -> None:
    make_repository(server.folder / "demo", FILES)
    with running_git_server(server.folder) as other:
        server.moved_to = other.url
        environ = {**ENVIRON, "GIT_TOKEN": PASSWORD}
        assert "redirected" in refusal(f"{server.url}/moved/demo", work_dir, environ=environ)
        assert other.requests == []


def test_server_that_hangs_is_given_up_at_the_time_limit(server: GitServer, work_dir: Path) -> None:
    assert "FETCH_TIMEOUT_S" in refusal(f"{server.url}/hangs/demo", work_dir, Limits(timeout_s=0.3))


def test_endless_pack_is_given_up_at_the_byte_limit(server: GitServer, work_dir: Path) -> None:
    make_repository(server.folder / "demo", FILES)
    limits = Limits(max_bytes=2_000_000)
    assert "FETCH_MAX_BYTES" in refusal(f"{server.url}/endless/demo", work_dir, limits)


def test_files_that_unpack_to_too_many_bytes_are_not_written(server: GitServer, work_dir: Path) -> None:
    make_repository(server.folder / "demo", {"zeros.txt": b"0" * 900_000})
    assert "FETCH_MAX_BYTES" in refusal(f"{server.url}/open/demo", work_dir, Limits(max_bytes=500_000))


def test_too_many_files_are_not_written(server: GitServer, work_dir: Path) -> None:
    make_repository(server.folder / "demo", {f"{number}.py": "" for number in range(20)})
    assert "FETCH_MAX_FILES" in refusal(f"{server.url}/open/demo", work_dir, Limits(max_files=19))


def test_commit_of_billions_of_files_is_refused_without_listing_them(server: GitServer, work_dir: Path) -> None:
    folder = server.folder / "demo"
    make_repository(folder, FILES)
    blob = git(folder, "hash-object", "-w", "--stdin", data=b"x")
    record = f"100644 blob {blob}"
    for _ in range(10):
        tree = git(folder, "mktree", data="".join(f"{record}\t{name}\n" for name in "abcdefghij").encode())
        record = f"040000 tree {tree}"
    commit = git(folder, "commit-tree", "-m", "bomb", tree)
    git(folder, "update-ref", "refs/heads/bomb", commit)
    assert "FETCH_MAX_FILES" in refusal(f"{server.url}/open/demo@bomb", work_dir)


def test_path_too_deep_to_be_removed_is_refused(server: GitServer, work_dir: Path) -> None:
    make_repository(server.folder / "demo", {"a/" * 101 + "b.py": ""})
    assert "100 folders" in refusal(f"{server.url}/open/demo", work_dir)


def test_nothing_in_a_repository_runs_and_links_are_not_followed(
    tmp_path: Path, server: GitServer, work_dir: Path
) -> None:
    folder = server.folder / "demo"
    make_repository(folder, {".gitattributes": "*.py filter=lfs\n*.txt filter=run\n", "a.txt": "a", "b.py": "b"})
    (folder / "passwd").symlink_to("/etc/passwd")
    (folder / ".gitmodules").write_text('[submodule "s"]\n\tpath = s\n\turl = ./s\n')
    git(folder, "add", "--all")
    git(folder, "update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},s")
    git(folder, "commit", "--quiet", "--message=more")
    with open_source(f"{server.url}/open/demo", limits=LIMITS, environ=ENVIRON, work_dir=work_dir) as checkout:
        found = {file.path: file.reason for file in select_files(checkout, Selection())}
        assert found["passwd"] == "symbolic link"
        assert found["s"] == "submodule"
        assert not (checkout.root / "passwd").is_symlink()
        assert (checkout.root / "a.txt").read_text() == "a"


def test_git_of_the_user_is_left_out(tmp_path: Path, server: GitServer, work_dir: Path) -> None:
    """Neither configuration nor variables of the caller's environment change what git does."""
    make_repository(server.folder / "demo", FILES)
    (tmp_path / ".gitconfig").write_text('[url "http://127.0.0.1:1/"]\n\tinsteadOf = http://\n')
    environ = {
        **ENVIRON,
        "HOME": str(tmp_path),
        "GIT_CONFIG_GLOBAL": str(tmp_path / ".gitconfig"),
        "GIT_DIR": "/nowhere",
        "GIT_TRACE": str(tmp_path / "trace"),
    }
    with open_source(f"{server.url}/open/demo", limits=LIMITS, environ=environ, work_dir=work_dir):
        pass
    assert not (tmp_path / "trace").exists()


def test_missing_git_is_named(server: GitServer, tmp_path: Path, work_dir: Path) -> None:
    assert "install git" in refusal(f"{server.url}/open/demo", work_dir, environ={"PATH": str(tmp_path)})


def test_temporary_folder_is_removed_when_the_block_fails(server: GitServer, work_dir: Path) -> None:
    make_repository(server.folder / "demo", FILES)
    with (
        pytest.raises(ZeroDivisionError),
        open_source(f"{server.url}/open/demo", limits=LIMITS, environ=ENVIRON, work_dir=work_dir),
    ):
        raise ZeroDivisionError


def test_ssh_is_run_without_prompts(tmp_path: Path, work_dir: Path) -> None:
    """A git@ URL is fetched by ssh in batch mode; here a script stands for the ssh client and its server."""
    commit = make_repository(tmp_path / "demo", FILES)
    programs = tmp_path / "programs"
    programs.mkdir()
    log = tmp_path / "ssh-arguments"
    script = programs / "ssh"
    # The last argument is the command for the server.
    script.write_text(f'#!/bin/sh\necho "$@" >> {shlex.quote(str(log))}\nfor last; do :; done\neval "$last"\n')
    script.chmod(0o755)
    environ = {"PATH": f"{programs}:{ENVIRON['PATH']}", "GIT_TOKEN": PASSWORD}
    source = f"git@example.org:{tmp_path}/demo@main"
    with open_source(source, limits=LIMITS, environ=environ, work_dir=work_dir) as checkout:
        assert (checkout.commit, checkout.ref) == (commit, "main")
        assert checkout.url == f"https://example.org{tmp_path}/demo"
    assert "-oBatchMode=yes" in log.read_text()
    assert PASSWORD not in log.read_text()


def test_server_run_by_hand_prints_its_address(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.loopback.git_http", str(tmp_path)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ)
    with process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"http://127.0.0.1:")
        process.communicate()
    assert process.returncode == 0


def _recording_git(tmp_path: Path, arguments: Path) -> Path:
    """Make a folder with a git command that writes its arguments, and those of processes it starts, into a file."""
    folder = tmp_path / "programs"
    folder.mkdir()
    real = shutil.which("git", path=ENVIRON["PATH"])
    script = folder / "git"
    script.write_text(f'#!/bin/sh\necho "$@" >> {shlex.quote(str(arguments))}\nexec {shlex.quote(str(real))} "$@"\n')
    script.chmod(0o755)
    return folder
