"""Local folders: read in place, with git and without, and never written to."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from doctown.errors import SourceError
from doctown.repository import Checkout, Limits, Selection, SourceFile, open_source, select_files
from tests.doctown.repository.repositories import ENVIRON, git, listing, make_repository, write_files


def opened(folder: Path) -> Checkout:
    with open_source(str(folder), limits=Limits(), environ=ENVIRON) as checkout:
        return checkout


def selected(folder: Path, selection: Selection | None = None) -> dict[str, str | None]:
    return {file.path: file.reason for file in select_files(opened(folder), selection or Selection())}


def test_work_tree_is_read_with_all_that_is_known_of_it(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    commit = make_repository(folder, {"COPYING": "GPL", "a.py": "", ".gitignore": "*.log\n"})
    git(folder, "remote", "add", "origin", "https://user:secret@github.com/o/demo.git")
    (folder / "debug.log").write_text("ignored")
    checkout = opened(folder)
    assert (checkout.root, checkout.name, checkout.is_git) == (folder, "demo", True)
    assert (checkout.commit, checkout.ref, checkout.dirty) == (commit, "main", False)
    assert checkout.url == "https://github.com/o/demo"
    assert checkout.licence_file == "COPYING"
    assert "secret" not in repr(checkout)


def test_the_readme_is_found_in_any_case_and_never_through_a_link(tmp_path: Path) -> None:
    """Markdown is preferred, and only what is a file at the top of the repository counts."""
    write_files(tmp_path, {"docs/README.md": "", "README-more.md": "", "ReadMe.RST": "", "readme": ""})
    (tmp_path / "README.md").symlink_to("/etc/passwd")
    assert opened(tmp_path).readme_file == "ReadMe.RST"
    (tmp_path / "ReadMe.RST").unlink()
    assert opened(tmp_path).readme_file == "readme"
    (tmp_path / "readme").unlink()
    assert opened(tmp_path).readme_file is None
    (tmp_path / "Readme.MD").touch()
    assert opened(tmp_path).readme_file == "Readme.MD"


@pytest.mark.parametrize("change", ["edited", "staged", "deleted", "untracked"])
def test_dirty_work_tree_is_noted(change: str, tmp_path: Path) -> None:
    make_repository(tmp_path, {"a.py": "1\n", "b.py": ""})
    if change == "deleted":
        (tmp_path / "a.py").unlink()
    else:
        (tmp_path / ("new.py" if change == "untracked" else "a.py")).write_text("changed\n")
    if change == "staged":
        git(tmp_path, "add", "a.py")
    assert opened(tmp_path).dirty


def test_untracked_files_are_not_listed_and_deleted_ones_have_a_reason(tmp_path: Path) -> None:
    make_repository(tmp_path, {"a.py": "", "b.py": ""})
    (tmp_path / "new.py").write_text("")
    (tmp_path / "b.py").unlink()
    assert selected(tmp_path) == {"a.py": None, "b.py": "not in the work tree"}


def test_detached_head_has_no_ref_and_an_unborn_one_no_commit(tmp_path: Path) -> None:
    commit = make_repository(tmp_path / "detached", {"a.py": ""})
    git(tmp_path / "detached", "checkout", "--quiet", "--detach")
    checkout = opened(tmp_path / "detached")
    assert (checkout.commit, checkout.ref) == (commit, None)
    git(tmp_path, "init", "--quiet", "--initial-branch=main", "unborn")
    write_files(tmp_path / "unborn", {"a.py": ""})
    git(tmp_path / "unborn", "add", "a.py")
    checkout = opened(tmp_path / "unborn")
    assert (checkout.commit, checkout.ref, checkout.committed_at, checkout.dirty) == (None, "main", None, True)


def test_folder_in_a_repository_has_its_own_files_and_the_commit(tmp_path: Path) -> None:
    commit = make_repository(tmp_path, {"packages/core/a.py": "", "b.py": ""})
    checkout = opened(tmp_path / "packages/core")
    assert (checkout.commit, checkout.name) == (commit, "core")
    assert selected(tmp_path / "packages/core") == {"a.py": None}
    (tmp_path / "b.py").write_text("changed")
    assert not opened(tmp_path / "packages/core").dirty


def test_folder_without_tracked_files_in_a_repository_is_read_without_git(tmp_path: Path) -> None:
    make_repository(tmp_path, {"a.py": "", ".gitignore": "build/\n"})
    write_files(tmp_path, {"build/b.py": ""})
    assert not opened(tmp_path / "build").is_git
    assert selected(tmp_path / "build") == {"b.py": None}


def test_linked_work_tree_is_read_and_one_whose_repository_is_gone_is_a_plain_folder(tmp_path: Path) -> None:
    commit = make_repository(tmp_path / "demo", {"a.py": ""})
    git(tmp_path / "demo", "worktree", "add", "--quiet", "-b", "other", "../linked")
    checkout = opened(tmp_path / "linked")
    assert (checkout.commit, checkout.ref) == (commit, "other")
    (tmp_path / "demo").rename(tmp_path / "moved")
    assert not opened(tmp_path / "linked").is_git
    assert selected(tmp_path / "linked") == {"a.py": None}


def test_repository_without_a_work_tree_is_refused(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--bare", "demo.git")
    with pytest.raises(SourceError, match=r"give file:///.*/demo\.git"):
        opened(tmp_path / "demo.git")


def test_damaged_repository_is_refused(tmp_path: Path) -> None:
    make_repository(tmp_path, {"a.py": ""})
    (tmp_path / ".git/index").write_bytes(b"spoiled")
    with pytest.raises(SourceError, match="git status"):
        opened(tmp_path)


def test_nothing_that_a_repository_configures_runs_and_nothing_is_written(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    make_repository(folder, {"a.py": "1\n", "b.txt": "2\n", ".gitattributes": "*.py filter=evil\n*.txt filter=x.y\n"})
    trace = tmp_path / "ran"
    touch = f"touch {trace}; cat"
    for key in (
        *("core.fsmonitor", "core.sshCommand", "core.pager", "gpg.program", "diff.external", "core.askPass"),
        *("filter.evil.clean", "filter.evil.smudge", "filter.x.y.process", "filter.x.y.clean", "alias.status"),
    ):
        git(folder, "config", key, touch)
    git(folder, "config", "filter.evil.required", "true")
    git(folder, "config", "log.showSignature", "true")
    git(folder, "config", "core.worktree", "/")
    for hook in ("post-index-change", "post-checkout", "fsmonitor-watchman"):
        path = folder / ".git/hooks" / hook
        path.write_text(f"#!/bin/sh\ntouch {trace}\n")
        path.chmod(0o755)
    # Files whose time differs from the index's are compared through filters, and the index would be written anew.
    for name in ("a.py", "b.txt"):
        os.utime(folder / name, (1, 1))
    before = listing(folder)
    checkout = opened(folder)
    assert [file.path for file in select_files(checkout, Selection())] == [".gitattributes", "a.py", "b.txt"]
    assert not checkout.dirty
    assert not trace.exists()
    assert listing(folder) == before


def test_index_that_names_files_outside_is_not_believed(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    make_repository(folder, {"a/b.py": "", "xx/secret.py": ""})
    (tmp_path / "secret.py").write_text("secret = 1\n")
    index = folder / ".git/index"
    data = index.read_bytes().replace(b"xx/secret.py", b"../secret.py")
    # Without its checksum, which git does not verify when it reads.
    index.write_bytes(data)
    assert selected(folder)["../secret.py"] == "unreadable"


def test_folder_that_became_a_link_is_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    make_repository(folder, {"src/deep/a.py": "", "b.py": ""})
    (folder / "src").rename(tmp_path / "elsewhere")
    (folder / "src").symlink_to(tmp_path / "elsewhere")
    (folder / "b.py").unlink()
    (folder / "b.py").symlink_to("/etc/passwd")
    assert selected(folder) == {"b.py": "symbolic link", "src/deep/a.py": "symbolic link"}


def test_gitignore_files_hold_where_there_is_no_git(tmp_path: Path) -> None:
    write_files(
        tmp_path,
        {
            ".gitignore": "\ufeff*.log\r\nbuild/\r\n!\r\n/only_here.py\r\n",
            "a.py": "",
            "only_here.py": "",
            "x.log": "",
            "build/b.py": "",
            "pkg/.gitignore": "!keep.log\nlocal.py\n",
            "pkg/keep.log": "",
            "pkg/other.log": "",
            "pkg/local.py": "",
            "pkg/only_here.py": "",
            "pkg/deep/local.py": "",
            "pkg/build/.gitignore": "!*\n",
            "pkg/build/c.py": "",
        },
    )
    assert list(selected(tmp_path)) == [".gitignore", "a.py", "pkg/.gitignore", "pkg/keep.log", "pkg/only_here.py"]


def test_ignored_files_are_those_that_git_ignores(tmp_path: Path) -> None:
    """The files that are left without git are those that git itself would add."""
    patterns = "*.tmp\n!keep.tmp\n/top\ndocs/*.md\n**/gen/**\nfoo/\n!foo/bar\na[0-9].py\n\\#x\n# c\ntrail  \n"
    names = ("a.tmp", "keep.tmp", "top", "s/top", "docs/a.md", "docs/b/a.md", "s/gen/x/y", "foo/bar", "s/foo", "a1.py")
    write_files(tmp_path, dict.fromkeys((*names, "ab.py", "#x", "trail", "s/t/keep.tmp"), ""))
    write_files(tmp_path, {".gitignore": patterns, "s/.gitignore": "!top\nt/*\n!t/keep.tmp\n"})
    without_git = list(selected(tmp_path))
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "--all")
    assert without_git == list(selected(tmp_path))
    assert opened(tmp_path).is_git


def test_caches_and_environments_are_left_out_without_git(tmp_path: Path) -> None:
    write_files(
        tmp_path,
        {
            "a.py": "",
            "node_modules/x/index.js": "",
            "env/pyvenv.cfg": "",
            "env/lib/x.py": "",
            "target/CACHEDIR.TAG": "",
            "target/x.rs": "",
            "pkg/__pycache__/a.pyc": "",
            ".git": "gitdir: /nowhere",
        },
    )
    assert list(selected(tmp_path)) == ["a.py"]


def test_what_is_no_file_has_a_reason(tmp_path: Path) -> None:
    write_files(tmp_path, {"a.py": ""})
    (tmp_path / "link").symlink_to("a.py")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "broken").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe.py")
    assert selected(tmp_path) == {
        "a.py": None,
        "broken": "symbolic link",
        "link": "symbolic link",
        "loop": "symbolic link",
        "pipe.py": "not a regular file",
    }


@pytest.mark.parametrize("is_git", [True, False], ids=["git", "plain"])
def test_name_that_is_not_utf8_is_escaped_and_skipped(is_git: bool, tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.py")).write_text("x")
    write_files(tmp_path, {"a.py": "", "new\nline.py": "", "日本.py": ""})
    if is_git:
        make_repository(tmp_path, {})
    files = select_files(opened(tmp_path), Selection())
    assert {file.path: file.reason for file in files} == {
        "a.py": None,
        "caf\\xe9.py": "name is not UTF-8",
        "new\nline.py": None,
        "日本.py": None,
    }
    assert SourceFile("caf\\xe9.py", "skipped", "name is not UTF-8", 1, is_test=False) in files


def test_escaped_name_that_another_file_has_stays_apart(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.py")).write_text("")
    (tmp_path / "caf\\xe9.py").write_text("")
    assert selected(tmp_path) == {"caf\\xe9.py": None, "caf\\xe9.py?": "name is not UTF-8"}
