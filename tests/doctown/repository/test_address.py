"""What a source is, by its text."""

from __future__ import annotations

from pathlib import Path

import pytest

from doctown.errors import SourceError
from doctown.repository import ArchiveSource, FolderSource, GitSource, parse_source
from doctown.repository.address import clean_url, short_name


@pytest.mark.parametrize(
    ("source", "url", "ref"),
    [
        ("https://github.com/o/r", "https://github.com/o/r", None),
        ("https://GitHub.com/o/r.git@v1.0", "https://github.com/o/r.git", "v1.0"),
        ("https://github.com/o/r@feature/a-b", "https://github.com/o/r", "feature/a-b"),
        ("https://github.com/o/r@@scope/pkg@1.0.0", "https://github.com/o/r", "@scope/pkg@1.0.0"),
        ("https://github.com/o/r@fix#1", "https://github.com/o/r", "fix#1"),
        ("https://host:8443/~u/r", "https://host:8443/~u/r", None),
        ("https://host/@user/r@main", "https://host/@user/r", "main"),
        ("http://127.0.0.1:80/r", "http://127.0.0.1:80/r", None),
        ("http://localhost/r", "http://localhost/r", None),
        ("http://[::1]:8080/r", "http://[::1]:8080/r", None),
        ("git@github.com:o/r.git", "git@github.com:o/r.git", None),
        ("git@github.com:o/r.git@v1", "git@github.com:o/r.git", "v1"),
        ("ssh://git@host:22/o/r@main", "ssh://git@host:22/o/r", "main"),
        ("ssh://host/o/r", "ssh://git@host/o/r", None),
    ],
)
def test_git_url_is_split_from_its_ref(source: str, url: str, ref: str | None) -> None:
    found = parse_source(source)
    assert isinstance(found, GitSource)
    assert (found.url, found.ref) == (url, ref)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("", "empty"),
        ("nowhere", "no such folder"),
        ("x" * 5_000, "no such folder"),
        ("owner/repo", "give https://github.com/owner/repo"),
        ("http://github.com/o/r", "use https"),
        ("git://github.com/o/r", "another kind"),
        ("ext::sh -c touch", "no such folder"),
        ("ext://x", "another kind"),
        ("https://", "malformed"),
        ("https://host", "no repository's path"),
        ("https://host:99999/o/r", "malformed"),
        ("https://[x/o/r", "malformed"),
        ("https://-host/o/r", "malformed"),
        ("https://host/o/r?x=1", "query"),
        ("https://host/o/r x", "spaces"),
        ("https://github.com/o/r/tree/main/src", "give https://github.com/o/r@REF"),
        ("https://gitlab.com/o/r/-/blob/main/a.py", "give https://gitlab.com/o/r@REF"),
        ("https://github.com/o/r/archive/main.zip", "download it"),
        ("https://host/o/r@", "not a ref"),
        ("https://host/o/r@-x", "not a ref"),
        ("https://host/o/r@a..b", "not a ref"),
        ("https://host/o/r@a:b", "not a ref"),
        ("https://host/o/r@+a", "not a ref"),
        ("https://host/o/r@a^{tree}", "not a ref"),
        ("git@host:-oProxyCommand=x", "no such folder"),
        ("git@-host:o/r", "no such folder"),
        ("file://host/path", "no absolute path"),
        ("file:///nowhere/at/all", "no folder at the file URL"),
    ],
    ids=lambda value: value[:40],
)
def test_bad_source_is_refused_with_what_would_be_right(source: str, words: str) -> None:
    with pytest.raises(SourceError, match=words):
        parse_source(source)


@pytest.mark.parametrize(
    "source",
    [
        *("https://user:S3CRET@host/o/r", "https://S3CRET@host/o/r", "https://S3CRET@host/o/r?x", "https://S3CRET@:x/"),
        *("ssh://git:S3CRET@host/o/r", "https://host/o/r?token=S3CRET", "ftp://user:S3CRET@host/x"),
    ],
)
def test_credentials_in_a_url_are_refused_and_not_repeated(source: str) -> None:
    with pytest.raises(SourceError) as caught:
        parse_source(source)
    assert "S3CRET" not in str(caught.value)


def test_folders_and_archives_are_found_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("owner/repo", "git@host:o", "x.zip"):
        Path(folder).mkdir(parents=True)
        assert parse_source(folder) == FolderSource(Path(folder))
    for archive in ("a.ZIP", "a.tar.gz", "a.tgz"):
        Path(archive).write_bytes(b"")
        assert parse_source(archive) == ArchiveSource(Path(archive))
    Path("a.rar").write_bytes(b"")
    with pytest.raises(SourceError, match="no archive"):
        parse_source("a.rar")


@pytest.mark.parametrize(
    ("remote", "url"),
    [
        ("git@github.com:o/r.git", "https://github.com/o/r"),
        ("ssh://git@host:2222/o/r.git", "https://host/o/r"),
        ("https://user:token@GitHub.com/o/r.git/", "https://github.com/o/r"),
        ("https://host:8443/o/r?token=x#y", "https://host:8443/o/r"),
        ("git://host/o/r", "https://host/o/r"),
        ("/srv/git/r.git", None),
        ("file:///srv/git/r.git", None),
        ("../r", None),
        ("https://[x", None),
        ("https://host", None),
    ],
)
def test_remote_is_shown_without_credentials(remote: str, url: str | None) -> None:
    assert clean_url(remote) == url


@pytest.mark.parametrize(
    ("path", "name"),
    [("https://h/o/r.git", "r"), ("/a/b/", "b"), ("x-1.0.tar.gz", "x-1.0"), ("git@h:r", "r"), ("", "repository")],
)
def test_short_name_is_the_last_part(path: str, name: str) -> None:
    assert short_name(path) == name
