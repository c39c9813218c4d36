"""Where packs lie: readable keys, and never the same one for two repositories."""

from __future__ import annotations

import doctest

import pytest

from doctown.jobs import keys


@pytest.mark.parametrize(
    ("url", "subdir", "folder"),
    [
        ("https://github.com/owner/repo", None, "docpacks/owner/repo"),
        ("https://github.com/owner/repo.git", None, "docpacks/owner/repo"),
        ("https://github.com/owner/repo", "a/b", "docpacks/owner/repo/@a/b"),
        ("https://gitlab.com/group/sub/repo", None, "docpacks/gitlab.com/group/sub/repo"),
        ("https://codeberg.org/owner/repo", None, "docpacks/codeberg.org/owner/repo"),
        ("https://GitHub.com/Owner/Repo", "Core", "docpacks/owner/repo/@Core"),
        ("https://gitlab.com/Group/sub/Repo", None, "docpacks/gitlab.com/group/sub/repo"),
        ("https://bitbucket.org/Owner/Repo", None, "docpacks/bitbucket.org/owner/repo"),
        ("https://example.org/Owner/Repo", None, "docpacks/example.org/Owner/Repo"),
    ],
)
def test_a_pack_lies_where_its_repository_says(url: str, subdir: str | None, folder: str) -> None:
    """A part of the path is a folder; in lower case where the host is known to ignore case."""
    assert keys.repository_folder(url, subdir) == folder


def test_no_two_sources_share_a_folder_or_an_id() -> None:
    """Names that differ only in what a key cannot have, or where a folder begins, stay apart."""
    url = "https://github.com/owner"
    folders = [
        keys.repository_folder(f"{url}/repo", None),
        keys.repository_folder(f"{url}/repo", "sub"),
        keys.repository_folder(f"{url}/repo/@sub", None),
        keys.repository_folder(f"{url}/repo%20a", None),
        keys.repository_folder(f"{url}/repo-20a", None),
        keys.repository_folder(f"{url}/..", None),
        keys.repository_folder("https://example.org:8443/owner/repo", None),
        keys.repository_folder("https://example.org/8443/owner/repo", None),
        keys.repository_folder("https://owner/repo", None),
        keys.archive_folder("owner/repo.zip"),
        keys.archive_folder("owner/repo zip"),
    ]
    assert len(set(folders)) == len(folders)
    assert len({keys.kept_as(folder) for folder in folders}) == len(folders)
    assert all(set(folder.split("/")).isdisjoint({"", ".", ".."}) for folder in folders)


def test_the_examples_are_right() -> None:
    assert doctest.testmod(keys).failed == 0
